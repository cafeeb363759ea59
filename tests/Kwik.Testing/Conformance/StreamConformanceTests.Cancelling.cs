using Xunit;

namespace Kwik.Testing;

/// <summary>Cancellation: before, during and after a call.</summary>
public abstract partial class StreamConformanceTests
{
    [Fact]
    public Task Reads_TokenCancelledBefore_ThrowAndTakeNothing() => RunAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(10));
        await near.ReadExactlyAsync(Memory<byte>.Empty);
        var cancelled = new CancellationToken(canceled: true);
        await AssertCancelledAsync(() => near.ReadAsync(new byte[1], cancelled).AsTask(), cancelled);
        await AssertCancelledAsync(() => near.ReadAsync(Memory<byte>.Empty, cancelled).AsTask(), cancelled);
        await AssertCancelledAsync(() => near.ReadAsync(new byte[1], 0, 1, cancelled), cancelled);
        await AssertCancelledAsync(() => near.ReadExactlyAsync(new byte[1], cancelled).AsTask(), cancelled);
        await AssertCancelledAsync(() => near.ReadAtLeastAsync(new byte[1], 1, true, cancelled).AsTask(), cancelled);
        await AssertCancelledAsync(() => near.CopyToAsync(Stream.Null, cancelled), cancelled);
        await AssertCancelledAsync(() => near.CopyToAsync(Stream.Null, 100, cancelled), cancelled);
        Assert.Equal(Bytes(10), await near.TakeAsync(10));
    });

    [Fact]
    public Task Writes_TokenCancelledBefore_ThrowAndWriteNothing() => RunAsync(async (near, far) =>
    {
        var cancelled = new CancellationToken(canceled: true);
        await AssertCancelledAsync(() => near.WriteAsync(Bytes(10), cancelled).AsTask(), cancelled);
        await AssertCancelledAsync(() => near.WriteAsync(ReadOnlyMemory<byte>.Empty, cancelled).AsTask(), cancelled);
        await AssertCancelledAsync(() => near.WriteAsync(Bytes(10), 0, 10, cancelled), cancelled);
        await AssertCancelledAsync(() => near.FlushAsync(cancelled), cancelled);
        await WriteAllAsync(near, "later"u8.ToArray());
        Assert.Equal("later"u8.ToArray(), await far.ReadToEndAsync());
    });

    [Theory]
    [InlineData(StreamCall.ArrayAsync, 10)]
    [InlineData(StreamCall.MemoryAsync, 10)]
    [InlineData(StreamCall.MemoryAsync, 0)]
    public Task Read_CancelledWhilePending_ThrowsAndTheNextContinues(StreamCall call, int size) => RunAsync(async (near, far) =>
    {
        for (int round = 0; round < 10; round++)
        {
            using var cancellation = new CancellationTokenSource();
            byte[] buffer = new byte[size];
            Task<int> reading = call == StreamCall.ArrayAsync
                ? near.ReadAsync(buffer, 0, size, cancellation.Token)
                : near.ReadAsync(buffer, cancellation.Token).AsTask();
            Assert.False(reading.IsCompleted);
            await cancellation.CancelAsync();
            await AssertCancelledAsync(() => reading, cancellation.Token);
            Task<byte[]> next = near.TakeAsync(10);
            await far.WriteAsync(Bytes(10, round));
            Assert.Equal(Bytes(10, round), await next);
        }
    });

    [Fact]
    public Task Read_CancelledWhenItIsDone_HasNoEffect() => RunAsync(async (near, far) =>
    {
        using var cancellation = new CancellationTokenSource();
        Task<int> reading = near.ReadAsync(new byte[1], cancellation.Token).AsTask();
        await far.WriteAsync(Bytes(2));
        Assert.Equal(1, await reading);
        await near.WriteAsync(Bytes(2), cancellation.Token);
        await cancellation.CancelAsync();
        Assert.Equal(Bytes(2)[1..], await near.TakeAsync(1));
        Assert.Equal(Bytes(2), await far.TakeAsync(2));
    });

    [Fact]
    public Task Read_CancelledAsBytesArrive_LosesNone() => RunAsync(async (near, far) =>
    {
        byte[] all = Bytes(500);
        Task writing = OwnThread.RunAsync(() => far.Write(StreamCall.Byte, all, 0, all.Length));
        var taken = new List<byte>();
        byte[] buffer = new byte[1];
        while (taken.Count < all.Length)
        {
            using var cancellation = new CancellationTokenSource();
            Task<int> reading = near.ReadAsync(buffer, cancellation.Token).AsTask();
            _ = cancellation.CancelAsync();
            try
            {
                Assert.Equal(1, await reading);
                taken.Add(buffer[0]);
            }
            catch (OperationCanceledException e)
            {
                Assert.Equal(cancellation.Token, e.CancellationToken);
            }
        }

        Assert.Equal(all, taken);
        await writing;
    });

    [Theory]
    [InlineData(StreamCall.ArrayAsync)]
    [InlineData(StreamCall.MemoryAsync)]
    public Task Write_CancelledWhilePending_ThrowsAndTheNextFollowsWhatWasSent(StreamCall call) => RunAsync(async (near, far) =>
    {
        using var cancellation = new CancellationTokenSource();
        Task writing = call == StreamCall.ArrayAsync
            ? near.WriteAsync(Bytes(Capacity), 0, Capacity, cancellation.Token)
            : near.WriteAsync(Bytes(Capacity), cancellation.Token).AsTask();
        Assert.Equal(Bytes(Capacity)[..100], await far.TakeAsync(100));
        Assert.False(writing.IsCompleted);
        await cancellation.CancelAsync();
        await AssertCancelledAsync(() => writing, cancellation.Token);

        Task next = WriteAllAsync(near, "next"u8.ToArray());
        byte[] read = await far.ReadToEndAsync();
        await next;
        int sent = read.Length - 4;
        Assert.InRange(sent, 0, Capacity - 101);
        Assert.Equal(Bytes(Capacity)[100..(100 + sent)], read[..sent]);
        Assert.Equal("next"u8.ToArray(), read[sent..]);
    });

    [Fact]
    public Task CopyTo_CancelledWhilePending_ThrowsAndTheNextReadContinues() => RunAsync(async (near, far) =>
    {
        // All of it is there first: a copy that is cancelled between a read and its write loses what it has read.
        using var cancellation = new CancellationTokenSource();
        using var destination = new AwaitedStream(1000);
        await far.WriteAsync(Bytes(1000));
        Task copying = near.CopyToAsync(destination, 100, cancellation.Token);
        await destination.Filled;
        Assert.False(copying.IsCompleted);
        await cancellation.CancelAsync();
        await AssertCancelledAsync(() => copying, cancellation.Token);
        await far.WriteAsync(Bytes(500));
        far.CompleteWrites();
        Assert.Equal(Bytes(1000), destination.ToArray());
        Assert.Equal(Bytes(500), await near.ReadToEndAsync());
    });

    /// <summary>Tells when so many bytes have been written to it.</summary>
    private sealed class AwaitedStream(int length) : MemoryStream
    {
        private readonly TaskCompletionSource _filled = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Filled => _filled.Task;

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await base.WriteAsync(buffer, cancellationToken);
            if (Length == length)
            {
                _filled.TrySetResult();
            }
        }
    }
}
