using Kwik.Sessions;

namespace Kwik.Transfer;

/// <summary>How a file is fetched.</summary>
public sealed record DownloadOptions
{
    /// <summary>Replaces a target that exists, in one step at the end. Default false.</summary>
    public bool Overwrite { get; init; }

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

    /// <summary>The clock; default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ThrowIfOutside(ProgressInterval, TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(1), nameof(ProgressInterval));
        ThrowIfOutside(OfferTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1), nameof(OfferTimeout));
        ThrowIfOutside(StallTimeout, TimeSpan.FromSeconds(1), TimeSpan.FromDays(1), nameof(StallTimeout));
    }

    private static void ThrowIfOutside(TimeSpan value, TimeSpan lowest, TimeSpan highest, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, lowest, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, highest, name);
    }
}

/// <summary>How far a fetch is.</summary>
/// <param name="Bytes">Written to the part file, in order.</param>
/// <param name="Length">Of the whole file.</param>
/// <param name="Elapsed">Since the fetch began.</param>
/// <param name="Sources">What each server sent so far.</param>
public sealed record DownloadProgress(long Bytes, long Length, TimeSpan Elapsed, IReadOnlyList<DownloadSource> Sources);

/// <summary>One server's part in a fetch.</summary>
/// <param name="Path">Its path, at that moment.</param>
/// <param name="Bytes">Payload received from it in the session since the fetch began.</param>
public sealed record DownloadSource(PathInfo Path, long Bytes);

/// <summary>A fetch that succeeded.</summary>
public sealed record DownloadResult
{
    /// <summary>Length of the file.</summary>
    public required long Bytes { get; init; }

    /// <summary>From the request to the last byte in the file system, without the flush to the disk.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>SHA-256 over the bytes as they were written: 64 lower-case hexadecimal digits.</summary>
    public required string Sha256 { get; init; }

    /// <summary>True when the bytes were checked against the content root that the primary vouched for, and are equal.</summary>
    public required bool Verified { get; init; }

    /// <summary>
    /// Payload that arrived more than once. Computed from what the session's paths received meanwhile: other streams of the
    /// session that are fed by offers count as well.
    /// </summary>
    public required long DuplicateBytes { get; init; }

    /// <summary>Times longer than <see cref="StallThreshold"/> between one byte and the next, in order; at most 1,000.</summary>
    public required IReadOnlyList<TimeSpan> Stalls { get; init; }

    /// <summary>What each server sent, by path.</summary>
    public required IReadOnlyList<DownloadSource> Sources { get; init; }

    /// <summary>A reader that waits longer than this, 100 ms, has noticed it.</summary>
    public static TimeSpan StallThreshold { get; } = TimeSpan.FromMilliseconds(100);
}
