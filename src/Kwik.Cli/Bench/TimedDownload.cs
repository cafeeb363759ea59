namespace Kwik.Cli.Bench;

/// <summary>
/// When the bytes of one download came. The clock starts with it, when the file is asked for. Safe for one writer; others
/// may read <see cref="Elapsed"/>.
/// </summary>
internal sealed class TimedDownload(TimeProvider time)
{
    // Shorter ones are not kept: a reader that takes turns with others on a processor has many.
    private static readonly TimeSpan ShortestGap = TimeSpan.FromMilliseconds(20);

    private readonly long _asked = time.GetTimestamp();
    private readonly List<Gap> _gaps = [];
    private long _firstChunk;

    /// <summary>A download that should take this long has failed after so long.</summary>
    public static TimeSpan Limit(TimeSpan duration) => (duration * 5) + TimeSpan.FromSeconds(30);

    /// <summary>A time without bytes.</summary>
    /// <param name="End">When the next bytes came, from the request.</param>
    /// <param name="Length">How long it was.</param>
    public readonly record struct Gap(TimeSpan End, TimeSpan Length);

    /// <summary>Since the request.</summary>
    public TimeSpan Elapsed => time.GetElapsedTime(_asked);

    /// <summary>Bytes that have come.</summary>
    public long Bytes { get; private set; }

    /// <summary>From the request to the first bytes; null before these.</summary>
    public TimeSpan? FirstByte { get; private set; }

    /// <summary>From the request to the last bytes so far.</summary>
    public TimeSpan LastByte { get; private set; }

    /// <summary>Times of 20 ms and more between two successive arrivals.</summary>
    public IReadOnlyList<Gap> Gaps => _gaps;

    /// <summary>Rate from the first byte to the last, bits per second; what came with the first byte is not counted.</summary>
    public double BitsPerSecond => Rate(Bytes - _firstChunk, LastByte - (FirstByte ?? LastByte));

    /// <summary>Rate from the request to the last byte, bits per second.</summary>
    public double BitsPerSecondWithStart => Rate(Bytes, LastByte);

    /// <summary>Bytes came just now.</summary>
    public void Arrived(long bytes)
    {
        TimeSpan now = Elapsed;
        if (FirstByte is null)
        {
            (FirstByte, _firstChunk) = (now, bytes);
        }
        else if (now - LastByte >= ShortestGap)
        {
            _gaps.Add(new(now, now - LastByte));
        }

        LastByte = now;
        Bytes += bytes;
    }

    private static double Rate(long bytes, TimeSpan elapsed) => elapsed > TimeSpan.Zero ? bytes * 8 / elapsed.TotalSeconds : 0;
}
