namespace Kwik.Relay;

/// <summary>Why a link drops a datagram.</summary>
public enum LinkDrop
{
    /// <summary>It does not.</summary>
    None,

    /// <summary><see cref="LinkOptions.BlackHole"/>.</summary>
    BlackHole,

    /// <summary><see cref="LinkOptions.MaxDatagramBytes"/>.</summary>
    TooLong,

    /// <summary><see cref="LinkOptions.DropPositions"/> or <see cref="LinkOptions.Loss"/>.</summary>
    Loss,

    /// <summary><see cref="LinkOptions.QueueBytes"/>.</summary>
    QueueFull,
}

/// <summary>What becomes of one datagram. Times count from the same origin as the <c>now</c> that was given.</summary>
public readonly record struct LinkVerdict
{
    /// <summary>Why the datagram is dropped; anything but <see cref="LinkDrop.None"/> leaves the other members at 0.</summary>
    public LinkDrop Drop { get; init; }

    /// <summary>When its last bit leaves the bottleneck.</summary>
    public TimeSpan Departure { get; init; }

    /// <summary>Delay and jitter, from the departure to the other end.</summary>
    public TimeSpan Propagation { get; init; }

    /// <summary>How long it is then held back for others to overtake it; null for a datagram that keeps its place.</summary>
    public TimeSpan? HoldBack { get; init; }

    /// <summary>It arrives twice.</summary>
    public bool Duplicate { get; init; }

    /// <summary>The bit to flip, counted from the lowest bit of byte 0; null for none.</summary>
    public int? FlippedBit { get; init; }
}
