using Google.Protobuf;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Transfer.Wire;

namespace Kwik.Transfer;

/// <summary>
/// What a fetch to a file and one to a stream have in common: the request, the clock, the pace, and a timer beside the copying
/// that reports progress and notices when nothing comes.
/// </summary>
internal sealed class DownloadWatch
{
    private const int MaxStalls = 1000;

    // What was not used of the rate for so long is not made up for later.
    private static readonly TimeSpan Burst = TimeSpan.FromMilliseconds(100);

    private readonly ClientSession _session;
    private readonly DownloadOptions _options;
    private readonly Dictionary<int, long> _before;
    private readonly List<TimeSpan> _stalls = [];
    private readonly long _started;
    private TimeSpan _due;
    private long _lastPiece;

    // What ended the copying from beside it; the first one counts.
    private Exception? _failure;

    public DownloadWatch(ClientSession session, DownloadOptions options)
    {
        _session = session;
        _options = options;
        _before = session.GetAllPaths().ToDictionary(path => path.Id, path => path.BytesReceived);
        _started = options.TimeProvider.GetTimestamp();
    }

    /// <summary>Since the fetch began.</summary>
    public TimeSpan Elapsed => _options.TimeProvider.GetElapsedTime(_started);

    /// <summary>See <see cref="DownloadResult.Stalls"/>.</summary>
    public IReadOnlyList<TimeSpan> Stalls => _stalls;

    /// <summary>What each server sent since the fetch began.</summary>
    public List<DownloadSource> Sources() =>
        [.. _session.GetAllPaths().Select(path => new DownloadSource(path, path.BytesReceived - _before.GetValueOrDefault(path.Id)))];

    /// <summary>Sends the request; returns what the file contains.</summary>
    public async Task<ContentOffer> AskAsync(KwikStream stream, string path, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_options.OfferTimeout, _options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await stream.WriteAsync(new FileRequest { Path = path }.ToByteArray(), either.Token);
            stream.CompleteWrites();
            return await stream.GetOfferAsync(either.Token)
                ?? throw new TransferException(TransferError.Failed, $"The server sends '{path}' without vouching for its bytes.");
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new TransferException(
                TransferError.Stalled, $"The server did not say within {_options.OfferTimeout.TotalSeconds:0} s what '{path}' contains; a long file it may have to read first.");
        }
    }

    /// <summary>Copies, with the watch and what else there is beside it.</summary>
    /// <param name="length">Of the file.</param>
    /// <param name="resumed">Those of its bytes that were there before.</param>
    /// <param name="written">Tells how many are there, on any thread.</param>
    /// <param name="copy">Calls <see cref="ArrivedAsync"/> and <see cref="Taken"/> for every piece; must end when it is cancelled.</param>
    /// <param name="beside">Run on the thread pool until they end, or the copying does; what one fails with is thrown here.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    public async Task RunAsync(
        long length,
        long resumed,
        Func<long> written,
        Func<CancellationToken, Task> copy,
        IEnumerable<Func<CancellationToken, Task>> beside,
        CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var timer = new PeriodicTimer(_options.ProgressInterval, _options.TimeProvider);
        Taken();
        Task[] tasks =
        [
            BesideAsync(token => WatchAsync(timer, length, resumed, written, token), stop),
            .. beside.Select(work => BesideAsync(work, stop)),
        ];
        try
        {
            await copy(stop.Token);
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
            await Task.WhenAll(tasks);
        }

        if (_failure is not null)
        {
            throw _failure;
        }
    }

    /// <summary>A piece is here: counts the wait for it, and makes it wait until the rate allows it.</summary>
    /// <param name="bytes">Of the piece.</param>
    /// <param name="isFirst">The wait for it was for the fetch to begin.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    public async ValueTask ArrivedAsync(int bytes, bool isFirst, CancellationToken cancellationToken)
    {
        // A stall is time that we waited; a disk that keeps us busy, or our own pace, is not the servers' doing.
        TimeSpan waited = _options.TimeProvider.GetElapsedTime(_lastPiece);
        if (!isFirst && waited > DownloadResult.StallThreshold && _stalls.Count < MaxStalls)
        {
            _stalls.Add(waited);
        }

        Volatile.Write(ref _lastPiece, long.MaxValue);
        if (_options.MaxBytesPerSecond is { } rate)
        {
            TimeSpan now = Elapsed;
            TimeSpan earliest = now - Burst;
            _due = (_due > earliest ? _due : earliest) + TimeSpan.FromSeconds((double)bytes / rate);
            if (_due > now)
            {
                await Task.Delay(_due - now, _options.TimeProvider, cancellationToken);
            }
        }
    }

    /// <summary>The piece is where it belongs: from now on we wait for the next one.</summary>
    public void Taken() => Volatile.Write(ref _lastPiece, _options.TimeProvider.GetTimestamp());

    /// <summary>Runs something on the thread pool; what it fails with ends the copying, and is thrown there.</summary>
    private async Task BesideAsync(Func<CancellationToken, Task> work, CancellationTokenSource stop)
    {
        try
        {
            await Task.Run(() => work(stop.Token), CancellationToken.None);
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

    private async Task WatchAsync(PeriodicTimer timer, long length, long resumed, Func<long> written, CancellationToken cancellationToken)
    {
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            long bytes = written();
            long last = Volatile.Read(ref _lastPiece);
            TimeSpan silence = last == long.MaxValue || bytes == length ? TimeSpan.Zero : _options.TimeProvider.GetElapsedTime(last);
            _options.Progress?.Report(new(bytes, length, resumed, Elapsed, Sources()) { Silence = silence });
            if (silence > _options.StallTimeout)
            {
                throw new TransferException(
                    TransferError.Stalled,
                    $"No byte arrived for {_options.StallTimeout.TotalSeconds:0} s, after {bytes} of {length} bytes.");
            }
        }
    }
}
