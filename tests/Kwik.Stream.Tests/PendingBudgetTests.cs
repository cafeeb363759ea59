using Kwik.Streams;

namespace Kwik.Streams.Tests;

public class PendingBudgetTests
{
    private const int Limit = 1_000_000;
    private const int Guaranteed = PendingBudget.Guaranteed;

    private readonly PendingBudget _budget = new(Limit);

    [Fact]
    public void TakeUpTo_Alone_TakesTheWholeLimitAndNoMore()
    {
        PendingBudget.Share share = Join(out _);
        Assert.Equal(700_000, share.TakeUpTo(700_000));
        Assert.Equal(300_000, share.TakeUpTo(700_000));
        Assert.Equal(0, share.TakeUpTo(1));
        Assert.Equal(Limit, _budget.Used);
    }

    [Fact]
    public void TryTake_MoreThanThereIs_TakesNothing()
    {
        PendingBudget.Share share = Join(out _);
        Assert.False(share.TryTake(Limit + 1));
        Assert.Equal(0, _budget.Used);
        Assert.True(share.TryTake(Limit));
        Assert.Equal(Limit, share.Held);
    }

    [Fact]
    public void TryTake_WhenOthersHoldEverything_GivesTheGuaranteeAndNoMore()
    {
        Join(out _).TakeUpTo(Limit);
        PendingBudget.Share late = Join(out _);
        Assert.True(late.TryTake(Guaranteed));
        Assert.False(late.TryTake(1));
        Assert.Equal(Limit + Guaranteed, _budget.Used);
    }

    [Fact]
    public void TakeUpTo_WhileAnotherWaits_GivesNothingToWhoHoldsMoreThanAnEqualShare()
    {
        PendingBudget.Share early = Join(out _);
        PendingBudget.Share late = Join(out List<string> woken);
        early.TakeUpTo(Limit);
        Assert.Equal(Guaranteed, late.TakeUpTo(400_000));

        // Nothing is free yet, because of the guarantee; and then what is free is not the first one's.
        Assert.True(early.Settle(Limit - Guaranteed));
        _budget.WakeWaiting();
        Assert.Empty(woken);
        Assert.True(early.Settle(Limit - 200_000));
        Assert.Equal(0, early.TakeUpTo(1));
        _budget.WakeWaiting();
        Assert.Single(woken);
        Assert.Equal(200_000 - Guaranteed, late.TakeUpTo(400_000 - Guaranteed));
    }

    [Fact]
    public void TakeUpTo_BelowAnEqualShare_GivesEvenWhileOthersWait()
    {
        PendingBudget.Share[] shares = [Join(out _), Join(out _), Join(out _)];
        shares[0].TakeUpTo(Limit);
        shares[1].TakeUpTo(Limit);
        shares[2].TakeUpTo(Limit);
        shares[0].Settle(0);
        // The first holds nothing any more: an equal share is half.
        Assert.Equal((Limit / 2) - Guaranteed, shares[1].TakeUpTo(Limit));
    }

    [Fact]
    public void WakeWaiting_WhenNobodyWasRefused_CallsNobody()
    {
        PendingBudget.Share share = Join(out List<string> woken);
        share.TakeUpTo(Limit);
        share.Settle(0);
        _budget.WakeWaiting();
        Assert.Empty(woken);
    }

    [Fact]
    public void WakeWaiting_AfterARefusal_CallsOnceUntilTheNext()
    {
        PendingBudget.Share holder = Join(out _);
        PendingBudget.Share waiting = Join(out List<string> woken);
        holder.TakeUpTo(Limit);
        Assert.False(waiting.HasRoom(Guaranteed + 1));
        Assert.False(waiting.HasRoom(Guaranteed + 1));
        holder.Settle(0);
        _budget.WakeWaiting();
        _budget.WakeWaiting();
        Assert.Single(woken);
        Assert.True(waiting.HasRoom(Guaranteed + 1));
    }

    [Fact]
    public void Settle_ToWhatIsHeld_SaysWhetherItBecameLess()
    {
        PendingBudget.Share share = Join(out _);
        Assert.False(share.Settle(2 * Limit));
        Assert.Equal(2 * Limit, _budget.Used);
        Assert.False(share.Settle(2 * Limit));
        Assert.True(share.Settle(0));
        Assert.Equal(0, _budget.Used);
    }

    private PendingBudget.Share Join(out List<string> woken)
    {
        List<string> calls = [];
        woken = calls;
        return _budget.Join(() => calls.Add("freed"));
    }
}
