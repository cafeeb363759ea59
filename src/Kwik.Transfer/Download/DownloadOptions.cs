using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Transfer;

/// <summary>How a file is fetched.</summary>
public sealed record DownloadOptions
{
    /// <summary>Replaces a target that exists, in one step at the end. Default false.</summary>
    public bool Overwrite { get; init; }

    /// <summary>
    /// Goes on from what an earlier fetch of this target has left, if the server has the same content still; else everything is
    /// fetched. False: what is left is replaced. Default true.
    /// </summary>
    public bool Resume { get; init; } = true;

    /// <summary>
    /// Checks what an earlier fetch has left against the content root before the file gets its name, which reads nothing that is
    /// not read anyhow, and costs the time of hashing the file once more; if it was changed, everything is fetched. False: what
    /// its record vouches for is taken as it is. Default true.
    /// </summary>
    public bool VerifyExisting { get; init; } = true;

    /// <summary>
    /// Told how far it is, every <see cref="ProgressInterval"/> and once at the end; one call at a time, on any thread. A call
    /// that blocks delays only the next one, and the end. Null, the default: nobody.
    /// </summary>
    public IProgress<DownloadProgress>? Progress { get; init; }

    /// <summary>10 ms to 1 min, default 100 ms.</summary>
    public TimeSpan ProgressInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// A server has this long to say what the file contains, for which it may have to read it all: 1 s to 1 day, default
    /// 5 min.
    /// </summary>
    public TimeSpan OfferTimeout { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>The longest time without a byte afterwards: 1 s to 1 day, default 30 s.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Most bytes of the file that are taken in a second, from all servers together: 1 KiB to 1 TiB; null, the default: as many as
    /// come. Servers are asked for more only as what they sent is taken, so that they send no more either, but for what may wait
    /// ahead (<see cref="AggregatorOptions.MaxPendingBytes"/> of the session). Of several fetches over one session each has its own.
    /// </summary>
    public long? MaxBytesPerSecond { get; init; }

    /// <summary>The clock; default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ThrowIfOutside(ProgressInterval, TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(1), nameof(ProgressInterval));
        ThrowIfOutside(OfferTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1), nameof(OfferTimeout));
        ThrowIfOutside(StallTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1), nameof(StallTimeout));
        if (MaxBytesPerSecond is { } rate)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(rate, 1L << 10, nameof(MaxBytesPerSecond));
            ArgumentOutOfRangeException.ThrowIfGreaterThan(rate, 1L << 40, nameof(MaxBytesPerSecond));
        }
    }

    private static void ThrowIfOutside(TimeSpan value, TimeSpan lowest, TimeSpan highest, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, lowest, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, highest, name);
    }
}

/// <summary>How far a fetch is.</summary>
/// <param name="Bytes">Verified and written to the part file, wherever in it, with those of an earlier fetch.</param>
/// <param name="Length">Of the whole file.</param>
/// <param name="ResumedBytes">Those of an earlier fetch. The rest took <paramref name="Elapsed"/>.</param>
/// <param name="Elapsed">Since the fetch began.</param>
/// <param name="Sources">What each server sent so far.</param>
public sealed record DownloadProgress(
    long Bytes, long Length, long ResumedBytes, TimeSpan Elapsed, IReadOnlyList<DownloadSource> Sources)
{
    /// <summary>How long no byte has come; zero while one is written, or waits for <see cref="DownloadOptions.MaxBytesPerSecond"/>.</summary>
    public TimeSpan Silence { get; init; }

    /// <summary>
    /// When it will be whole, if it goes on as it did so far; null before something has arrived.
    /// </summary>
    public TimeSpan? Remaining => Bytes > ResumedBytes && Elapsed > TimeSpan.Zero
        ? Elapsed * ((double)(Length - Bytes) / (Bytes - ResumedBytes))
        : null;
}

/// <summary>One server's part in a fetch.</summary>
/// <param name="Path">Its path, at that moment.</param>
/// <param name="Bytes">Payload received from it in the session since the fetch began.</param>
public sealed record DownloadSource(PathInfo Path, long Bytes);

/// <summary>A fetch that succeeded.</summary>
public sealed record DownloadResult
{
    /// <summary>Length of the file.</summary>
    public required long Bytes { get; init; }

    /// <summary>What an earlier fetch had left of it.</summary>
    public required long ResumedBytes { get; init; }

    /// <summary>From the request to the last byte in the file system, without the end of its hashing and the flush to the disk.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>SHA-256 over the bytes as they are in the file: 64 lower-case hexadecimal digits.</summary>
    public required string Sha256 { get; init; }

    /// <summary>
    /// True when all bytes were checked against the content root that the primary vouched for; false when those of an earlier
    /// fetch were not, because <see cref="DownloadOptions.VerifyExisting"/> was false.
    /// </summary>
    public required bool Verified { get; init; }

    /// <summary>
    /// Payload that arrived more than once. Computed from what the session's paths received meanwhile: other streams of the
    /// session that are fed by offers count as well.
    /// </summary>
    public required long DuplicateBytes { get; init; }

    /// <summary>
    /// Times longer than <see cref="StallThreshold"/> between one byte and the next, wherever in the file; at most 1,000, in the
    /// order in which they were.
    /// </summary>
    public required IReadOnlyList<TimeSpan> Stalls { get; init; }

    /// <summary>What each server sent, by path.</summary>
    public required IReadOnlyList<DownloadSource> Sources { get; init; }

    /// <summary>What takes longer than this, 100 ms, is noticed.</summary>
    public static TimeSpan StallThreshold { get; } = TimeSpan.FromMilliseconds(100);
}
