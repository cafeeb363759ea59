namespace Kwik.Sessions;

/// <summary>
/// Records what a session does in a qlog (JSON-SEQ, RFC 7464; schema in docs/observability.md): of Kwik's own layer only, what
/// QUIC does below it is not there. Either <see cref="Directory"/> or <see cref="Open"/> is set.
/// </summary>
/// <remarks>
/// The record is written beside the session and never holds it up. What comes too fast for the disk is left out, and the
/// record says how much; when writing fails, that is logged once, and the session goes on without. Addresses, ids and offsets are
/// recorded, and no byte of any stream.
/// </remarks>
public sealed record QlogOptions
{
    /// <summary>Events that wait to be written, about 300 bytes each; beyond that they are left out.</summary>
    internal const int QueueCapacity = 8192;

    /// <summary>
    /// Where each session gets a file of its own, mode 0600, named by the time, the session, and what this side is; made when it
    /// is not there.
    /// </summary>
    public string? Directory { get; init; }

    /// <summary>
    /// Opens what the record of one session goes to; called once a session, with the name that a file would have. The session
    /// disposes it. Whatever it throws is logged.
    /// </summary>
    public Func<string, Stream>? Open { get; init; }

    /// <summary>Bytes of one record, at most: 64 KiB to 16 GiB, default 64 MiB. Its last event says that there was more.</summary>
    public long MaxBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentException">A value is missing or out of its range; the message names it.</exception>
    public void Validate()
    {
        if (string.IsNullOrWhiteSpace(Directory) == Open is null)
        {
            throw new ArgumentException("A qlog goes either to a Directory or to what Open returns.", nameof(Directory));
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(MaxBytes, 64 * 1024);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxBytes, 1L << 34);
    }

    internal Stream OpenRecord(string name)
    {
        if (Open is not null)
        {
            return Open(name);
        }

        System.IO.Directory.CreateDirectory(Directory!);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.Read, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        for (int attempt = 1; ; attempt++)
        {
            string numbered = attempt == 1 ? name : $"{Path.GetFileNameWithoutExtension(name)}-{attempt}{Path.GetExtension(name)}";
            try
            {
                return new FileStream(Path.Combine(Directory!, numbered), options);
            }
            catch (IOException) when (attempt < 100 && File.Exists(Path.Combine(Directory!, numbered)))
            {
                // A client that comes back to a secondary has the same session there.
            }
        }
    }
}
