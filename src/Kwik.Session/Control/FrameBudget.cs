namespace Kwik.Sessions;

/// <summary>
/// A token bucket: how many control frames may come, or go, in a time. Frames that belong to work with a bound of its own
/// are given back when that work is done, so that only the others count. Safe for concurrent use.
/// </summary>
internal sealed class FrameBudget(TimeProvider time, int perSecond, int burst)
{
    /// <summary>Control frames that a peer may send each second.</summary>
    public const int FramesPerSecond = 1000;

    /// <summary>Raw data that this side sends each second: with room for what others send beside it on the same connection.</summary>
    public const int RawDataPerSecond = 250;

    /// <summary>
    /// Raw data that a client carries to one server each second: more than one sender sends, because what was sent evenly may
    /// arrive in a bunch.
    /// </summary>
    public const int CarriedPerSecond = 2 * RawDataPerSecond;

    private readonly Lock _gate = new();
    private double _tokens = burst;
    private long _filledAt = time.GetTimestamp();

    /// <summary>
    /// What a peer may send: a second's worth at once, and for each public stream the two frames that it may cost.
    /// </summary>
    public static FrameBudget OfPeer(TimeProvider time, int publicStreams) =>
        new(time, FramesPerSecond, FramesPerSecond + (2 * publicStreams));

    /// <summary>False when it is one too many.</summary>
    public bool TryTake()
    {
        lock (_gate)
        {
            FillLocked();
            if (_tokens < 1)
            {
                return false;
            }

            _tokens--;
            return true;
        }
    }

    /// <summary>Takes one in advance, and says how long to wait until it is there.</summary>
    public TimeSpan Reserve()
    {
        lock (_gate)
        {
            FillLocked();
            _tokens--;
            return _tokens >= 0 ? TimeSpan.Zero : TimeSpan.FromSeconds(-_tokens / perSecond);
        }
    }

    /// <summary>One that was taken did not count.</summary>
    public void GiveBack()
    {
        lock (_gate)
        {
            _tokens = Math.Min(burst, _tokens + 1);
        }
    }

    private void FillLocked()
    {
        long now = time.GetTimestamp();
        _tokens = Math.Min(burst, _tokens + (time.GetElapsedTime(_filledAt, now).TotalSeconds * perSecond));
        _filledAt = now;
    }
}
