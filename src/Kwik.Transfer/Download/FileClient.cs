using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Transfer;

/// <summary>Fetches files from servers that run a <see cref="FileServer"/>.</summary>
public static class FileClient
{
    /// <summary>
    /// Fetches a file over a public stream of the session. It grows as <c>TARGET.kwik-part</c> and gets its name when every
    /// byte is checked and on the disk; whatever fails before removes it.
    /// </summary>
    /// <param name="session">Stays open, whatever happens.</param>
    /// <param name="path">On the server, '/'-separated.</param>
    /// <param name="target">The file to write. Its directory exists.</param>
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
            await using KwikStream stream = await session.OpenStreamSync(cancellationToken);
            var download = new FileDownload(session, stream, options);
            return await download.RunAsync(path, target, cancellationToken);
        }
        catch (KwikException e)
        {
            throw TransferException.From(e, path);
        }
    }
}
