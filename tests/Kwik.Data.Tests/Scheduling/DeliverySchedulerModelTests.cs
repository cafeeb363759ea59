using Kwik.Testing;

namespace Kwik.Data.Tests;

/// <summary>Random events, and a naive model that knows of every leaf who was asked for it.</summary>
public sealed class DeliverySchedulerModelTests
{
    [Fact]
    public void Events_WithSourcesThatOnlyDeliver_VerifyEveryLeafOnce()
    {
        for (int seed = 0; seed < Math.Max(300, SimulationSeedsAttribute.Seeds.Count); seed++)
        {
            new DeliverySchedulerModel(seed, faults: false).ToTheEnd();
        }
    }

    [Fact]
    public void Events_WithSourcesThatComeGoFallSilentAndRefuse_VerifyEveryLeafOnce()
    {
        for (int seed = 0; seed < Math.Max(2000, SimulationSeedsAttribute.Seeds.Count); seed++)
        {
            new DeliverySchedulerModel(seed, faults: true).ToTheEnd();
        }
    }

    [Fact]
    public void Events_OfTheSameSeed_GiveTheSameSteps()
    {
        for (int seed = 0; seed < 50; seed++)
        {
            Assert.Equal(
                new DeliverySchedulerModel(seed, faults: true).ToTheEnd(), new DeliverySchedulerModel(seed, faults: true).ToTheEnd());
        }
    }

    /// <summary>The tests above say nothing about what the events never bring about.</summary>
    [Fact]
    public void Events_OfManySeeds_BringAboutEveryStepForEveryReason()
    {
        var seen = new HashSet<(DeliveryStepKind, LeaseReason)>();
        for (int seed = 0; seed < 200; seed++)
        {
            var model = new DeliverySchedulerModel(seed, faults: true);
            model.ToTheEnd();
            seen.UnionWith(model.Seen);
        }

        Assert.Equal(
            [.. Enum.GetValues<LeaseReason>().Select(reason => (DeliveryStepKind.Ask, reason))],
            seen.Where(step => step.Item1 == DeliveryStepKind.Ask).Order());
        Assert.Equal(Enum.GetValues<DeliveryStepKind>(), seen.Select(step => step.Item1).Distinct().Order());
    }
}
