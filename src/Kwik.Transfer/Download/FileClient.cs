using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Transfer;

/// <summary>Fetches files from servers that run a <see cref="FileServer"/>.</summary>
public static class FileClient
{
    /// <summary>
    /// Fetches a file over a public stream of the session. It grows as <c>TARGET.kwik-part</c>, each piece written where it belongs
    /// when it is verified, and gets its name when all of it is there and on the disk.
    /// </summary>
    /// <remarks>
    /// Beside the part, <c>TARGET.kwik-part.state</c> says once a second which leaves (256 KiB, unless the server has others) of
    /// which content are on the disk; at most 1 MiB. Whatever ends a fetch before its end, and be it the death of the process, a
    /// later one with <see cref="DownloadOptions.Resume"/> goes on from there. What has no whole leaf is removed, and so is what the
    /// server no longer has. One fetch at a time has a target, in all processes.
    /// </remarks>
    /// <param name="session">Stays open, whatever happens.</param>
    /// <param name="path">On the server, '/'-separated.</param>
    /// <param name="target">The file to write. Its directory exists, and has room for all of it.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="cancellationToken">Gives the fetch up.</param>
    /// <exception cref="TransferException">It failed; the error says why.</exception>
    public static async Task<DownloadResult> DownloadAsync(
        ClientSession session, string path, string target, DownloadOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentException.ThrowIfNullOrEmpty(target);
        options ??= new();
        options.Validate();
        PartFile.Check(target, options.Overwrite);
        try
        {
            // Twice at most: without what is held, the bytes are the right ones.
            return await FetchAsync(session, path, target, options, options.Resume, cancellationToken)
                ?? (await FetchAsync(session, path, target, options, resume: false, cancellationToken))!;
        }
        catch (KwikException e)
        {
            throw TransferException.From(e, path);
        }
    }

    /// <summary>
    /// Fetches a file over a public stream of the session, and writes its bytes, in order and checked, to a stream. What was written is
    /// right, whatever ends the fetch; nothing is kept to go on from.
    /// </summary>
    /// <param name="session">Stays open, whatever happens.</param>
    /// <param name="path">On the server, '/'-separated.</param>
    /// <param name="destination">
    /// Can be written; stays open, and is flushed at the end. A write that is pending when the fetch is given up is left behind.
    /// </param>
    /// <param name="options">Null: the defaults. What is about files does not matter here.</param>
    /// <param name="cancellationToken">Gives the fetch up.</param>
    /// <exception cref="TransferException">It failed; the error says why: Disk, if the destination did.</exception>
    public static async Task<DownloadResult> DownloadAsync(
        ClientSession session, string path, Stream destination, DownloadOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(destination);
        options ??= new();
        options.Validate();
        try
        {
            await using KwikStream stream = await session.OpenStreamSync(cancellationToken);
            return await new StreamDownload(session, stream, destination, options).RunAsync(path, cancellationToken);
        }
        catch (KwikException e)
        {
            throw TransferException.From(e, path);
        }
    }

    /// <summary>
    /// What an earlier fetch has left of a target, bytes: what need not be fetched with <see cref="DownloadOptions.Resume"/>, if the
    /// server still has the same content. 0: nothing.
    /// </summary>
    public static long GetResumableBytes(string target)
    {
        ArgumentException.ThrowIfNullOrEmpty(target);
        return PartFile.ResumableBytes(target);
    }

    private static async Task<DownloadResult?> FetchAsync(
        ClientSession session, string path, string target, DownloadOptions options, bool resume, CancellationToken cancellationToken)
    {
        using var part = PartFile.Open(target);
        await using KwikStream stream = await session.OpenStreamSync(cancellationToken);
        return await new FileDownload(session, stream, part, options).RunAsync(path, resume, cancellationToken);
    }
}
