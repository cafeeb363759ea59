using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class KwikStreamWritingTests
{
    [Fact]
    public async Task CompleteWrites_WithoutAWrite_IsAnEmptyStream()
    {
        await using var pair = new StreamPair();
        pair.Client.CompleteWrites();
        pair.Client.CompleteWrites();

        Assert.False(pair.Client.CanWrite);
        Assert.Empty(await pair.Primary.ReadAllAsync());
        await pair.Client.WritesClosed.WithinAsync();
    }

    [Fact]
    public async Task WriteAsync_AfterCompleteWrites_Throws()
    {
        await using var pair = new StreamPair();
        await pair.Client.WriteAsync("all"u8.ToArray()).WithinAsync();
        pair.Client.CompleteWrites();

        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Client.WriteAsync(new byte[1]).WithinAsync());
        Assert.Equal("all"u8.ToArray(), await pair.Primary.ReadAllAsync());
    }

    [Fact]
    public async Task WriteAsync_WhileAnotherWrites_Throws()
    {
        await using StreamPair pair = Narrow();
        Task writing = pair.Client.WriteAsync(new byte[200_000]).AsTask();
        Assert.False(writing.IsCompleted);
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Client.WriteAsync(new byte[1]).WithinAsync());
        Assert.Throws<InvalidOperationException>(pair.Client.CompleteWrites);

        Assert.Equal(new byte[200_000], await pair.Primary.ReadAsync(200_000));
        await writing.WithinAsync();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(60_000)]
    [InlineData(500_000)]
    public async Task WriteAsync_Cancelled_IsFollowedInOrderByTheNextWrite(int length)
    {
        await using StreamPair pair = Narrow();
        await FillAsync(pair.Client);
        using var cancellation = new CancellationTokenSource();
        Task cancelled = pair.Client.WriteAsync(Filled('a', length), cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        OperationCanceledException e = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WithinAsync());
        Assert.Equal(cancellation.Token, e.CancellationToken);

        Task next = CompleteAfterAsync(pair.Client, Filled('b', 1000));
        byte[] read = await pair.Primary.ReadAllAsync();
        await next.WithinAsync();

        // A frame was under way, so nothing of the cancelled write was handed over.
        Assert.Equal((byte[])[.. Filled('.', 2 * FrameWriter.PayloadSize), .. Filled('b', 1000)], read);
    }

    [Fact]
    public async Task WriteAsync_CancelledAtAnyTime_LeavesWholeFramesInOrder()
    {
        for (int seed = 0; seed < 30; seed++)
        {
            await using var pair = new StreamPair(window: 1000, new AggregatorOptions { MaxPendingBytes = 64 * 1024 });
            using var cancellation = new CancellationTokenSource();
            Task writing = pair.Client.WriteAsync(Filled('a', 500_000), cancellation.Token).AsTask();
            byte[] begun = await pair.Primary.ReadAsync(seed * 10_000);
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing.WithinAsync());

            Task next = CompleteAfterAsync(pair.Client, Filled('b', 1000));
            byte[] read = [.. begun, .. await pair.Primary.ReadAllAsync()];
            await next.WithinAsync();
            int handedOver = read.Length - 1000;
            Assert.Equal(0, handedOver % FrameWriter.PayloadSize);
            Assert.Equal((byte[])[.. Filled('a', handedOver), .. Filled('b', 1000)], read);
        }
    }

    [Fact]
    public async Task WriteAsync_TokenCancelledBefore_WritesNothing()
    {
        await using var pair = new StreamPair();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => pair.Client.WriteAsync("never"u8.ToArray(), new CancellationToken(canceled: true)).WithinAsync());
        await CompleteAfterAsync(pair.Client, "later"u8.ToArray());
        Assert.Equal("later"u8.ToArray(), await pair.Primary.ReadAllAsync());
    }

    [Fact]
    public async Task FlushAsync_AfterACancelledWrite_WaitsForIt()
    {
        await using StreamPair pair = Narrow();
        await FillAsync(pair.Client);
        Task flushing = pair.Client.FlushAsync(CancellationToken.None);
        Assert.False(flushing.IsCompleted);

        Assert.Equal(Filled('.', 2 * FrameWriter.PayloadSize), await pair.Primary.ReadAsync(2 * FrameWriter.PayloadSize));
        await flushing.WithinAsync();
    }

    [Fact]
    public async Task CompleteWrites_AfterACancelledWrite_EndsBehindIt()
    {
        await using StreamPair pair = Narrow();
        await FillAsync(pair.Client);
        pair.Client.CompleteWrites();
        Assert.Equal(Filled('.', 2 * FrameWriter.PayloadSize), await pair.Primary.ReadAllAsync());
    }

    [Fact]
    public async Task Write_BlockingAndArrayOverloads_WriteTheSameStream()
    {
        await using var pair = new StreamPair();
        await Task.Run(() => pair.Client.Write("xone x"u8.ToArray(), 1, 4)).WithinAsync();
        await pair.Client.WriteAsync("xtwox"u8.ToArray(), 1, 3, CancellationToken.None).WithinAsync();
        await Task.Run(pair.Client.Flush).WithinAsync();
        Assert.Throws<ArgumentOutOfRangeException>(() => pair.Client.Write(new byte[3], 2, 2));

        Assert.Equal("one two"u8.ToArray(), await pair.Primary.ReadAsync(7));
    }

    [Fact]
    public async Task WriteAsync_ToAPeerThatAborted_FailsWithItsCode()
    {
        await using var pair = new StreamPair();
        pair.Primary.Abort(KwikError.NotFound);
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => pair.Client.WriteAsync(new byte[1]).WithinAsync());
        Assert.Equal((KwikError.NotFound, KwikErrorSide.Remote), (e.Code, e.Side));
        await Assert.ThrowsAnyAsync<KwikException>(() => pair.Client.WritesClosed.WithinAsync());
    }

    [Fact]
    public async Task WriteAsync_PendingWhenThePeerAborts_Fails()
    {
        await using StreamPair pair = Narrow();
        Task writing = pair.Client.WriteAsync(new byte[500_000]).AsTask();
        pair.Primary.Abort(KwikError.LimitExceeded);
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => writing.WithinAsync());
        Assert.Equal(KwikError.LimitExceeded, e.Code);
    }

    /// <summary>Takes one frame without a reader, and no more.</summary>
    private static StreamPair Narrow() => new(window: 100, new AggregatorOptions { MaxPendingBytes = 64 * 1024 });

    private static byte[] Filled(char value, int length)
    {
        var bytes = new byte[length];
        Array.Fill(bytes, (byte)value);
        return bytes;
    }

    private static async Task CompleteAfterAsync(KwikStream stream, byte[] bytes)
    {
        await stream.WriteAsync(bytes).WithinAsync();
        stream.CompleteWrites();
    }

    /// <summary>Fills the window with one frame, and leaves a second one pending, by a write that is cancelled.</summary>
    private static async Task FillAsync(KwikStream stream)
    {
        await stream.WriteAsync(Filled('.', FrameWriter.PayloadSize)).WithinAsync();
        using var cancellation = new CancellationTokenSource();
        Task pending = stream.WriteAsync(Filled('.', FrameWriter.PayloadSize), cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => pending.WithinAsync());
    }
}
