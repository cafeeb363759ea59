using System.Security.Cryptography;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Transfer;

/// <summary>One fetch to a stream: 1. ask, 2. wait for what the file contains, 3. copy in order. Nothing is kept of it.</summary>
internal sealed class StreamDownload(ClientSession session, KwikStream stream, Stream destination, DownloadOptions options)
{
    private const int PieceSize = 64 * 1024;

    private readonly DownloadWatch _watch = new(session, options);
    private long _written;
    private TimeSpan _elapsed;

    public async Task<DownloadResult> RunAsync(string path, CancellationToken cancellationToken)
    {
        ContentOffer offer = await _watch.AskAsync(stream, path, cancellationToken);
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        try
        {
            await _watch.RunAsync(
                offer.Length, 0, () => Volatile.Read(ref _written), token => CopyAsync(sha256, token), [], cancellationToken);
        }
        catch (KwikException e) when (e.Code == KwikError.NotFound)
        {
            throw TransferException.Changed(path, e);
        }

        List<DownloadSource> sources = _watch.Sources();
        options.Progress?.Report(new(_written, offer.Length, 0, _elapsed, sources));
        return new()
        {
            Bytes = _written,
            ResumedBytes = 0,
            Elapsed = _elapsed,
            Sha256 = Convert.ToHexStringLower(sha256.GetHashAndReset()),
            Verified = true,
            DuplicateBytes = Math.Max(0, sources.Sum(source => source.Bytes) - _written),
            Stalls = _watch.Stalls,
            Sources = sources,
        };
    }

    private async Task CopyAsync(IncrementalHash sha256, CancellationToken cancellationToken)
    {
        // Not from a pool: a write that is given up may still read from it.
        var buffer = new byte[PieceSize];
        while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and int read)
        {
            await _watch.ArrivedAsync(read, isFirst: _written == 0, cancellationToken);
            ReadOnlyMemory<byte> piece = buffer.AsMemory(0, read);
            sha256.AppendData(piece.Span);
            await WriteAsync(destination.WriteAsync(piece, cancellationToken), cancellationToken);
            Volatile.Write(ref _written, _written + read);
            _watch.Taken();
        }

        await WriteAsync(new(destination.FlushAsync(cancellationToken)), cancellationToken);
        _elapsed = _watch.Elapsed;
    }

    /// <summary>Waits for a write, and no longer when the fetch is given up: a pipe that nobody reads never ends one.</summary>
    private static async Task WriteAsync(ValueTask write, CancellationToken cancellationToken)
    {
        try
        {
            await write.AsTask().WaitAsync(cancellationToken);
        }
        catch (IOException e)
        {
            throw new TransferException(TransferError.Disk, e.Message, e);
        }
    }
}
