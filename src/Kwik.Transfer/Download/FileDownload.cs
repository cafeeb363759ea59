using Google.Protobuf;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Transfer.Wire;

namespace Kwik.Transfer;

/// <summary>
/// One fetch, on one stream: 1. say what is held, 2. ask, 3. wait for what the file contains, 4. copy every piece to its place,
/// 5. give the file its name. Beside the copying the file is hashed, what is on the disk is recorded, and a timer reports progress
/// and notices when nothing comes.
/// </summary>
internal sealed class FileDownload
{
    private const int MaxStalls = 1000;

    private readonly ClientSession _session;
    private readonly KwikStream _stream;
    private readonly PartFile _part;
    private readonly DownloadOptions _options;
    private readonly Dictionary<int, long> _before;
    private readonly List<TimeSpan> _stalls = [];
    private readonly long _started;
    private long _resumed;
    private TimeSpan _elapsed;
    private long _lastPiece;

    // What ended the copying from beside it; the first one counts.
    private Exception? _failure;

    public FileDownload(ClientSession session, KwikStream stream, PartFile part, DownloadOptions options)
    {
        _session = session;
        _stream = stream;
        _part = part;
        _options = options;
        _before = session.GetAllPaths().ToDictionary(path => path.Id, path => path.BytesReceived);
        _started = options.TimeProvider.GetTimestamp();
    }

    // As often as this, what is on the disk is recorded: a process that is killed has lost no more. Each time costs a flush.
    private static TimeSpan RecordInterval { get; } = TimeSpan.FromSeconds(1);

    private TimeSpan Elapsed => _options.TimeProvider.GetElapsedTime(_started);

    /// <summary>Null when the part did not hold what its record said; it is gone then.</summary>
    public async Task<DownloadResult?> RunAsync(string path, bool resume, CancellationToken cancellationToken)
    {
        PartRecord? held = resume ? _part.Held : null;
        if (held is not null)
        {
            _stream.Resume(held.Offer, held.Ranges);
        }

        ContentOffer offer = await AskAsync(path, cancellationToken);
        bool resumes = held?.Offer == offer;
        _resumed = resumes ? held!.Bytes : 0;
        _part.Begin(offer, resumes);
        bool rechecks = _resumed > 0 && _options.VerifyExisting;
        using var hash = new PrefixHash(_part, offer, rechecks);
        try
        {
            await CopyWatchedAsync(hash, offer.Length, cancellationToken);
        }
        catch (KwikException e) when (e.Code == KwikError.NotFound)
        {
            // It was there when it was offered.
            _part.Discard();
            throw new TransferException(
                TransferError.Verification,
                $"No server has the bytes any more that '{path}' was offered with; it was changed meanwhile.", e);
        }
        catch
        {
            _part.Record();
            throw;
        }

        if (!hash.FinishRoot())
        {
            _part.Discard();
            return null;
        }

        _part.Commit(_options.Overwrite);
        IReadOnlyList<DownloadSource> sources = Sources();
        _options.Progress?.Report(new(offer.Length, offer.Length, _resumed, _elapsed, sources));
        return new()
        {
            Bytes = offer.Length,
            ResumedBytes = _resumed,
            Elapsed = _elapsed,
            Sha256 = hash.FinishSha256(),
            // What is copied of an offer was checked leaf by leaf.
            Verified = _resumed == 0 || rechecks,
            DuplicateBytes = Math.Max(0, sources.Sum(source => source.Bytes) - (offer.Length - _resumed)),
            Stalls = _stalls,
            Sources = sources,
        };
    }

    /// <summary>Sends the request; returns what the file contains.</summary>
    private async Task<ContentOffer> AskAsync(string path, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_options.OfferTimeout, _options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await _stream.WriteAsync(new FileRequest { Path = path }.ToByteArray(), either.Token);
            _stream.CompleteWrites();
            return await _stream.GetOfferAsync(either.Token)
                ?? throw new TransferException(TransferError.Failed, $"The server sends '{path}' without vouching for its bytes.");
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new TransferException(
                TransferError.Stalled, $"The server did not say within {_options.OfferTimeout.TotalSeconds:0} s what '{path}' contains.");
        }
    }

    /// <summary>Copies, and hashes what was copied, to the end.</summary>
    private async Task CopyWatchedAsync(PrefixHash hash, long length, CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var progressTimer = new PeriodicTimer(_options.ProgressInterval, _options.TimeProvider);
        using var recordTimer = new PeriodicTimer(RecordInterval, _options.TimeProvider);
        _lastPiece = _options.TimeProvider.GetTimestamp();
        Task watching = BesideAsync(() => WatchAsync(progressTimer, length), stop);
        Task recording = BesideAsync(() => RecordAsync(recordTimer), stop);
        Task hashing = BesideAsync(() => hash.RunAsync(stop.Token), stop);
        try
        {
            await _stream.CopyToAsync((piece, offset) => TakeAsync(piece, offset, hash), stop.Token);
            _elapsed = Elapsed;
            await hashing;
            // It ends without a word when it is cancelled.
            stop.Token.ThrowIfCancellationRequested();
        }
        catch (OperationCanceledException) when (_failure is null)
        {
            throw new OperationCanceledException(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // Thrown below.
        }
        finally
        {
            await stop.CancelAsync();
            progressTimer.Dispose();
            recordTimer.Dispose();
            await watching;
            await recording;
            await hashing;
        }

        if (_failure is not null)
        {
            throw _failure;
        }
    }

    /// <summary>Runs something on the thread pool; what it fails with ends the copying, and is thrown there.</summary>
    private async Task BesideAsync(Func<Task> work, CancellationTokenSource stop)
    {
        try
        {
            await Task.Run(work, CancellationToken.None);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The copying has ended.
        }
        catch (Exception e)
        {
            Interlocked.CompareExchange(ref _failure, e, null);
            await stop.CancelAsync();
        }
    }

    private ValueTask TakeAsync(ReadOnlyMemory<byte> piece, long offset, PrefixHash hash)
    {
        // A stall is time that we waited; a disk that keeps us busy is not the servers' doing.
        TimeSpan waited = _options.TimeProvider.GetElapsedTime(_lastPiece);
        if (_part.WrittenBytes > _resumed && waited > DownloadResult.StallThreshold && _stalls.Count < MaxStalls)
        {
            _stalls.Add(waited);
        }

        Volatile.Write(ref _lastPiece, long.MaxValue);
        // Into the page cache, which takes microseconds, or waits for the disk, as nothing else could be done but to wait.
        _part.Write(piece.Span, offset);
        hash.Advance();
        Volatile.Write(ref _lastPiece, _options.TimeProvider.GetTimestamp());
        return ValueTask.CompletedTask;
    }

    private async Task WatchAsync(PeriodicTimer timer, long length)
    {
        while (await timer.WaitForNextTickAsync(CancellationToken.None))
        {
            long written = _part.WrittenBytes;
            _options.Progress?.Report(new(written, length, _resumed, Elapsed, Sources()));
            long last = Volatile.Read(ref _lastPiece);
            if (written < length && last != long.MaxValue && _options.TimeProvider.GetElapsedTime(last) > _options.StallTimeout)
            {
                throw new TransferException(
                    TransferError.Stalled,
                    $"No byte arrived for {_options.StallTimeout.TotalSeconds:0} s, after {written} of {length} bytes.");
            }
        }
    }

    private async Task RecordAsync(PeriodicTimer timer)
    {
        while (await timer.WaitForNextTickAsync(CancellationToken.None))
        {
            _part.Record();
        }
    }

    private List<DownloadSource> Sources() =>
        [.. _session.GetAllPaths().Select(path => new DownloadSource(path, path.BytesReceived - _before.GetValueOrDefault(path.Id)))];
}
