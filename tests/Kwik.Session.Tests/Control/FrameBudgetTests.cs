using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Session.Tests.Control;

public sealed class FrameBudgetTests
{
    [Fact]
    public void OfPeer_ForTheRequestsOfEightPathsAtOnce_IsEnough()
    {
        TokenBucket budget = FrameBudget.OfPeer(new StoppedClock(), publicStreams: 128);

        Assert.All(Enumerable.Range(0, 64 * 8), _ => Assert.True(budget.TryTake()));
    }

    private sealed class StoppedClock : TimeProvider
    {
        public override long GetTimestamp() => 0;
    }
}
