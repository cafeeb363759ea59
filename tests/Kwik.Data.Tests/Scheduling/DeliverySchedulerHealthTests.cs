namespace Kwik.Data.Tests;

/// <summary>Two sources, of which the first falls silent while the reader waits for it.</summary>
public sealed class DeliverySchedulerHealthTests
{
    private const int Leaf = DeliveryTrack.LeafSize;

    private readonly DeliveryTrack _track = new(20_000 * Leaf);

    [Fact]
    public void SilentSource_IsSuspectedThenGivenUpAndProbedUntilItSends()
    {
        TimeSpan silent = FallSilent();
        _track.Run(2500);

        TimeSpan suspect = _track.When(DeliveryStepKind.Suspect, 1) - silent;
        TimeSpan dead = _track.When(DeliveryStepKind.Dead, 1) - silent;
        Assert.InRange(suspect.TotalMilliseconds, 99, 110);
        Assert.InRange(dead.TotalMilliseconds, 298, 330);
        Assert.DoesNotContain(_track.Open, ask => ask.Source == 1 && ask.Reason != LeaseReason.Probe);

        TimeSpan[] probes = [.. _track.Steps.Where(step => step.Step is { Kind: DeliveryStepKind.Ask, Source: 1, Reason: LeaseReason.Probe }).Select(step => step.At - silent - dead)];
        Assert.Equal([1000, 2000], probes.Select(at => Math.Round(at.TotalMilliseconds / 10) * 10));

        _track.SetRate(1, 1000);
        _track.Run(1100);
        Assert.Contains(_track.Steps, step => step.Step is { Kind: DeliveryStepKind.Back, Source: 1 });
        Assert.Equal(SourceHealth.Well, _track.Source(1).Health);
    }

    [Fact]
    public void SuspectedSource_IsHedgedAtTheHeadOfTheReaderOnly()
    {
        FallSilent();
        _track.Run(150);

        DeliveryStep[] hedges = [.. _track.Asks.Where(ask => ask.Reason == LeaseReason.Hedge)];
        Assert.NotEmpty(hedges);
        Assert.All(hedges, hedge => Assert.True(hedge is { IsUrgent: true, Source: 2 }));

        // One after the other, as the reader gets there: never the same twice, and nothing before the reader waits for it.
        Assert.Equal(hedges.Length, hedges.DistinctBy(hedge => hedge.Offset).Count());
        Assert.All(hedges, hedge => Assert.True(_track.Scheduler.Head >= hedge.Offset));
    }

    [Fact]
    public void SuspectedSource_OfWhichTheReaderTakesAnyPiece_IsNotHedged()
    {
        _track.Scheduler.InOrder = false;
        FallSilent();
        _track.Run(150);

        Assert.Contains(_track.Steps, step => step.Step.Kind == DeliveryStepKind.Suspect);
        Assert.DoesNotContain(_track.Asks, ask => ask.Reason == LeaseReason.Hedge);
    }

    [Fact]
    public void OwnStall_LongerThanASourceMayBeSilent_IsHeldAgainstNobody()
    {
        FallSilent();
        _track.Stall(2000);
        _track.Pump();
        _track.Run(90);
        Assert.DoesNotContain(_track.Steps, step => step.Step.Kind is DeliveryStepKind.Suspect or DeliveryStepKind.Dead);

        _track.Run(30);
        Assert.Contains(_track.Steps, step => step.Step is { Kind: DeliveryStepKind.Suspect, Source: 1 });
    }

    [Fact]
    public void OwnStall_ThatEndsWithBytes_IsNotTakenForAPauseOfTheirSource()
    {
        FallSilent();
        _track.Stall(5000);
        _track.Send(1, 1);
        _track.Pump();
        TimeSpan began = _track.Now;
        _track.Run(120);

        Assert.Contains(_track.Steps, step => step.At > began && step.Step is { Kind: DeliveryStepKind.Suspect, Source: 1 });
    }

    [Fact]
    public void SuspectedSource_WhoseHedgeHasCome_IsHedgedAgainForWhatFollows()
    {
        FallSilent();
        long silentEnd = _track.Open.Where(ask => ask.Source == 1).Max(ask => ask.End);
        _track.Run(290);

        // All that the silent one owes is here before it is given up.
        Assert.DoesNotContain(_track.Steps, step => step.Step is { Kind: DeliveryStepKind.Dead, Source: 1 });
        Assert.True(_track.Scheduler.Head >= silentEnd, $"{_track.Scheduler.Head} of {silentEnd}");
    }

    [Fact]
    public void Probe_OfALeafThatNobodyElseWasAskedFor_KeepsNobodyElseFromIt()
    {
        FallSilent();
        _track.SetRate(2, 0);
        _track.Run(5000);
        Assert.All(_track.Scheduler.Sources, source => Assert.Equal(SourceHealth.Dead, source.Health));
        long head = _track.Scheduler.Head;
        Assert.Contains(_track.Open, ask => ask.Reason == LeaseReason.Probe && ask.Offset == head);

        _track.Add(3, 1000);
        Assert.Contains(_track.Pump(), step => step is { Source: 3, Reason: LeaseReason.Next } && step.Offset == head);
    }

    [Fact]
    public void Probe_ThatIsAnswered_IsNotAskedForOnceMore()
    {
        _track.Add(1, 1000);
        _track.Run(500);
        _track.SetRate(1, 0);
        _track.Run(5000);
        DeliveryStep probe = Assert.Single(_track.Open);
        Assert.Equal(LeaseReason.Probe, probe.Reason);

        _track.Send(1, 1);
        DeliveryStep[] asks = [.. _track.Pump().Where(step => step.Kind == DeliveryStepKind.Ask)];
        Assert.NotEmpty(asks);
        Assert.All(asks, ask => Assert.True(ask.Offset >= probe.End));
    }

    [Fact]
    public void Steps_SayWhatTheyRestOn()
    {
        FallSilent();
        _track.Run(400);

        DeliveryStep hedge = _track.Asks.First(ask => ask.Reason == LeaseReason.Hedge);
        Assert.InRange(hedge.Rate, 900_000, 1_100_000);
        Assert.True(hedge.RoundTrip > TimeSpan.Zero && hedge.Outstanding >= hedge.End - hedge.Offset);
        Assert.Contains(_track.Steps, step => step.Step is { Kind: DeliveryStepKind.Cancel, Source: 2, Why: LeaseEnd.Done });
    }

    [Fact]
    public void Lease_OfASourceThatIsGivenUp_EndsAsSilent()
    {
        FallSilent();
        // Else others are asked for what the reader waits for, one after the other.
        _track.IsReading = false;
        _track.Run(1000);
        Assert.Contains(_track.Steps, step => step.Step is { Kind: DeliveryStepKind.Cancel, Source: 1, Why: LeaseEnd.Silent });
    }

    private TimeSpan FallSilent()
    {
        _track.Add(1, 1000);
        _track.Add(2, 1000);
        _track.Run(1000);
        Assert.DoesNotContain(_track.Steps, step => step.Step.Kind == DeliveryStepKind.Suspect);
        Assert.Contains(_track.Open, ask => ask.Source == 1);
        _track.SetRate(1, 0);
        return _track.Now;
    }
}
