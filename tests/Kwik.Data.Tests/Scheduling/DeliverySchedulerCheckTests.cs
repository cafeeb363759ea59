namespace Kwik.Data.Tests;

/// <summary>Leaves are checked late, long after their bytes came, and not all of them are right.</summary>
public sealed class DeliverySchedulerCheckTests
{
    private const int Leaf = 1024;

    private readonly DeliveryScheduler _scheduler;
    private readonly List<DeliveryStep> _steps = [];
    private TimeSpan _now;
    private long _requests;

    public DeliverySchedulerCheckTests() =>
        _scheduler = new DeliveryScheduler(8 * Leaf, Leaf, 8 * Leaf, new DeliveryOptions(), () => ++_requests);

    [Fact]
    public void LeaseThatCameWhole_WithAWrongLeaf_IsAskedOfAnotherSourceFromThereOn()
    {
        DeliveryStep lease = LongLease();
        Assert.True(_scheduler.Received(lease.RequestId, lease.End - lease.Offset, _now));
        Pump();
        Assert.Equal((lease.Offset, lease.End - lease.Offset), _scheduler.Missing(lease.RequestId));
        Assert.True(_scheduler.Verified(lease.RequestId, lease.Offset));
        _scheduler.AddSource(2, TimeSpan.FromMilliseconds(1));
        _scheduler.GiveBack(lease.RequestId, avoid: true);

        DeliveryStep[] steps = Pump();

        Assert.Equal((DeliveryStepKind.Cancel, LeaseEnd.GivenBack), (steps[0].Kind, steps[0].Why));
        long[] again = [.. Leaves(steps.Where(step => step.Kind == DeliveryStepKind.Ask && step.Source == 2))];
        Assert.Contains(lease.Offset + Leaf, again);
        Assert.DoesNotContain(Leaves(steps.Where(step => step.Kind == DeliveryStepKind.Ask && step.Source == 1)), offset => offset > lease.Offset && offset < lease.End);
        Assert.DoesNotContain(lease.Offset, again);
    }

    [Fact]
    public void LeaseThatCameWhole_OfASourceThatIsRemoved_IsAskedAgainButForWhatWasFoundRight()
    {
        DeliveryStep lease = LongLease();
        Assert.True(_scheduler.Received(lease.RequestId, lease.End - lease.Offset, _now));
        Assert.True(_scheduler.Verified(lease.RequestId, lease.Offset));
        _scheduler.RemoveSource(1);
        Assert.False(_scheduler.Verified(lease.RequestId, lease.Offset + Leaf));
        _scheduler.AddSource(2, TimeSpan.FromMilliseconds(1));

        Drain();

        long[] again = [.. Leaves(_steps.Where(step => step.Kind == DeliveryStepKind.Ask && step.Source == 2)).Distinct()];
        Assert.Equal([.. Enumerable.Range(0, 8).Select(leaf => (long)leaf * Leaf).Where(leaf => leaf > lease.Offset)], again.Order());
        Assert.True(_scheduler.IsComplete);
    }

    [Fact]
    public void LeavesThatAwaitTheirCheck_WhileTheirSourceIsSilent_AreNotAskedForTwice()
    {
        DeliveryStep lease = LongLease();
        Assert.True(_scheduler.Received(lease.RequestId, Leaf, _now));
        _scheduler.AddSource(2, TimeSpan.FromMilliseconds(1));
        Pump();
        _now += TimeSpan.FromMilliseconds(150);
        Assert.True(_scheduler.Received(_steps.First(step => step is { Kind: DeliveryStepKind.Ask, Source: 2 }).RequestId, 1, _now));

        DeliveryStep[] steps = Pump(lease.Offset);

        Assert.Contains(steps, step => step is { Kind: DeliveryStepKind.Suspect, Source: 1 });
        Assert.DoesNotContain(steps, step => step.Reason == LeaseReason.Hedge);
    }

    [Fact]
    public void SourceThatOwesOnlyChecks_IsNotSuspected()
    {
        _scheduler.AddSource(1, TimeSpan.FromMilliseconds(1));
        for (int i = 0; i < 20; i++)
        {
            _now += TimeSpan.FromMilliseconds(1);
            foreach (DeliveryStep ask in Pump().Where(step => step.Kind == DeliveryStepKind.Ask))
            {
                _scheduler.Received(ask.RequestId, ask.End - ask.Offset, _now);
            }
        }

        Assert.False(_scheduler.IsComplete);
        Assert.Null(_scheduler.NextWakeUp);
        _now += TimeSpan.FromSeconds(10);
        Assert.Empty(Pump());
    }

    /// <summary>The first lease of more than one leaf; all before it are here.</summary>
    private DeliveryStep LongLease()
    {
        _scheduler.AddSource(1, TimeSpan.FromMilliseconds(1));
        while (true)
        {
            _now += TimeSpan.FromMilliseconds(1);
            Pump();
            DeliveryStep next = _steps.First(step => step.Kind == DeliveryStepKind.Ask && step.Offset >= _scheduler.Head);
            if (next.End - next.Offset > Leaf)
            {
                return next;
            }

            Fulfil(next);
        }
    }

    private void Drain()
    {
        for (int i = 0; i < 100 && !_scheduler.IsComplete; i++)
        {
            _now += TimeSpan.FromMilliseconds(1);
            Pump();
            foreach (DeliveryStep ask in _steps.Where(step => step.Kind == DeliveryStepKind.Ask).ToArray())
            {
                Fulfil(ask);
            }
        }
    }

    private void Fulfil(DeliveryStep ask)
    {
        if (_scheduler.Missing(ask.RequestId) is not null)
        {
            _scheduler.Received(ask.RequestId, ask.End - ask.Offset, _now);
            for (long leaf = ask.Offset; leaf < ask.End; leaf += Leaf)
            {
                _scheduler.Verified(ask.RequestId, leaf);
            }
        }
    }

    private DeliveryStep[] Pump(long? taken = null)
    {
        int before = _steps.Count;
        while (_scheduler.TryNext(taken ?? _scheduler.Head, _now, out DeliveryStep step))
        {
            _steps.Add(step);
        }

        return [.. _steps.Skip(before)];
    }

    private static IEnumerable<long> Leaves(IEnumerable<DeliveryStep> asks) =>
        asks.SelectMany(ask => Enumerable.Range(0, (int)((ask.End - ask.Offset) / Leaf)).Select(leaf => ask.Offset + ((long)leaf * Leaf)));
}
