using System.Threading.Tasks.Sources;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Stream.Tests;

/// <summary>Who goes on where, when a loop over reads has something for a reader.</summary>
public sealed class TransportStepTests : IValueTaskSource<int>
{
    private readonly TransportStep _step = new();
    private readonly AsyncSignal _signal = new();
    private readonly List<string> _order = [];
    private ManualResetValueTaskSourceCore<int> _read;

    [Fact]
    public async Task Set_InAStep_WakesOnThisThreadWhenTheLoopWaits()
    {
        int wokenOn = 0;
        Task reader = ReadAsync(() => wokenOn = Environment.CurrentManagedThreadId);
        Task loop = LoopAsync(() => TransportStep.Set(_signal));

        _read.SetResult(1);

        // Nobody was switched to: both have run before SetResult returned, the loop first.
        Assert.Equal(["loop", "loop waits", "reader"], _order);
        Assert.Equal(Environment.CurrentManagedThreadId, wokenOn);
        await reader.WaitAsync(TestTimeouts.Operation);
        await EndAsync(loop);
    }

    [Fact]
    public async Task Set_AgainInAStep_WakesAtOnceOnAnotherThread()
    {
        var woken = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        Task reader = ReadAsync(() => woken.SetResult(Environment.CurrentManagedThreadId));
        int other = 0;
        Task loop = LoopAsync(() =>
        {
            TransportStep.Set(_signal);
            TransportStep.Set(_signal);
            // While the loop is still busy.
            other = Block(woken.Task);
        });

        _read.SetResult(1);

        Assert.NotEqual(Environment.CurrentManagedThreadId, other);
        await reader.WaitAsync(TestTimeouts.Operation);
        await EndAsync(loop);
    }

    [Fact]
    public async Task Set_OfTwoSignalsInAStep_WakesBoth()
    {
        var second = new AsyncSignal();
        Task reader = ReadAsync(() => { });
        Task waiting = second.WaitAsync(CancellationToken.None).AsTask();
        Task loop = LoopAsync(() =>
        {
            TransportStep.Set(_signal);
            TransportStep.Set(second);
        });

        _read.SetResult(1);

        await reader.WaitAsync(TestTimeouts.Operation);
        await waiting.WaitAsync(TestTimeouts.Operation);
        await EndAsync(loop);
    }

    [Fact]
    public async Task Set_OutsideOfAStep_WakesOnAnotherThread()
    {
        var woken = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
        Task reader = ReadAsync(() => woken.SetResult(Environment.CurrentManagedThreadId));

        TransportStep.Set(_signal);
        int on = Block(woken.Task);

        Assert.NotEqual(Environment.CurrentManagedThreadId, on);
        await reader.WaitAsync(TestTimeouts.Operation);
    }

    [Fact]
    public async Task Reader_ThatBlocksWhereItWasWoken_HoldsUpNoLoop()
    {
        var secondStep = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task reader = ReadAsync(() => secondStep.Task.WaitAsync(TestTimeouts.Operation).GetAwaiter().GetResult());
        int steps = 0;
        Task loop = LoopAsync(() =>
        {
            TransportStep.Set(_signal);
            if (++steps == 2)
            {
                secondStep.SetResult();
            }
        });

        Task first = Task.Run(() => _read.SetResult(1));
        // The reader blocks now, inside of the first step's end; the next read is complete all the same.
        while (Volatile.Read(ref _waits) < 2)
        {
            await Task.Yield();
        }

        _read.SetResult(1);

        await first.WaitAsync(TestTimeouts.Operation);
        await reader.WaitAsync(TestTimeouts.Operation);
        await EndAsync(loop);
    }

    [Fact]
    public async Task Step_WhoseReadFails_ThrowsInTheLoop()
    {
        Task loop = LoopAsync(() => { });

        _read.SetException(new InvalidDataException("as it was thrown"));

        Assert.Equal("as it was thrown", (await Assert.ThrowsAsync<InvalidDataException>(() => loop)).Message);
    }

    private int _waits;

    int IValueTaskSource<int>.GetResult(short token) => _read.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _read.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
    {
        _read.OnCompleted(continuation, state, token, flags);
        _order.Add("loop waits");
        Interlocked.Increment(ref _waits);
    }

    /// <summary>Keeps this thread from being the one that the task waits for.</summary>
    private static int Block(Task<int> task) => task.WaitAsync(TestTimeouts.Operation).GetAwaiter().GetResult();

    private async Task ReadAsync(Action woken)
    {
        await _signal.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        _order.Add("reader");
        woken();
    }

    /// <summary>Reads until a 0, and does this with every other read.</summary>
    private async Task LoopAsync(Action step)
    {
        while (await _step.WaitFor(Read()) > 0)
        {
            _order.Clear();
            _order.Add("loop");
            step();
        }
    }

    private ValueTask<int> Read()
    {
        _read.Reset();
        return new(this, _read.Version);
    }

    private async Task EndAsync(Task loop)
    {
        _read.SetResult(0);
        await loop.WaitAsync(TestTimeouts.Operation);
    }
}
