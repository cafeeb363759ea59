using Xunit;

namespace Kwik.Testing;

/// <summary>Calls that block, from threads that must not be waited for, and the old pairs of Begin and End.</summary>
public abstract partial class StreamConformanceTests
{
    /// <summary>The ways to read and to write that block the thread.</summary>
    public static TheoryData<StreamCall> BlockingCalls => [StreamCall.Byte, StreamCall.Span, StreamCall.Array, StreamCall.Apm];

    [Theory, MemberData(nameof(BlockingCalls))]
    public Task Blocking_OnAThreadWithItsOwnContext_DoesNotWaitForItself(StreamCall call) => RunAsync(async (near, far) =>
    {
        using var context = new SingleThreadContext();
        await AssertNoDeadlockAsync(call, near, far, context.RunAsync);
    });

    [Theory, MemberData(nameof(BlockingCalls))]
    public Task Blocking_OnASchedulerThatRunsOneTaskAtATime_DoesNotWaitForItself(StreamCall call) => RunAsync(async (near, far) =>
    {
        TaskScheduler scheduler = new ConcurrentExclusiveSchedulerPair().ExclusiveScheduler;
        await AssertNoDeadlockAsync(call, near, far, work => Task.Factory.StartNew(
            work, CancellationToken.None, TaskCreationOptions.DenyChildAttach | TaskCreationOptions.LongRunning, scheduler));
    });

    [Fact]
    public Task ReadAsync_AwaitedOnAThreadWithItsOwnContext_ContinuesThere() => RunAsync(async (near, far) =>
    {
        using var context = new SingleThreadContext();
        Task task = context.RunAsync(async () =>
        {
            ValueTask<int> reading = near.ReadAsync(new byte[1]);
            Assert.False(reading.IsCompleted);
            await far.WriteAsync(new byte[1]);
            Assert.True(context.IsHere);
            Assert.Equal(1, await reading);
            Assert.True(context.IsHere);
            await near.WriteAsync(new byte[1]);
            await near.FlushAsync();
            Assert.True(context.IsHere);
            await near.DisposeAsync();
            Assert.True(context.IsHere);
        });
        await task;
    });

    [Fact]
    public Task BeginRead_WhenBytesArrive_CallsBackOnceWithWhatItWasGiven() => RunAsync(async (near, far) =>
    {
        var called = new TaskCompletionSource<IAsyncResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        byte[] buffer = new byte[4];
        object state = new();
        IAsyncResult read = near.BeginRead(buffer, 1, 3, called.SetResult, state);
        Assert.Equal((false, false), (read.IsCompleted, read.CompletedSynchronously));
        Assert.Same(state, read.AsyncState);
        await far.WriteAsync("ab"u8.ToArray());
        Assert.Same(read, await called.Task);
        Assert.True(read.IsCompleted);
        Assert.True(read.AsyncWaitHandle.WaitOne(0));
        Assert.Equal(2, near.EndRead(read));
        Assert.Equal([0, .. "ab"u8, 0], buffer);
    });

    [Fact]
    public Task BeginWrite_WhenTheBytesAreTaken_CallsBackOnceWithWhatItWasGiven() => RunAsync(async (near, far) =>
    {
        var called = new TaskCompletionSource<IAsyncResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        object state = new();
        IAsyncResult write = near.BeginWrite(Bytes(Capacity), 0, Capacity, called.SetResult, state);
        Assert.Equal((false, false), (write.IsCompleted, write.CompletedSynchronously));
        Assert.Same(state, write.AsyncState);
        Assert.Equal(Bytes(Capacity), await far.TakeAsync(Capacity));
        Assert.Same(write, await called.Task);
        Assert.True(write.IsCompleted);
        near.EndWrite(write);
    });

    [Fact]
    public Task BeginWrite_WhileABeginReadIsPending_DoesNotWaitForIt() => RunAsync(async (near, far) =>
    {
        byte[] buffer = new byte[6];
        IAsyncResult read = near.BeginRead(buffer, 0, 6, null, null);
        await OwnThread.RunAsync(() => near.EndWrite(near.BeginWrite("question"u8.ToArray(), 0, 8, null, null)));
        Assert.Equal("question"u8.ToArray(), await far.TakeAsync(8));
        Assert.False(read.IsCompleted);
        await far.WriteAsync("answer"u8.ToArray());
        int count = await OwnThread.RunAsync(() => near.EndRead(read));
        Assert.Equal("answer"u8[..count].ToArray(), buffer[..count]);
    });

    [Fact]
    public Task EndRead_OfAReadThatFailed_Throws() => RunAsync(async (near, _) =>
    {
        IAsyncResult read = near.BeginRead(new byte[1], 0, 1, null, null);
        await near.DisposeAsync();
        await AssertDisposedAsync(() => OwnThread.RunAsync(() => near.EndRead(read)));
    });

    /// <summary>Every call has to wait for the other side, and returns all the same.</summary>
    private static async Task AssertNoDeadlockAsync(StreamCall call, Stream near, Stream far, Func<Action, Task> run)
    {
        byte[] large = Bytes(300_000);
        byte[] answer = Bytes(10_000, seed: 2);
        int size = call == StreamCall.Byte ? 1000 : large.Length;
        byte[] read = new byte[answer.Length];
        Task blocking = run(() =>
        {
            near.Write(call, large, 0, size);
            near.Flush();
            for (int have = 0; have < read.Length;)
            {
                int count = near.Read(call, read, have, read.Length - have);
                have += count > 0 ? count : throw new EndOfStreamException();
            }

            near.CopyTo(Stream.Null);
            near.Dispose();
        });
        Assert.Equal(large[..size], await far.TakeAsync(size));
        await far.WriteAsync(answer.AsMemory(0, 5000));
        await far.WriteAsync(answer.AsMemory(5000));
        Assert.Equal(0, await EndAndReadAsync((Streams.KwikStream)far));
        await blocking;
        Assert.Equal(answer, read);
    }

    private static async Task<int> EndAndReadAsync(Streams.KwikStream stream)
    {
        stream.CompleteWrites();
        return await stream.ReadAsync(new byte[1]);
    }
}
