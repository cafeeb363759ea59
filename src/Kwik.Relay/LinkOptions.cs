using System.Collections.Frozen;

namespace Kwik.Relay;

/// <summary>
/// What one direction of a link does to datagrams. The default passes everything on at once.
/// </summary>
/// <remarks>
/// <para>A datagram meets the faults in this order: black hole, length limit, drops by position, loss, queue limit, rate,
/// then delay with jitter; what is lost therefore takes no capacity. Rate and queue count UDP payload bytes, without IP and UDP headers.</para>
/// <para>Memory of one direction: <see cref="QueueBytes"/> plus what the rate lets through in <see cref="Delay"/> and
/// <see cref="Jitter"/>. Without a rate it is what arrives in that time, and never more than 256 MiB: beyond, datagrams
/// are dropped as if the queue were full.</para>
/// </remarks>
public sealed record LinkOptions
{
    /// <summary>A limit that no link of a test needs to exceed, so that a slip of unit is noticed: 100 Gbit/s.</summary>
    private const long MaxBitsPerSecond = 100_000_000_000;

    private static readonly TimeSpan MaxDelay = TimeSpan.FromMinutes(1);

    /// <summary>The rate of the bottleneck, 1 to 100,000,000,000; null (default): no bottleneck.</summary>
    public long? BitsPerSecond { get; init; }

    /// <summary>
    /// Bytes that may wait for the bottleneck, at least 1; a datagram that would exceed them is dropped (drop-tail), except
    /// that an idle bottleneck takes any datagram. Default 1 MiB. Has no effect without a rate. The longest wait
    /// is this by the rate.
    /// </summary>
    public long QueueBytes { get; init; } = 1024 * 1024;

    /// <summary>Time from the bottleneck to the other end, 0 (default) to 1 minute.</summary>
    public TimeSpan Delay { get; init; }

    /// <summary>
    /// Up to this is added to <see cref="Delay"/>, evenly distributed, 0 (default) to 1 minute. Order is kept: a datagram
    /// waits for the one before it.
    /// </summary>
    public TimeSpan Jitter { get; init; }

    /// <summary>The share of datagrams that is lost, 0 (default) to 1.</summary>
    public double Loss { get; init; }

    /// <summary>
    /// Datagrams that are lost in a row, at least 1; the share stays <see cref="Loss"/>. 1 (default): each is lost or not
    /// independently of the others. Two bursts may follow each other.
    /// </summary>
    public int LossBurst { get; init; } = 1;

    /// <summary>The share of datagrams that is held back so that later ones overtake them, 0 (default) to 1.</summary>
    public double Reordering { get; init; }

    /// <summary>How long such a datagram is held back in addition to its delay, 0 to 1 minute. Default 2 ms.</summary>
    public TimeSpan ReorderingDelay { get; init; } = TimeSpan.FromMilliseconds(2);

    /// <summary>The share of datagrams that arrives twice, 0 (default) to 1. The copy takes no capacity.</summary>
    public double Duplication { get; init; }

    /// <summary>The share of datagrams in which one bit, anywhere, is flipped, 0 (default) to 1.</summary>
    public double Corruption { get; init; }

    /// <summary>
    /// <see cref="Corruption"/> of the datagrams that begin with a QUIC long header, that is, of handshakes: 0 to 1; null
    /// (default): as of all others.
    /// </summary>
    public double? LongHeaderCorruption { get; init; }

    /// <summary>
    /// Datagrams with more bytes of UDP payload are dropped, as by a path whose MTU is smaller and which does not say so:
    /// at least 1; null (default): no limit.
    /// </summary>
    public int? MaxDatagramBytes { get; init; }

    /// <summary>
    /// Datagrams to drop by their position: 1 is the first that arrives after these options became effective. Default:
    /// none. Dropped ones count as lost.
    /// </summary>
    public IReadOnlySet<long> DropPositions { get; init; } = FrozenSet<long>.Empty;

    /// <summary>Swallows every datagram that arrives. What is under way already still comes out at the other end.</summary>
    public bool BlackHole { get; init; }

    /// <summary>Checks every range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The message names the option and its range.</exception>
    public void Validate()
    {
        Check(BitsPerSecond is null or (>= 1 and <= MaxBitsPerSecond), nameof(BitsPerSecond), "1 to 100,000,000,000, or null");
        Check(QueueBytes >= 1, nameof(QueueBytes), "at least 1");
        CheckDelay(Delay, nameof(Delay));
        CheckDelay(Jitter, nameof(Jitter));
        CheckDelay(ReorderingDelay, nameof(ReorderingDelay));
        CheckShare(Loss, nameof(Loss));
        CheckShare(Reordering, nameof(Reordering));
        CheckShare(Duplication, nameof(Duplication));
        CheckShare(Corruption, nameof(Corruption));
        CheckShare(LongHeaderCorruption ?? 0, nameof(LongHeaderCorruption));
        Check(MaxDatagramBytes is null or >= 1, nameof(MaxDatagramBytes), "at least 1, or null");
        ArgumentNullException.ThrowIfNull(DropPositions);
        Check(LossBurst >= 1, nameof(LossBurst), "at least 1");
    }

    private static void CheckDelay(TimeSpan value, string option) =>
        Check(value >= TimeSpan.Zero && value <= MaxDelay, option, "0 to 1 minute");

    private static void CheckShare(double value, string option) => Check(value is >= 0 and <= 1, option, "0 to 1");

    private static void Check(bool holds, string option, string range)
    {
        if (!holds)
        {
            throw new ArgumentOutOfRangeException(option, $"LinkOptions.{option} must be {range}.");
        }
    }
}
