using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class AsyncSignalTests
{
    private readonly AsyncSignal _signal = new();

    [Fact]
    public void WaitAsync_AfterSet_CompletesAtOnceAndUsesTheSignalUp()
    {
        _signal.Set();
        Assert.True(Wait().IsCompletedSuccessfully);
        Assert.False(Wait().IsCompleted);
    }

    [Fact]
    public void Set_Twice_IsKeptOnce()
    {
        _signal.Set();
        _signal.Set();
        Assert.True(Wait().IsCompletedSuccessfully);
        Assert.False(Wait().IsCompleted);
    }

    [Fact]
    public async Task Set_WhileWaiting_WakesTheWaiterAndNobodyElse()
    {
        for (int round = 0; round < 3; round++)
        {
            Task waiting = Wait();
            Assert.False(waiting.IsCompleted);
            _signal.Set();
            await waiting.WithinAsync();
        }

        Assert.False(Wait().IsCompleted);
    }

    [Fact]
    public void WaitAsync_WhileAnotherWaits_Throws()
    {
        _ = Wait();
        Assert.Throws<InvalidOperationException>(() => { _ = Wait(); });
    }

    [Fact]
    public async Task WaitAsync_Cancelled_ThrowsForThatTokenAndLeavesTheSignalUsable()
    {
        using var cancellation = new CancellationTokenSource();
        Task waiting = Wait(cancellation.Token);
        await cancellation.CancelAsync();

        OperationCanceledException e = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WithinAsync());
        Assert.Equal(cancellation.Token, e.CancellationToken);

        _signal.Set();
        Assert.True(Wait().IsCompletedSuccessfully);
    }

    [Fact]
    public void WaitAsync_TokenCancelledBefore_ThrowsAndKeepsTheSignal()
    {
        _signal.Set();
        Assert.ThrowsAny<OperationCanceledException>(() => { _ = Wait(new CancellationToken(canceled: true)); });
        Assert.True(Wait().IsCompletedSuccessfully);
    }

    [Fact]
    public async Task Cancel_AfterSet_DoesNotTouchLaterWaits()
    {
        using var cancellation = new CancellationTokenSource();
        Task first = Wait(cancellation.Token);
        _signal.Set();
        await first.WithinAsync();

        Task second = Wait();
        await cancellation.CancelAsync();
        Assert.False(second.IsCompleted);
        _signal.Set();
        await second.WithinAsync();
    }

    [Fact]
    public async Task SetRacingCancel_EveryRound_IsEitherReceivedOrKept()
    {
        CancellationTokenSource cancellation = new();
        Task waiting = Task.CompletedTask;
        await Race.RunAsync(
            rounds: 3000,
            prepare: _ =>
            {
                cancellation = new CancellationTokenSource();
                waiting = Wait(cancellation.Token);
            },
            rival: _ => _signal.Set(),
            side: _ =>
            {
                cancellation.Cancel();
                return Task.CompletedTask;
            },
            check: async round =>
            {
                try
                {
                    await waiting.WithinAsync();
                }
                catch (OperationCanceledException)
                {
                    Assert.True(Wait().IsCompletedSuccessfully, $"Round {round} lost the signal.");
                }

                cancellation.Dispose();
            });
        Assert.False(Wait().IsCompleted);
    }

    [Fact]
    public async Task SetRacingWaitAsync_EveryRound_WakesTheWaiter()
    {
        Task waiting = Task.CompletedTask;
        using var cancellation = new CancellationTokenSource();
        await Race.RunAsync(
            rounds: 3000,
            prepare: _ => { },
            rival: _ => _signal.Set(),
            side: _ =>
            {
                waiting = Wait(cancellation.Token);
                return Task.CompletedTask;
            },
            check: _ => waiting.WithinAsync());
    }

    [Fact]
    public async Task Set_OneForEachWait_LosesNoWakeUp()
    {
        // Two signals hand a turn back and forth; one that is lost stops both.
        var other = new AsyncSignal();
        const int Turns = 20_000;
        Task pong = Task.Run(async () =>
        {
            for (int i = 0; i < Turns; i++)
            {
                await _signal.WaitAsync(CancellationToken.None);
                other.Set();
            }
        });
        Task ping = Task.Run(async () =>
        {
            for (int i = 0; i < Turns; i++)
            {
                _signal.Set();
                await other.WaitAsync(CancellationToken.None);
            }
        });

        await ping.WithinAsync();
        await pong.WithinAsync();
    }

    [Fact]
    public void SetAndWaitAsync_WithoutAWait_AllocateNothing()
    {
        SetAndWait();
        long before = GC.GetAllocatedBytesForCurrentThread();
        SetAndWait();
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private Task Wait(CancellationToken cancellationToken = default) => _signal.WaitAsync(cancellationToken).AsTask();

    private void SetAndWait()
    {
        for (int i = 0; i < 1000; i++)
        {
            _signal.Set();
            // A completed task is one for all, so that the wait itself is all that could allocate.
            Assert.Same(Task.CompletedTask, Wait());
        }
    }
}
