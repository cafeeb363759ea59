namespace Kwik.Data.Tests;

public sealed class RangeSchedulerTests
{
    private const int MiB = 1024 * 1024;
    private const int Window = 16 * MiB;

    private long _requests;

    [Fact]
    public void TryLease_WithoutSources_GivesNothing()
    {
        RangeScheduler scheduler = Create(10 * MiB);
        Assert.False(scheduler.TryLease(0, out _));
        Assert.Equal(0, scheduler.SourceCount);
        Assert.False(scheduler.IsComplete);
    }

    [Fact]
    public void TryLease_OneSource_GivesTwoLeasesInOrder()
    {
        RangeScheduler scheduler = Create((5 * MiB) + 1, sources: 1);
        List<RangeLease> leases = LeaseAll(scheduler, readOffset: 0);

        Assert.Equal([new(0, 0, 0, MiB), new(1, 0, MiB, MiB)], leases);
        Assert.True(scheduler.Received(0, MiB));
        Assert.Equal([new(2, 0, 2 * MiB, MiB)], LeaseAll(scheduler, readOffset: 0));
    }

    [Fact]
    public void TryLease_SeveralSources_GoesToTheOneWithTheFewestBytesOutstanding()
    {
        RangeScheduler scheduler = Create(100 * MiB, sources: 3);
        List<RangeLease> leases = LeaseAll(scheduler, readOffset: 0);
        Assert.Equal([0, 1, 2, 0, 1, 2], leases.Select(lease => lease.Source));

        // Source 1 is done with one lease and far into the other, source 0 with one only.
        scheduler.Received(leases[0].RequestId, MiB);
        scheduler.Received(leases[1].RequestId, MiB);
        scheduler.Received(leases[4].RequestId, MiB / 2);
        Assert.Equal([1, 0], LeaseAll(scheduler, readOffset: 0).Select(lease => lease.Source));
    }

    [Fact]
    public void TryLease_AtTheEdgeOfTheWindow_WaitsForTheReader()
    {
        RangeScheduler scheduler = Create(100 * MiB, sources: 20);
        Assert.Equal(16, LeaseAll(scheduler, readOffset: 0).Count);
        Assert.Empty(LeaseAll(scheduler, readOffset: MiB - 1));
        Assert.Equal(16L * MiB, Assert.Single(LeaseAll(scheduler, readOffset: MiB)).Offset);
    }

    [Fact]
    public void TryLease_AtTheEndOfTheContent_GivesWhatIsLeft()
    {
        RangeScheduler scheduler = Create((3 * MiB) + 5, sources: 5);
        List<RangeLease> leases = LeaseAll(scheduler, readOffset: 0);
        Assert.Equal([MiB, MiB, MiB, 5L], leases.Select(lease => lease.Length));
        Assert.Equal((3L * MiB) + 5, leases[^1].End);
    }

    [Fact]
    public void TryLease_SmallWindow_GivesLeasesThatLeaveWorkForSeveral()
    {
        var scheduler = new RangeScheduler(10 * MiB, window: 800, () => _requests++);
        for (int source = 0; source < 8; source++)
        {
            scheduler.AddSource(source);
        }

        Assert.Equal(8, LeaseAll(scheduler, readOffset: 0).Select(lease => lease.Source).Distinct().Count());
    }

    [Fact]
    public void TryLease_SourceThatIsNotFree_IsPassedOver()
    {
        RangeScheduler scheduler = Create(100 * MiB, sources: 2);
        Assert.True(scheduler.TryLease(0, out RangeLease lease, source => source == 1));
        Assert.Equal(1, lease.Source);
        Assert.False(scheduler.TryLease(0, out _, _ => false));
    }

    [Fact]
    public void TryLease_WithLittleRoom_GivesOneShortLeaseAndNoOther()
    {
        RangeScheduler scheduler = Create(100 * MiB, sources: 2);
        long room = 1000;
        Assert.True(scheduler.TryLease(0, out RangeLease only, reserve: end => Math.Min(end, room)));
        Assert.Equal((0L, 1000L), (only.Offset, only.Length));
        room = 5000;
        Assert.False(scheduler.TryLease(0, out _, reserve: end => Math.Min(end, room)));

        scheduler.Received(only.RequestId, 1000);
        Assert.True(scheduler.TryLease(1000, out RangeLease next, reserve: end => Math.Min(end, room)));
        Assert.Equal((1000L, 4000L), (next.Offset, next.Length));
        Assert.True(scheduler.TryLease(1000, out RangeLease whole, reserve: end => end));
        Assert.Equal((5000L, (long)MiB), (whole.Offset, whole.Length));
    }

    [Fact]
    public void TryLease_WithoutRoom_GivesNothingButWhatCameBack()
    {
        RangeScheduler scheduler = Create(100 * MiB, sources: 1);
        Assert.False(scheduler.TryLease(0, out _, reserve: _ => 0));
        Assert.True(scheduler.TryLease(0, out RangeLease lease, reserve: end => end));
        scheduler.GiveBack(lease.RequestId);
        Assert.True(scheduler.TryLease(0, out RangeLease again, reserve: _ => throw new InvalidOperationException("It has its room.")));
        Assert.Equal((lease.Offset, lease.Length), (again.Offset, again.Length));
    }

    [Fact]
    public void RemoveSource_WithBytesReceived_GivesBackOnlyWhatIsMissing()
    {
        RangeScheduler scheduler = Create(4 * MiB, sources: 1);
        List<RangeLease> leases = LeaseAll(scheduler, readOffset: 0);
        scheduler.Received(leases[0].RequestId, 1000);

        Assert.Equal(leases, scheduler.RemoveSource(0).OrderBy(lease => lease.Offset));
        Assert.False(scheduler.Received(leases[0].RequestId, 1));
        Assert.False(scheduler.TryLease(0, out _));

        scheduler.AddSource(7);
        Assert.Equal(
            [(1000L, MiB - 1000L), (MiB, MiB)], LeaseAll(scheduler, readOffset: 0).Select(lease => (lease.Offset, lease.Length)));
    }

    [Fact]
    public void RemoveSource_Unknown_ChangesNothing()
    {
        RangeScheduler scheduler = Create(4 * MiB, sources: 1);
        LeaseAll(scheduler, readOffset: 0);

        Assert.Empty(scheduler.RemoveSource(9));
        Assert.Equal(1, scheduler.SourceCount);
    }

    [Fact]
    public void AddSource_Twice_KeepsWhatItOwes()
    {
        RangeScheduler scheduler = Create(100 * MiB, sources: 2);
        scheduler.TryLease(0, out RangeLease first);
        scheduler.AddSource(first.Source);

        Assert.Equal(2, scheduler.SourceCount);
        scheduler.TryLease(0, out RangeLease second);
        Assert.NotEqual(first.Source, second.Source);
    }

    [Fact]
    public void GiveBack_Refused_IsLeasedAgainBeforeAnythingNew()
    {
        RangeScheduler scheduler = Create(100 * MiB, sources: 2);
        List<RangeLease> leases = LeaseAll(scheduler, readOffset: 0);
        scheduler.GiveBack(leases[2].RequestId);
        scheduler.GiveBack(leases[0].RequestId);
        scheduler.GiveBack(leases[0].RequestId);
        scheduler.GiveBack(12345);

        List<RangeLease> again = LeaseAll(scheduler, readOffset: 0);
        Assert.Equal([leases[0].Offset, leases[2].Offset], again.Select(lease => lease.Offset));
        Assert.All(again, lease => Assert.True(lease.RequestId > leases[^1].RequestId));
    }

    [Fact]
    public void GiveBack_AvoidingItsSource_WaitsForAnotherOne()
    {
        RangeScheduler scheduler = Create(100 * MiB, sources: 2);
        List<RangeLease> leases = LeaseAll(scheduler, readOffset: 0);
        scheduler.GiveBack(leases[0].RequestId, avoidSource: true);

        // Source 1 has all it can have; source 0 gets something else in the meantime.
        RangeLease other = Assert.Single(LeaseAll(scheduler, readOffset: 0));
        Assert.Equal((0, 4L * MiB), (other.Source, other.Offset));

        scheduler.Received(leases[1].RequestId, MiB);
        RangeLease again = Assert.Single(LeaseAll(scheduler, readOffset: 0));
        Assert.Equal((1, leases[0].Offset, leases[0].Length), (again.Source, again.Offset, again.Length));
    }

    [Fact]
    public void GiveBack_AvoidingTheOnlySource_GoesBackToIt()
    {
        RangeScheduler scheduler = Create(100 * MiB, sources: 1);
        RangeLease lease = LeaseAll(scheduler, readOffset: 0)[0];
        scheduler.GiveBack(lease.RequestId, avoidSource: true);

        RangeLease again = Assert.Single(LeaseAll(scheduler, readOffset: 0));
        Assert.Equal((0, lease.Offset), (again.Source, again.Offset));
    }

    [Fact]
    public void GiveBack_AvoidingASourceWhenTheOtherLeaves_GoesBackToIt()
    {
        RangeScheduler scheduler = Create(4 * MiB, sources: 2);
        List<RangeLease> leases = LeaseAll(scheduler, readOffset: 0);
        scheduler.GiveBack(leases[0].RequestId, avoidSource: true);
        Assert.Empty(LeaseAll(scheduler, readOffset: 0));

        scheduler.RemoveSource(1);
        RangeLease again = Assert.Single(LeaseAll(scheduler, readOffset: 0));
        Assert.Equal((0, leases[0].Offset), (again.Source, again.Offset));
    }

    [Fact]
    public void GiveBack_AvoidingItsSource_KeepsWhatWasReceived()
    {
        RangeScheduler scheduler = Create(2 * MiB, sources: 2);
        List<RangeLease> leases = LeaseAll(scheduler, readOffset: 0);
        scheduler.Received(leases[0].RequestId, 1000);
        scheduler.GiveBack(leases[0].RequestId, avoidSource: true);

        RangeLease again = Assert.Single(LeaseAll(scheduler, readOffset: 0));
        Assert.Equal((1, 1000L, MiB - 1000L), (again.Source, again.Offset, again.Length));
    }

    [Fact]
    public void Received_MoreThanWasLeased_Throws()
    {
        RangeScheduler scheduler = Create(4 * MiB, sources: 1);
        scheduler.TryLease(0, out RangeLease lease);
        Assert.Throws<ArgumentOutOfRangeException>(() => scheduler.Received(lease.RequestId, lease.Length + 1));
        Assert.True(scheduler.Received(lease.RequestId, lease.Length));
        Assert.False(scheduler.Received(lease.RequestId, 1));
    }

    [Fact]
    public void IsComplete_EmptyContent_IsTrueAtOnce()
    {
        RangeScheduler scheduler = Create(0, sources: 1);
        Assert.False(scheduler.TryLease(0, out _));
        Assert.True(scheduler.IsComplete);
    }

    [Fact]
    public void Constructor_WindowTooSmall_Throws() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new RangeScheduler(1, window: 0, () => 0));

    private static List<RangeLease> LeaseAll(RangeScheduler scheduler, long readOffset)
    {
        var leases = new List<RangeLease>();
        while (scheduler.TryLease(readOffset, out RangeLease lease))
        {
            leases.Add(lease);
        }

        return leases;
    }

    private RangeScheduler Create(long length, int sources = 0)
    {
        var scheduler = new RangeScheduler(length, Window, () => _requests++);
        for (int source = 0; source < sources; source++)
        {
            scheduler.AddSource(source);
        }

        return scheduler;
    }
}
