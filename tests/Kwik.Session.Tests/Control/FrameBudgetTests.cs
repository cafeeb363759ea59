using Kwik.Sessions;

namespace Kwik.Session.Tests.Control;

public sealed class FrameBudgetTests
{
    private readonly Clock _clock = new();

    [Fact]
    public void Burst_Spent_ComesBackWithTime()
    {
        var budget = new FrameBudget(_clock, perSecond: 10, burst: 20);

        Assert.Equal(20, Enumerable.Range(0, 100).Count(_ => budget.TryTake()));
        _clock.Milliseconds += 99;
        Assert.False(budget.TryTake());
        _clock.Milliseconds += 1;
        Assert.True(budget.TryTake());
        _clock.Milliseconds += 1_000_000;
        Assert.Equal(20, Enumerable.Range(0, 100).Count(_ => budget.TryTake()));
    }

    [Fact]
    public void WhatIsGivenBack_CanBeTakenAgainAndNoMore()
    {
        var budget = new FrameBudget(_clock, perSecond: 10, burst: 2);
        budget.GiveBack();
        Assert.True(budget.TryTake());
        Assert.True(budget.TryTake());
        Assert.False(budget.TryTake());
        budget.GiveBack();
        Assert.True(budget.TryTake());
        Assert.False(budget.TryTake());
    }

    [Fact]
    public void Reservations_BeyondTheBurst_WaitOneBehindTheOther()
    {
        var budget = new FrameBudget(_clock, perSecond: 10, burst: 2);

        Assert.Equal(
            [0, 0, 100, 200, 300],
            Enumerable.Range(0, 5).Select(_ => (int)budget.Reserve().TotalMilliseconds));
        _clock.Milliseconds += 300;
        Assert.Equal(100, (int)budget.Reserve().TotalMilliseconds);
    }

    [Fact]
    public void OfPeer_ForTheRequestsOfEightPathsAtOnce_IsEnough()
    {
        FrameBudget budget = FrameBudget.OfPeer(_clock, publicStreams: 128);

        Assert.All(Enumerable.Range(0, 64 * 8), _ => Assert.True(budget.TryTake()));
    }

    private sealed class Clock : TimeProvider
    {
        public long Milliseconds { get; set; }

        public override long TimestampFrequency => 1000;

        public override long GetTimestamp() => Milliseconds;
    }
}
