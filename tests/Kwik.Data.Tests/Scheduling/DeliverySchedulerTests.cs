namespace Kwik.Data.Tests;

public sealed class DeliverySchedulerTests
{
    private const int Leaf = DeliveryTrack.LeafSize;

    [Fact]
    public void UnknownSource_ThatFulfilsItsLeases_GetsTwiceAsMuchEachTime()
    {
        var track = new DeliveryTrack(1000 * Leaf);
        track.Add(1, 0);
        track.Pump();
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal(2, track.Open.Count);
            track.Send(1, track.Open[0].End - track.Open[0].Offset);
            track.Pump();
        }

        Assert.Equal([1, 1, 2, 4, 8, 16], track.Asks.Select(ask => (ask.End - ask.Offset) / Leaf));
    }

    [Fact]
    public void KnownSource_GetsAQuarterOfTheWindowAtMost()
    {
        var track = new DeliveryTrack(20_000 * Leaf);
        track.Add(1, 1000);
        track.Run(2000);

        // A megabyte a second; the window is what comes in 400 ms, beside the round trips.
        DeliveryStep last = track.Asks.Last();
        Assert.InRange(last.End - last.Offset, 90_000, 110_000);
    }

    [Fact]
    public void KnownSource_FarAway_GetsTheBytesOfTheLeaseTime()
    {
        var track = new DeliveryTrack(20_000 * Leaf);
        track.Add(1, 1000);
        track.Run(1000);
        for (int i = 0; i < 50; i++)
        {
            track.Scheduler.Measured(1, TimeSpan.FromSeconds(1));
        }

        track.Run(1000);
        Assert.InRange(track.Asks.Last().End - track.Asks.Last().Offset, 240_000, 260_000);
    }

    [Fact]
    public void Lease_OfAFastSource_IsNotLongerThanTheOptionSays()
    {
        var track = new DeliveryTrack(50_000 * Leaf, options: new DeliveryOptions { MaxLease = 64 * Leaf });
        track.Add(1, 10_000);
        track.Run(1000);

        Assert.Equal(64 * Leaf, track.Asks.Max(ask => ask.End - ask.Offset));
    }

    [Fact]
    public void SlowSource_BesideAFastOne_IsAskedForWhatIsNeededLater()
    {
        var track = new DeliveryTrack(20_000 * Leaf);
        track.Add(1, 1000);
        track.Add(2, 100);
        track.Run(1500);
        int before = track.Steps.Count;
        long head = track.Scheduler.Head;
        track.Run(500);

        DeliveryStep slow = track.Steps.Skip(before).Select(step => step.Step).First(step => step.Source == 2 && step.Kind == DeliveryStepKind.Ask);
        Assert.InRange(slow.Offset, head + (10 * Leaf), long.MaxValue);
    }

    [Fact]
    public void SlowSource_ThatWouldBeLateForTheWindow_GetsNothingNow()
    {
        var track = new DeliveryTrack(20_000 * Leaf, window: 64 * Leaf);
        track.Add(1, 1000);
        track.Add(2, 1);
        track.Run(6000);
        int before = track.Steps.Count;
        track.Run(1000);

        IEnumerable<DeliveryStep> asks = track.Steps.Skip(before).Select(step => step.Step).Where(step => step.Kind == DeliveryStepKind.Ask);
        Assert.Contains(asks, ask => ask.Source == 1);
        Assert.DoesNotContain(asks, ask => ask is { Source: 2, Reason: LeaseReason.Next });
    }

    [Fact]
    public void Window_OfNothing_StillAsksForTheNextLeafOfTheReader()
    {
        var track = new DeliveryTrack(10 * Leaf, window: 0) { IsReading = false };
        track.Add(1, 0);

        DeliveryStep first = Assert.Single(track.Pump(_ => 0));
        Assert.Equal((0, Leaf), (first.Offset, first.End));

        track.Send(1, Leaf);
        Assert.Equal([DeliveryStepKind.Cancel], track.Pump(_ => 0).Select(step => step.Kind));
        track.Taken = Leaf;
        Assert.Equal(Leaf, Assert.Single(track.Pump(_ => 0)).Offset);
    }

    [Fact]
    public void Room_ForThreeLeaves_IsSharedByWhatIsAskedForAndWhatIsNotTaken()
    {
        var track = new DeliveryTrack(10 * Leaf, window: 8 * Leaf) { IsReading = false };
        track.Scheduler.InOrder = false;
        track.Add(1, 0);
        track.Add(2, 0);

        Assert.Equal(3, track.Pump(_ => 3 * Leaf).Sum(step => step.End - step.Offset) / Leaf);
        track.Send(1, Leaf);
        Assert.DoesNotContain(track.Pump(_ => 3 * Leaf), step => step.Kind == DeliveryStepKind.Ask);
    }

    [Fact]
    public void Tail_BelowTwoLeavesOfASlowSource_IsAskedForTwiceAndTheLoserIsStopped()
    {
        DeliveryTrack track = ToTheEnd(new DeliveryOptions(), slow: 10);

        DeliveryStep[] copies = [.. track.Asks.Where(ask => ask.Reason == LeaseReason.Duplicate)];
        Assert.NotEmpty(copies);
        Assert.All(copies, copy => Assert.InRange(copy.End - copy.Offset, 1, 2 * Leaf));
        Assert.Equal(copies.Length, copies.DistinctBy(copy => copy.Offset).Count());
        Assert.InRange(track.Scheduler.ExtraBytes, Leaf, Math.Max(2 * Leaf, 0.02 * Length));

        // Whoever lost is stopped.
        Assert.Empty(track.Open);
        Assert.Equal(track.Asks.Count(), track.Steps.Count(step => step.Step.Kind == DeliveryStepKind.Cancel));
    }

    [Fact]
    public void Tail_WithoutABudgetForSecondCopies_IsNotAskedForTwice()
    {
        DeliveryTrack track = ToTheEnd(new DeliveryOptions { DuplicateShare = 0 }, slow: 10);

        Assert.DoesNotContain(track.Asks, ask => ask.Reason == LeaseReason.Duplicate);
        Assert.Equal(0, track.Scheduler.ExtraBytes);
    }

    [Fact]
    public void TakeOver_OfALeaseThatHasBegun_LeavesItWhatItsSourceBringsMeanwhile()
    {
        DeliveryTrack track = ToTheEnd(new DeliveryOptions(), slow: 100);

        // What was taken over begins inside of what another was asked for, on a leaf.
        DeliveryStep[] inside = [.. track.Asks.Where(ask => ask.Reason == LeaseReason.TakeOver
            && track.Asks.Any(other => other.RequestId < ask.RequestId && other.Offset < ask.Offset && ask.End == other.End))];
        Assert.NotEmpty(inside);
        Assert.All(inside, ask => Assert.Equal(0, ask.Offset % Leaf));
    }

    [Fact]
    public void Decisions_WithNothingToAsk_AllocateNothing()
    {
        var track = new DeliveryTrack(50_000 * Leaf, options: new DeliveryOptions { MaxLease = 64 * Leaf });
        track.Add(1, 10_000);
        track.Add(2, 1000);
        track.Add(3, 300);
        track.Run(1000);
        track.Pump();
        DeliveryStep open = track.Open[0];
        long before = GC.GetAllocatedBytesForCurrentThread();
        int steps = 0;
        for (int i = 0; i < 100; i++)
        {
            track.Scheduler.Received(open.RequestId, 1, track.Now);
            steps += track.Scheduler.TryNext(track.Taken, track.Now, out _) ? 1 : 0;
            _ = track.Scheduler.NextWakeUp;
        }

        Assert.Equal((0, 0), (steps, GC.GetAllocatedBytesForCurrentThread() - before));
    }

    private const int Length = 3000 * Leaf;

    private static DeliveryTrack ToTheEnd(DeliveryOptions options, int slow)
    {
        var track = new DeliveryTrack(Length, options: options);
        track.Add(1, 1000);
        track.Add(2, slow);
        track.Run(2650);
        track.SetRate(2, 10);
        track.Run(5000);
        Assert.True(track.Scheduler.IsComplete);
        track.Pump();
        return track;
    }
}
