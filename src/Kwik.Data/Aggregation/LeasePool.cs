using System.Collections.Concurrent;

namespace Kwik.Data;

/// <summary>
/// Blocks of memory for received payload, reused. Two sizes, so that small pieces do not pin large blocks. Safe for
/// concurrent use.
/// </summary>
/// <remarks>
/// Counts what is out: when every session is closed, <see cref="Outstanding"/> is 0, and the tests assert it. Keeps at
/// most <see cref="MaxRetainedBytes"/> for reuse; what comes back beyond that is left to the garbage collector.
/// </remarks>
internal sealed class LeasePool
{
    /// <summary>Small blocks, bytes.</summary>
    public const int SmallSize = 4 * 1024;

    /// <summary>Large blocks, bytes: a payload of 64 KiB with its frame before it and the start of the next one behind.</summary>
    public const int LargeSize = (64 * 1024) + 128;

    /// <summary>Memory kept for reuse, bytes.</summary>
    public const int MaxRetainedBytes = 32 * 1024 * 1024;

    private readonly ConcurrentBag<Lease> _small = [];
    private readonly ConcurrentBag<Lease> _large = [];
    private long _retainedBytes;
    private long _outstanding;

    /// <summary>The pool of the process.</summary>
    public static LeasePool Shared { get; } = new();

    /// <summary>Leases that have been rented and not returned.</summary>
    public long Outstanding => Interlocked.Read(ref _outstanding);

    /// <summary>
    /// A lease of at least <paramref name="size"/> bytes, at most <see cref="LargeSize"/>. Its content is undefined; the
    /// caller owns it.
    /// </summary>
    public Lease Rent(int size)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, LargeSize);
        bool small = size <= SmallSize;
        Interlocked.Increment(ref _outstanding);
        if ((small ? _small : _large).TryTake(out Lease? lease))
        {
            Interlocked.Add(ref _retainedBytes, -lease.Capacity);
        }
        else
        {
            lease = new Lease(this, small ? SmallSize : LargeSize);
        }

        lease.Lend();
        return lease;
    }

    internal void TakeBack(Lease lease)
    {
        Interlocked.Decrement(ref _outstanding);
        if (Interlocked.Add(ref _retainedBytes, lease.Capacity) > MaxRetainedBytes)
        {
            Interlocked.Add(ref _retainedBytes, -lease.Capacity);
            return;
        }

        (lease.Capacity == SmallSize ? _small : _large).Add(lease);
    }
}
