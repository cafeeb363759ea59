using System.Numerics;

namespace Kwik.Data;

/// <summary>
/// Blocks of memory for received payload, reused. Five sizes, so that a piece pins little more than twice its length.
/// Safe for concurrent use.
/// </summary>
/// <remarks>
/// Counts what is out: when every session is closed, <see cref="Outstanding"/> is 0, and the tests assert it. Keeps at
/// most <see cref="MaxRetainedBytes"/> for reuse; what comes back beyond that is left to the garbage collector.
/// </remarks>
internal sealed class LeasePool
{
    /// <summary>The smallest blocks, bytes.</summary>
    public const int SmallSize = 4 * 1024;

    /// <summary>The largest blocks, bytes: a payload of 64 KiB with its frame before it and the start of the next one behind.</summary>
    public const int LargeSize = (64 * 1024) + 128;

    /// <summary>Memory kept for reuse, bytes.</summary>
    public const int MaxRetainedBytes = 32 * 1024 * 1024;

    private readonly Lock _gate = new();

    // Sizes double from one to the next; the last one is LargeSize. What came back last is warm and goes out first. No
    // ConcurrentBag: its threads would keep a pool, which its leases point to, for as long as they live.
    private readonly Stack<Lease>[] _free = [new(), new(), new(), new(), new()];
    private long _retainedBytes;
    private long _outstanding;

    /// <summary>The pool of the process.</summary>
    public static LeasePool Shared { get; } = new();

    /// <summary>Leases that have been rented and not returned.</summary>
    public long Outstanding
    {
        get
        {
            lock (_gate)
            {
                return _outstanding;
            }
        }
    }

    /// <summary>Memory that is kept for reuse now, bytes, at most <see cref="MaxRetainedBytes"/>.</summary>
    public long RetainedBytes
    {
        get
        {
            lock (_gate)
            {
                return _retainedBytes;
            }
        }
    }

    /// <summary>Size of the block that holds <paramref name="size"/> bytes.</summary>
    public static int CapacityFor(int size)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(size, LargeSize);
        return size > 32 * 1024 ? LargeSize : Math.Max(SmallSize, (int)BitOperations.RoundUpToPowerOf2((uint)size));
    }

    /// <summary>
    /// A lease of at least <paramref name="size"/> bytes, at most <see cref="LargeSize"/>. Its content is undefined; the
    /// caller owns it.
    /// </summary>
    public Lease Rent(int size)
    {
        int capacity = CapacityFor(size);
        Lease? lease;
        lock (_gate)
        {
            _outstanding++;
            _retainedBytes -= FreeOf(capacity).TryPop(out lease) ? capacity : 0;
        }

        lease ??= new Lease(this, capacity);
        lease.Lend();
        return lease;
    }

    internal void TakeBack(Lease lease)
    {
        lock (_gate)
        {
            _outstanding--;
            if (_retainedBytes + lease.Capacity <= MaxRetainedBytes)
            {
                _retainedBytes += lease.Capacity;
                FreeOf(lease.Capacity).Push(lease);
            }
        }
    }

    private Stack<Lease> FreeOf(int capacity) => _free[BitOperations.Log2((uint)capacity / SmallSize)];
}
