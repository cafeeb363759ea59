namespace Kwik.Data.Tests;

public sealed class LeasePoolTests
{
    private readonly LeasePool _pool = new();

    [Theory]
    [InlineData(0, LeasePool.SmallSize)]
    [InlineData(1, LeasePool.SmallSize)]
    [InlineData(LeasePool.SmallSize, LeasePool.SmallSize)]
    [InlineData(LeasePool.SmallSize + 1, 2 * LeasePool.SmallSize)]
    [InlineData((32 * 1024) + 1, LeasePool.LargeSize)]
    [InlineData(LeasePool.LargeSize, LeasePool.LargeSize)]
    public void Rent_Size_GivesTheSmallestBlockThatHoldsIt(int size, int capacity)
    {
        Lease lease = _pool.Rent(size);
        Assert.Equal(capacity, lease.Capacity);
        lease.Return();
    }

    [Fact]
    public void Rent_MoreThanABlock_Throws()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => _pool.Rent(LeasePool.LargeSize + 1));
        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public void Rent_AfterReturn_GivesTheSameBlockEmptyAgain()
    {
        Lease first = _pool.Rent(100);
        first.Extend(50);
        first.TrimStart(10);
        first.Return();

        Lease second = _pool.Rent(LeasePool.SmallSize);
        Assert.Same(first, second);
        Assert.Equal((0, LeasePool.SmallSize), (second.Length, second.Room));
        second.Return();
    }

    [Fact]
    public void Outstanding_RentsAndReturnsInAnyOrder_IsWhatIsOut()
    {
        var random = new Random(1);
        var held = new List<Lease>();
        for (int i = 0; i < 10_000; i++)
        {
            if (held.Count == 0 || random.Next(2) == 0)
            {
                held.Add(_pool.Rent(random.Next(8192)));
            }
            else
            {
                int at = random.Next(held.Count);
                held[at].Return();
                held.RemoveAt(at);
            }

            Assert.Equal(held.Count, _pool.Outstanding);
        }

        held.ForEach(lease => lease.Return());
        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public void Return_MoreThanTheCap_KeepsOnlyTheCap()
    {
        const int Kept = LeasePool.MaxRetainedBytes / LeasePool.LargeSize;
        List<Lease> first = RentMany(Kept + 100);
        first.ForEach(lease => lease.Return());
        List<Lease> second = RentMany(Kept + 100);

        Assert.Equal(Kept, second.Intersect(first).Count());
        Assert.Equal(second.Count, second.Distinct().Count());
        second.ForEach(lease => lease.Return());

        // What was taken out again counts no longer: the same number is kept the second time.
        Assert.Equal(Kept, RentMany(Kept + 100).Intersect(second).Count());
    }

    [Fact]
    public void RentAndReturn_FromManyThreads_LeavesNothingOutAndSharesNothing()
    {
        Parallel.For(0, 4, thread =>
        {
            for (int i = 0; i < 5000; i++)
            {
                Lease lease = _pool.Rent(i % 3 == 0 ? LeasePool.LargeSize : 16);
                lease.Extend(16);
                lease.Span.Fill((byte)thread);
                Assert.Equal(-1, lease.Span.IndexOfAnyExcept((byte)thread));
                lease.Return();
            }
        });

        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public void Pool_ThatNobodyHasAnyMore_IsCollected()
    {
        WeakReference[] pools = [.. Enumerable.Range(0, 10).Select(_ => UsedPool())];
        for (int i = 0; i < 3; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.DoesNotContain(pools, pool => pool.IsAlive);
    }

    [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
    private static WeakReference UsedPool()
    {
        var pool = new LeasePool();
        Lease[] leases = [pool.Rent(10), pool.Rent(LeasePool.LargeSize)];
        Array.ForEach(leases, lease => lease.Return());
        return new WeakReference(pool);
    }

    private List<Lease> RentMany(int count) => [.. Enumerable.Range(0, count).Select(_ => _pool.Rent(LeasePool.LargeSize))];
}
