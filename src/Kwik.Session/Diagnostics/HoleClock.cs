namespace Kwik.Sessions;

/// <summary>
/// For how long the readers of a session wait at holes, as far as is seen by looking now and then: a hole that was seen once is
/// none yet. Safe for concurrent use.
/// </summary>
internal sealed class HoleClock(TimeProvider time, Action<TimeSpan> ended)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<long, (long Offset, long First, long Last)> _holes = [];

    /// <summary>Looks at a stream, whose reader waits for the byte at this offset; null: for none.</summary>
    public void Look(long streamId, long? offset)
    {
        TimeSpan lasted = TimeSpan.Zero;
        lock (_gate)
        {
            long now = time.GetTimestamp();
            bool isKnown = _holes.TryGetValue(streamId, out (long Offset, long First, long Last) hole);
            if (isKnown && hole.Offset != offset)
            {
                lasted = time.GetElapsedTime(hole.First, hole.Last);
                _holes.Remove(streamId);
                isKnown = false;
            }

            if (offset is { } open)
            {
                _holes[streamId] = isKnown ? hole with { Last = now } : (open, now, now);
            }
        }

        if (lasted > TimeSpan.Zero)
        {
            ended(lasted);
        }
    }
}
