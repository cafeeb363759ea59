namespace Kwik.Data;

/// <summary>
/// How a client shares offered content out among its servers. The defaults were found by simulation; each says what it
/// trades for what.
/// </summary>
public sealed record DeliveryOptions
{
    /// <summary>
    /// Work that a server is given at a time, as time at its own rate: 10 ms to 10 s, default 250 ms. Longer costs fewer
    /// requests; shorter loses less when a server changes its rate or dies.
    /// </summary>
    public TimeSpan LeaseTime { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Most bytes of one lease; at least one leaf in any case: 64 KiB to 64 MiB, default 8 MiB.</summary>
    public int MaxLease { get; init; } = 8 * 1024 * 1024;

    /// <summary>
    /// Work that a server has beyond its round trip, as time at its own rate: 10 ms to 5 s, default 150 ms. It keeps a server
    /// busy while our next request is late; more of it waits in vain when the server dies.
    /// </summary>
    public TimeSpan Slack { get; init; } = TimeSpan.FromMilliseconds(150);

    /// <summary>
    /// Shortest silence after which a server that owes bytes is suspected, and what the reader waits for is asked elsewhere:
    /// 20 ms to 60 s, default 100 ms. Shorter hides shorter stalls, and asks twice for nothing on links that lose packets.
    /// Longer is what a server's own past says, where it has longer pauses.
    /// </summary>
    public TimeSpan SuspectAfter { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// As many times that silence, and the server is given up until it answers a probe (<see cref="ProbeInterval"/>): 2 to
    /// 20, default 3. All that it owes is asked elsewhere.
    /// </summary>
    public int DeadAfter { get; init; } = 3;

    /// <summary>How often a server that was given up is tried with one leaf: 100 ms to 60 s, default 1 s.</summary>
    public TimeSpan ProbeInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Bytes that may be asked for twice to finish earlier, in parts of the content: 0 to 1, default 0.02. At least two leaves,
    /// unless it is 0.
    /// </summary>
    public double DuplicateShare { get; init; } = 0.02;

    /// <summary>The same while the reader waits for just these bytes: at least <see cref="DuplicateShare"/>, default 0.05.</summary>
    public double BlockedDuplicateShare { get; init; } = 0.05;

    /// <summary>Checks the ranges above.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ThrowIfOutside(LeaseTime.TotalMilliseconds, 10, 10_000, nameof(LeaseTime));
        ThrowIfOutside(MaxLease, 64 * 1024, 64 * 1024 * 1024, nameof(MaxLease));
        ThrowIfOutside(Slack.TotalMilliseconds, 10, 5000, nameof(Slack));
        ThrowIfOutside(SuspectAfter.TotalMilliseconds, 20, 60_000, nameof(SuspectAfter));
        ThrowIfOutside(DeadAfter, 2, 20, nameof(DeadAfter));
        ThrowIfOutside(ProbeInterval.TotalMilliseconds, 100, 60_000, nameof(ProbeInterval));
        ThrowIfOutside(DuplicateShare, 0, 1, nameof(DuplicateShare));
        ThrowIfOutside(BlockedDuplicateShare, DuplicateShare, 1, nameof(BlockedDuplicateShare));
    }

    private static void ThrowIfOutside(double value, double lowest, double highest, string name)
    {
        // Not a comparison with each bound: NaN is outside of everything.
        if (!(value >= lowest && value <= highest))
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} is between {lowest} and {highest}.");
        }
    }
}
