namespace Kwik.Data.Tests;

public sealed class LeaseTests
{
    private readonly LeasePool _pool = new();

    [Fact]
    public void Return_Twice_Throws()
    {
        Lease lease = _pool.Rent(1);
        lease.Return();

        Assert.Throws<InvalidOperationException>(lease.Return);
        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public void Return_ByManyThreadsAtOnce_SucceedsOnce()
    {
        for (int round = 0; round < 200; round++)
        {
            Lease lease = _pool.Rent(1);
            int returned = 0;
            Parallel.For(0, 4, _ =>
            {
                try
                {
                    lease.Return();
                    Interlocked.Increment(ref returned);
                }
                catch (InvalidOperationException)
                {
                    // One of the others was first.
                }
            });

            Assert.Equal(1, returned);
            Assert.Equal(0, _pool.Outstanding);
        }
    }

    [Fact]
    public void Extend_ThenTrim_LeavesTheBytesBetween()
    {
        Lease lease = _pool.Rent(10);
        Assert.Equal(0, lease.Length);
        Assert.Equal(lease.Capacity, lease.Room);

        "0123456789"u8.CopyTo(lease.Free.Span);
        lease.Extend(10);
        lease.TrimStart(2);
        lease.Truncate(5);

        Assert.Equal("23456"u8, lease.Span);
        Assert.Equal("23456"u8, lease.Memory.Span);
        Assert.Equal(5, lease.Length);
        Assert.Equal(lease.Capacity - 7, lease.Room);
        Assert.Equal(lease.Room, lease.Free.Length);

        "ab"u8.CopyTo(lease.Free.Span);
        lease.Extend(2);
        Assert.Equal("23456ab"u8, lease.Span);
        lease.Return();
    }

    [Fact]
    public void Lengths_OutOfRange_Throw()
    {
        Lease lease = _pool.Rent(10);
        lease.Extend(10);

        Assert.Throws<ArgumentOutOfRangeException>(() => lease.Extend(lease.Room + 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => lease.Extend(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => lease.TrimStart(11));
        Assert.Throws<ArgumentOutOfRangeException>(() => lease.TrimStart(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => lease.Truncate(11));
        Assert.Throws<ArgumentOutOfRangeException>(() => lease.Truncate(-1));
        Assert.Equal(10, lease.Length);
        lease.Return();
    }
}
