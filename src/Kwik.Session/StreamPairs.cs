using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// Joins the halves of public streams that the peer opens: Main and Error bear the same id, and come in either order. Safe
/// for concurrent use.
/// </summary>
/// <param name="limit">Halves that may wait for the other one.</param>
/// <param name="time">The session's clock.</param>
internal sealed class StreamPairs(int limit, TimeProvider time)
{
    // How often halves are looked at that wait: a third of what they may wait.
    private static readonly TimeSpan SweepInterval = SessionTimeouts.Pairing / 3;

    private readonly Lock _gate = new();
    private readonly Dictionary<UInt128, (ITransportStream Stream, StreamType Type, long Since)> _waiting = [];
    private readonly AsyncSignal _added = new();
    private bool _isCleared;

    /// <summary>
    /// A half has arrived. None, and both halves, when that completes a pair; None and null while it waits for the other one;
    /// else what it is to be aborted with: for a second half of one type its twin is aborted, too.
    /// </summary>
    public KwikError Add(StreamHeader header, ITransportStream stream, out (ITransportStream Main, ITransportStream Error)? pair)
    {
        pair = null;
        ITransportStream? twin;
        lock (_gate)
        {
            if (!_waiting.Remove(header.Id, out var other))
            {
                if (_isCleared || _waiting.Count == limit)
                {
                    return _isCleared ? KwikError.Cancelled : KwikError.LimitExceeded;
                }

                _waiting.Add(header.Id, (stream, header.Type, time.GetTimestamp()));
                _added.Set();
                return KwikError.None;
            }

            if (other.Type != header.Type)
            {
                pair = header.Type == StreamType.Main ? (stream, other.Stream) : (other.Stream, stream);
                return KwikError.None;
            }

            twin = other.Stream;
        }

        Abort(twin, KwikError.MetadataProtocolViolation);
        return KwikError.MetadataProtocolViolation;
    }

    /// <summary>
    /// Aborts halves that have waited for too long; <paramref name="expired"/> runs for each whose opener has not given it up
    /// itself. Runs until it is cancelled.
    /// </summary>
    public async Task SweepAsync(Action expired, CancellationToken cancellationToken)
    {
        while (true)
        {
            if (TakeExpired(TimeSpan.MaxValue, out int left).Count == 0 && left == 0)
            {
                await _added.WaitAsync(cancellationToken);
            }

            await Task.Delay(SweepInterval, time, cancellationToken);
            foreach (ITransportStream stream in TakeExpired(SessionTimeouts.Pairing, out _))
            {
                if (!stream.WritesClosed.IsFaulted)
                {
                    expired();
                }

                Abort(stream, KwikError.Timeout);
            }
        }
    }

    /// <summary>The connection has ended: no half will find its twin.</summary>
    public void Clear()
    {
        lock (_gate)
        {
            _isCleared = true;
        }

        TakeExpired(TimeSpan.Zero, out _).ForEach(stream => Abort(stream, KwikError.Cancelled));
    }

    private List<ITransportStream> TakeExpired(TimeSpan age, out int left)
    {
        var taken = new List<ITransportStream>();
        lock (_gate)
        {
            foreach ((UInt128 id, (ITransportStream stream, _, long since)) in _waiting)
            {
                if (time.GetElapsedTime(since) >= age)
                {
                    taken.Add(stream);
                    _waiting.Remove(id);
                }
            }

            left = _waiting.Count;
        }

        return taken;
    }

    private static void Abort(ITransportStream stream, KwikError code)
    {
        stream.AbortReads(code);
        stream.AbortWrites(code);
        // Its end is not waited for; nothing can fail any more.
        _ = stream.DisposeAsync().AsTask();
    }
}
