using Google.Protobuf;
using Kwik.Cli.Bench.Peers;
using Kwik.Cli.Staging;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Transfer.Wire;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Cli.Bench;

/// <summary>Fetches the staged file as a public stream, timing what comes.</summary>
internal static class OfferedFile
{
    /// <summary>As long as a second tier of compilation takes to come, on a slow machine.</summary>
    public static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(2);

    private const int ReadSize = 256 * 1024;

    /// <summary>Asks for the file; its bytes begin to come when the server has offered it.</summary>
    public static async Task<KwikStream> AskAsync(ClientSession session, CancellationToken cancellationToken)
    {
        KwikStream stream = await session.OpenStreamSync(cancellationToken);
        try
        {
            await stream.WriteAsync(new FileRequest { Path = StagedFile.Name }.ToByteArray(), cancellationToken);
            stream.CompleteWrites();
            return stream;
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Has the primary read the file, and every server send some of it, so that no measurement waits for that or for a
    /// compiler.
    /// </summary>
    public static async Task WarmAsync(Stage stage, CancellationToken cancellationToken)
    {
        await using ClientSession session = await stage.ConnectAsync(1 + stage.Secondaries.Count, cancellationToken);
        await using KwikStream stream = await AskAsync(session, cancellationToken);
        var download = new TimedDownload(TimeProvider.System);
        var buffer = new byte[ReadSize];
        while (download.Elapsed - (download.FirstByte ?? download.Elapsed) < WarmUp && await stream.ReadAsync(buffer, cancellationToken) is > 0 and int read)
        {
            download.Arrived(read);
        }
    }

    /// <summary>Fetches it through a session that is there.</summary>
    /// <exception cref="KwikException">The stream failed.</exception>
    public static async Task<TimedDownload> DownloadAsync(KwikConnection connection, CancellationToken cancellationToken)
    {
        var download = new TimedDownload(TimeProvider.System);
        await using KwikStream stream = await AskAsync(connection.Session, cancellationToken);
        await ReadAsync(stream, download, null, cancellationToken);
        return download;
    }

    /// <summary>Reads the stream to its end, in order.</summary>
    /// <param name="stream">Just asked for.</param>
    /// <param name="download">Told of every read.</param>
    /// <param name="taken">Sees the bytes of every read; null: nobody does.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    /// <exception cref="KwikException">The stream failed.</exception>
    public static async Task ReadAsync(
        KwikStream stream, TimedDownload download, Action<ReadOnlyMemory<byte>>? taken, CancellationToken cancellationToken)
    {
        var buffer = new byte[ReadSize];
        while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and int read)
        {
            download.Arrived(read);
            taken?.Invoke(buffer.AsMemory(0, read));
        }
    }

    /// <summary>Writes the stream to a file, each piece where it belongs.</summary>
    /// <exception cref="KwikException">The stream failed.</exception>
    public static async Task WriteAsync(KwikStream stream, string path, TimedDownload download, CancellationToken cancellationToken)
    {
        using SafeFileHandle file = File.OpenHandle(
            path, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.Asynchronous | FileOptions.DeleteOnClose);
        await stream.CopyToAsync(
            async (piece, offset) =>
            {
                await RandomAccess.WriteAsync(file, piece, offset, cancellationToken);
                download.Arrived(piece.Length);
            },
            cancellationToken);
    }

    /// <summary>Payload that all paths of a session have received.</summary>
    public static long Received(ClientSession session) => session.GetAllPaths().Sum(path => path.BytesReceived);
}
