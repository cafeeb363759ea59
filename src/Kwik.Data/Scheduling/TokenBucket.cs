namespace Kwik.Data;

/// <summary>
/// How much may happen in a time: tokens come at a rate, up to a burst, and the bucket is full at the start. Safe for
/// concurrent use.
/// </summary>
internal sealed class TokenBucket(TimeProvider time, double perSecond, double burst)
{
    private readonly Lock _gate = new();
    private readonly double _burst = burst;
    private double _tokens = burst;
    private long _filledAt = time.GetTimestamp();

    /// <summary>Takes so many, all or none; false when there are not enough.</summary>
    public bool TryTake(double tokens = 1)
    {
        lock (_gate)
        {
            FillLocked();
            if (_tokens < tokens)
            {
                return false;
            }

            _tokens -= tokens;
            return true;
        }
    }

    /// <summary>Time until there are so many, at most the burst, if nobody takes any; zero when they are there.</summary>
    public TimeSpan TimeUntil(double tokens)
    {
        lock (_gate)
        {
            FillLocked();
            return TimeForLocked(tokens);
        }
    }

    /// <summary>Takes one in advance, and says how long to wait until it is there.</summary>
    public TimeSpan Reserve()
    {
        lock (_gate)
        {
            FillLocked();
            _tokens--;
            return TimeForLocked(0);
        }
    }

    /// <summary>What was taken did not count.</summary>
    public void GiveBack(double tokens = 1)
    {
        lock (_gate)
        {
            _tokens = Math.Min(_burst, _tokens + tokens);
        }
    }

    // Rounded up: zero only when they are there, however little is missing.
    private TimeSpan TimeForLocked(double tokens) =>
        TimeSpan.FromTicks((long)Math.Ceiling(Math.Max(0, tokens - _tokens) / perSecond * TimeSpan.TicksPerSecond));

    private void FillLocked()
    {
        long now = time.GetTimestamp();
        _tokens = Math.Min(_burst, _tokens + (time.GetElapsedTime(_filledAt, now).TotalSeconds * perSecond));
        _filledAt = now;
    }
}
