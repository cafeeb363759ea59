namespace Kwik.Data;

/// <summary>Limits of one stream's aggregation.</summary>
public sealed record AggregatorOptions
{
    /// <summary>
    /// Bytes that may wait ahead of the reader: 64 KiB to 1 GiB, default 16 MiB. In positioned delivery, where pieces are
    /// taken wherever they lie, these are the bytes that have arrived and have not been taken. Worst case of memory a
    /// stream: twice this value, when every piece fills just over half of its block, plus 8 KiB for each of
    /// <see cref="MaxGaps"/>, plus 1.5 MiB; what would take more is refused. Sources that take turns in pieces below 2 KiB
    /// fill the window sooner.
    /// </summary>
    public long MaxPendingBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>
    /// Holes that may be open at once: 1 to 100,000, default 1,000. In positioned delivery a hole stays open while bytes
    /// behind it have been delivered.
    /// </summary>
    public int MaxGaps { get; init; } = 1000;

    /// <summary>What to do with different bytes for one offset; default <see cref="ConflictResolution.FirstWins"/>.</summary>
    public ConflictResolution ConflictResolution { get; init; } = ConflictResolution.FirstWins;

    /// <summary>Checks the ranges above.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxPendingBytes, 64 * 1024, nameof(MaxPendingBytes));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxPendingBytes, 1L << 30, nameof(MaxPendingBytes));
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxGaps, 1, nameof(MaxGaps));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxGaps, 100_000, nameof(MaxGaps));
        if (!Enum.IsDefined(ConflictResolution))
        {
            throw new ArgumentOutOfRangeException(nameof(ConflictResolution), ConflictResolution, "No such way to resolve a conflict.");
        }
    }
}
