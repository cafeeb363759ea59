namespace Kwik.Relay;

/// <summary>
/// What one direction of a link did so far. Read while the relay works, the members may be a few datagrams apart.
/// Once nothing is under way, <see cref="Received"/> + <see cref="Duplicated"/> is <see cref="Forwarded"/> plus all that
/// were dropped.
/// </summary>
public sealed record LinkCounters
{
    /// <summary>Datagrams that arrived at the link.</summary>
    public long Received { get; init; }

    /// <summary>Their payload bytes.</summary>
    public long ReceivedBytes { get; init; }

    /// <summary>Datagrams handed to the operating system at the other end, copies included.</summary>
    public long Forwarded { get; init; }

    /// <summary>Their payload bytes.</summary>
    public long ForwardedBytes { get; init; }

    /// <summary>Dropped by <see cref="LinkOptions.BlackHole"/>.</summary>
    public long DroppedByBlackHole { get; init; }

    /// <summary>Dropped by <see cref="LinkOptions.MaxDatagramBytes"/>.</summary>
    public long DroppedByLength { get; init; }

    /// <summary>Dropped by <see cref="LinkOptions.DropPositions"/> or <see cref="LinkOptions.Loss"/>.</summary>
    public long DroppedByLoss { get; init; }

    /// <summary>Dropped by <see cref="LinkOptions.QueueBytes"/>, or by the limit of 256 MiB that are under way.</summary>
    public long DroppedByQueue { get; init; }

    /// <summary>
    /// Dropped because the operating system did not take them: nobody listens there, or a send buffer is full.
    /// </summary>
    public long DroppedBySystem { get; init; }

    /// <summary>Datagrams that were sent a second time.</summary>
    public long Duplicated { get; init; }

    /// <summary>Datagrams that were held back.</summary>
    public long Reordered { get; init; }

    /// <summary>Datagrams with a flipped bit.</summary>
    public long Corrupted { get; init; }
}
