using Kwik.Data;

namespace Kwik.Streams;

/// <summary>What a client allows the Internal streams of its servers.</summary>
public sealed record SecondaryStreamOptions
{
    /// <summary>
    /// Internal streams that a server may have open on its path: 1 to 1,024, default 64. Worst case of memory: a frame of
    /// 1 MiB each, while the public stream has no room for it; ours write frames of 64 KiB.
    /// </summary>
    public int MaxStreamsPerPath { get; init; } = 64;

    /// <summary>
    /// A stream that owes bytes and delivers less than 240 bytes a second for so long is stopped, with
    /// <see cref="KwikError.Timeout"/>: 1 s to 10 min, default 10 s. The clock stands still while we hold the stream back.
    /// </summary>
    public TimeSpan StreamTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Bytes read at once and kept in one block: 4 KiB to 64 KiB, default 64 KiB. Less wastes less on small frames.</summary>
    public int BufferSize { get; init; } = 64 * 1024;

    /// <summary>The open frame is complete within this time after the stream arrived: 100 ms to 1 min, default 5 s.</summary>
    public TimeSpan MetadataTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Pieces placed while the public stream is locked once: 1 to 256, default 16. More costs its reader waiting time.</summary>
    public int AggregationBatchSize { get; init; } = 16;

    /// <summary>
    /// A pushed stream may arrive before its public stream, or before the primary's permission. So long it waits, unread,
    /// until the primary is asked for the first time; each further wait is twice as long: 10 ms to 10 s, default 500 ms.
    /// </summary>
    public TimeSpan MappingTryTimeout { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Times that the primary is asked, until the stream is aborted: 0 to 8, default 3 (7.5 s in all).</summary>
    public int MappingRetries { get; init; } = 3;

    /// <summary>Checks the ranges above.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ThrowIfOutside(MaxStreamsPerPath, 1, 1024, nameof(MaxStreamsPerPath));
        ThrowIfOutside(StreamTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10), nameof(StreamTimeout));
        ThrowIfOutside(BufferSize, 4 * 1024, 64 * 1024, nameof(BufferSize));
        ThrowIfOutside(MetadataTimeout, TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1), nameof(MetadataTimeout));
        ThrowIfOutside(AggregationBatchSize, 1, 256, nameof(AggregationBatchSize));
        ThrowIfOutside(MappingTryTimeout, TimeSpan.FromMilliseconds(10), TimeSpan.FromSeconds(10), nameof(MappingTryTimeout));
        ThrowIfOutside(MappingRetries, 0, 8, nameof(MappingRetries));
    }

    private static void ThrowIfOutside<T>(T value, T lowest, T highest, string name)
        where T : IComparable<T>
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, lowest, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, highest, name);
    }
}
