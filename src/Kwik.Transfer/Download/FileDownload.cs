using System.Security.Cryptography;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Transfer.Wire;

namespace Kwik.Transfer;

/// <summary>
/// One fetch, on one stream: 1. ask, 2. wait for what the file contains, 3. copy, 4. give the file its name. A timer beside
/// the copying reports progress and notices when nothing comes.
/// </summary>
internal sealed class FileDownload
{
    private const int BufferSize = 256 * 1024;
    private const int MaxStalls = 1000;

    private readonly ClientSession _session;
    private readonly KwikStream _stream;
    private readonly DownloadOptions _options;
    private readonly Dictionary<int, long> _before;
    private readonly List<TimeSpan> _stalls = [];
    private readonly long _started;
    private long _bytes;
    private long _lastByte;

    public FileDownload(ClientSession session, KwikStream stream, DownloadOptions options)
    {
        _session = session;
        _stream = stream;
        _options = options;
        _before = session.GetAllPaths().ToDictionary(path => path.Id, path => path.BytesReceived);
        _started = options.TimeProvider.GetTimestamp();
    }

    public async Task<DownloadResult> RunAsync(string path, string target, CancellationToken cancellationToken)
    {
        long length = await AskAsync(path, cancellationToken);
        using var part = PartFile.Create(target, length);
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        try
        {
            await CopyWatchedAsync(part, sha256, length, cancellationToken);
        }
        catch (KwikException e) when (e.Code == KwikError.NotFound)
        {
            // It was there when it was offered.
            throw new TransferException(
                TransferError.Verification, $"No server has the bytes any more that '{path}' was offered with; it was changed meanwhile.", e);
        }

        TimeSpan elapsed = Elapsed;
        part.Commit(_options.Overwrite);
        IReadOnlyList<DownloadSource> sources = Sources();
        _options.Progress?.Report(new(length, length, elapsed, sources));
        return new()
        {
            Bytes = length,
            Elapsed = elapsed,
            Sha256 = Convert.ToHexStringLower(sha256.GetHashAndReset()),
            // The stream of an offer has an end only when its bytes have the offered root.
            Verified = part.Length == length,
            DuplicateBytes = Math.Max(0, sources.Sum(source => source.Bytes) - length),
            Stalls = _stalls,
            Sources = sources,
        };
    }

    private TimeSpan Elapsed => _options.TimeProvider.GetElapsedTime(_started);

    /// <summary>Sends the request; returns the length of the file.</summary>
    private async Task<long> AskAsync(string path, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_options.OfferTimeout, _options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await _stream.WriteAsync(new FileRequest { Path = path }.ToByteArray(), either.Token);
            _stream.CompleteWrites();
            ContentOffer? offer = await _stream.GetOfferAsync(either.Token);
            return offer?.Length
                ?? throw new TransferException(TransferError.Failed, $"The server sends '{path}' without vouching for its bytes.");
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new TransferException(
                TransferError.Stalled, $"The server did not say within {_options.OfferTimeout.TotalSeconds:0} s what '{path}' contains.");
        }
    }

    private async Task CopyWatchedAsync(PartFile part, IncrementalHash sha256, long length, CancellationToken cancellationToken)
    {
        using var stalled = new CancellationTokenSource();
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stalled.Token, cancellationToken);
        using var timer = new PeriodicTimer(_options.ProgressInterval, _options.TimeProvider);
        _lastByte = _options.TimeProvider.GetTimestamp();
        Task watching = WatchAsync(timer, stalled, length);
        try
        {
            await CopyAsync(part, sha256, length, either.Token);
        }
        catch (OperationCanceledException) when (stalled.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new TransferException(
                TransferError.Stalled,
                $"No byte arrived for {_options.StallTimeout.TotalSeconds:0} s, after {_bytes} of {length} bytes.");
        }
        finally
        {
            timer.Dispose();
            await watching;
        }
    }

    private async Task CopyAsync(PartFile part, IncrementalHash sha256, long length, CancellationToken cancellationToken)
    {
        var buffer = new byte[Math.Clamp(length, 1, BufferSize)];
        while (true)
        {
            long asked = _options.TimeProvider.GetTimestamp();
            int read = await _stream.ReadAsync(buffer, cancellationToken);
            NoteWait(asked);
            if (read == 0)
            {
                return;
            }

            sha256.AppendData(buffer, 0, read);
            await part.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            Volatile.Write(ref _bytes, part.Length);
        }
    }

    // A stall is time that we waited; a disk that keeps us busy is not the servers' doing.
    private void NoteWait(long asked)
    {
        long now = _options.TimeProvider.GetTimestamp();
        TimeSpan waited = _options.TimeProvider.GetElapsedTime(asked, now);
        if (_bytes > 0 && waited > DownloadResult.StallThreshold && _stalls.Count < MaxStalls)
        {
            _stalls.Add(waited);
        }

        Volatile.Write(ref _lastByte, now);
    }

    private async Task WatchAsync(PeriodicTimer timer, CancellationTokenSource stalled, long length)
    {
        while (await timer.WaitForNextTickAsync(CancellationToken.None))
        {
            _options.Progress?.Report(new(Volatile.Read(ref _bytes), length, Elapsed, Sources()));
            if (_options.TimeProvider.GetElapsedTime(Volatile.Read(ref _lastByte)) > _options.StallTimeout)
            {
                await stalled.CancelAsync();
            }
        }
    }

    private List<DownloadSource> Sources() =>
        [.. _session.GetAllPaths().Select(path => new DownloadSource(path, path.BytesReceived - _before.GetValueOrDefault(path.Id)))];
}
