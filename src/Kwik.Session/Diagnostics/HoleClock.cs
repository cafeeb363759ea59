namespace Kwik.Sessions;

/// <summary>For how long each reader of a session has waited at the hole where it is. Safe for concurrent use.</summary>
internal sealed class HoleClock(TimeProvider time, Action<TimeSpan> ended)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<long, (long Offset, long Since)> _holes = [];

    /// <summary>Looks at a stream: the age of its hole, null when it has none.</summary>
    public TimeSpan? Look(long streamId, long? offset)
    {
        TimeSpan? closed = null;
        TimeSpan? age = null;
        lock (_gate)
        {
            bool isKnown = _holes.TryGetValue(streamId, out (long Offset, long Since) hole);
            if (isKnown && hole.Offset != offset)
            {
                closed = time.GetElapsedTime(hole.Since);
                _holes.Remove(streamId);
                isKnown = false;
            }

            if (offset is { } open)
            {
                hole = isKnown ? hole : (open, time.GetTimestamp());
                _holes[streamId] = hole;
                age = time.GetElapsedTime(hole.Since);
            }
        }

        if (closed is { } lasted)
        {
            ended(lasted);
        }

        return age;
    }
}
