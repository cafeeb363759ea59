using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class SecondaryStreamTests
{
    [Fact]
    public async Task New_BelongsNowhereAndSendsNothing()
    {
        await using var pair = new SecondaryPair();
        Assert.Equal(SecondaryStreamState.Opening, pair.Stream.State);
        Assert.Equal((-1, -1), (pair.Stream.GetKwikStreamId(), pair.Stream.GetOffset()));
        Assert.False(pair.Stream.MayDeliver(-1, 0));
        Assert.Equal(0, pair.Writes);
    }

    [Fact]
    public async Task SetKwikStreamMapping_BeforeAWrite_GoesOutWithIt()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 1000);
        Assert.Equal(SecondaryStreamState.Active, pair.Stream.State);
        Assert.Equal((4, 1000), (pair.Stream.GetKwikStreamId(), pair.Stream.GetOffset()));
        Assert.Equal(0, pair.Writes);

        await pair.Stream.WriteAsync("bytes"u8.ToArray()).WithinAsync();
        Assert.Equal(1, pair.Writes);
        Assert.Equal(1005, pair.Stream.GetOffset());
        await pair.ExpectAsync(StreamFrame.Open(4, 1000));
        Assert.Equal("bytes"u8.ToArray(), await pair.ExpectAsync(StreamFrame.Data(5)));
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(StreamFrame.MaxOffset, StreamFrame.MaxOffset)]
    public async Task SetKwikStreamMapping_EdgeOfTheRange_IsTaken(long id, long offset)
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(id, offset);
        Assert.Equal((id, offset), (pair.Stream.GetKwikStreamId(), pair.Stream.GetOffset()));
        await pair.Stream.CompleteAsync().WithinAsync();
        await pair.ExpectAsync(StreamFrame.Open(id, offset));
        await pair.ExpectAsync(StreamFrame.Close(offset));
    }

    [Theory]
    [InlineData(-1, 0, "kwikStreamId")]
    [InlineData(StreamFrame.MaxOffset + 1, 0, "kwikStreamId")]
    [InlineData(0, -1, "offset")]
    [InlineData(0, StreamFrame.MaxOffset + 1, "offset")]
    public async Task SetKwikStreamMapping_OutOfRange_ThrowsAndNamesIt(long id, long offset, string name)
    {
        await using var pair = new SecondaryPair();
        Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(() => pair.Stream.SetKwikStreamMapping(id, offset)).ParamName);
        Assert.Equal(SecondaryStreamState.Opening, pair.Stream.State);
    }

    [Fact]
    public async Task SetKwikStreamMapping_AnotherPublicStream_ThrowsAndChangesNothing()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 100);
        Assert.Throws<InvalidOperationException>(() => pair.Stream.SetKwikStreamMapping(8, 200));
        Assert.Equal((4, 100), (pair.Stream.GetKwikStreamId(), pair.Stream.GetOffset()));
        await pair.Stream.WriteAsync(new byte[1]).WithinAsync();
        await pair.ExpectAsync(StreamFrame.Open(4, 100));
        await pair.ExpectAsync(StreamFrame.Data(1));
    }

    [Fact]
    public async Task SetKwikStreamMapping_Again_TheNextFrameNamesTheOffset()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 100);
        await pair.Stream.WriteAsync(new byte[10]).WithinAsync();
        pair.Stream.SetKwikStreamMapping(4, 500);
        pair.Stream.SetKwikStreamMapping(4, 50);
        Assert.Equal(50, pair.Stream.GetOffset());
        await pair.Stream.WriteAsync(new byte[20]).WithinAsync();
        await pair.Stream.WriteAsync(new byte[30]).WithinAsync();
        Assert.Equal(100, pair.Stream.GetOffset());

        await pair.ExpectAsync(StreamFrame.Open(4, 100));
        await pair.ExpectAsync(StreamFrame.Data(10));
        await pair.ExpectAsync(StreamFrame.Data(20, 50));
        await pair.ExpectAsync(StreamFrame.Data(30));
    }

    [Fact]
    public async Task WriteAsync_MoreThanAFrame_IsSplitAndInOrder()
    {
        await using var pair = new SecondaryPair();
        byte[] bytes = Bytes.Random(1, 150_000);
        pair.Stream.SetKwikStreamMapping(4, 100);
        pair.Stream.SetKwikStreamMapping(4, 200);
        await pair.Stream.WriteAsync(bytes).WithinAsync();
        Assert.Equal(150_200, pair.Stream.GetOffset());

        await pair.ExpectAsync(StreamFrame.Open(4, 100));
        byte[] first = await pair.ExpectAsync(StreamFrame.Data(FrameWriter.PayloadSize, 200));
        byte[] second = await pair.ExpectAsync(StreamFrame.Data(FrameWriter.PayloadSize));
        byte[] third = await pair.ExpectAsync(StreamFrame.Data(150_000 - (2 * FrameWriter.PayloadSize)));
        Assert.Equal(bytes, first.Concat(second).Concat(third));
    }

    [Fact]
    public async Task WriteAsync_Empty_SendsNothing()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 100);
        await pair.Stream.WriteAsync(Array.Empty<byte>()).WithinAsync();
        Assert.Equal(0, pair.Writes);
        Assert.Equal(100, pair.Stream.GetOffset());
    }

    [Fact]
    public async Task WriteAsync_BeyondTheLastOffset_ThrowsAndLeavesTheStreamUsable()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, StreamFrame.MaxOffset - 3);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => pair.Stream.WriteAsync(new byte[4]).WithinAsync());
        Assert.Equal(0, pair.Writes);
        await pair.Stream.WriteAsync(new byte[3]).WithinAsync();
        Assert.Equal(StreamFrame.MaxOffset, pair.Stream.GetOffset());
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => pair.Stream.WriteAsync(new byte[1]).WithinAsync());
    }

    [Fact]
    public async Task WriteAndComplete_BeforeAMapping_ThrowAndLeaveTheStreamUsable()
    {
        await using var pair = new SecondaryPair();
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Stream.WriteAsync(new byte[1]).WithinAsync());
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Stream.CompleteAsync().WithinAsync());
        Assert.Equal(SecondaryStreamState.Opening, pair.Stream.State);
        Assert.Equal(0, pair.Writes);

        pair.Stream.SetKwikStreamMapping(4, 0);
        await pair.Stream.WriteAsync(new byte[1]).WithinAsync();
        await pair.Stream.CompleteAsync().WithinAsync();
    }

    [Fact]
    public async Task AnyCall_WhileAWriteIsPending_ThrowsAndTheWriteGoesOn()
    {
        await using var pair = new SecondaryPair(window: 1000);
        pair.Stream.SetKwikStreamMapping(4, 0);
        Task writing = pair.Stream.WriteAsync(new byte[5000]).AsTask();
        Assert.False(writing.IsCompleted);

        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Stream.WriteAsync(new byte[1]).WithinAsync());
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Stream.CompleteAsync().WithinAsync());
        Assert.Throws<InvalidOperationException>(() => pair.Stream.SetKwikStreamMapping(4, 10));

        await pair.ExpectAsync(StreamFrame.Open(4, 0));
        Assert.Equal(new byte[5000], await pair.ExpectAsync(StreamFrame.Data(5000)));
        await writing.WithinAsync();
        pair.Stream.SetKwikStreamMapping(4, 10);
    }

    [Fact]
    public async Task WriteAsync_TokenCancelledBefore_SendsNothing()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 0);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => pair.Stream.WriteAsync(new byte[1], new CancellationToken(canceled: true)).WithinAsync());
        Assert.Equal(0, pair.Stream.GetOffset());
        await pair.Stream.WriteAsync(new byte[2]).WithinAsync();
        await pair.ExpectAsync(StreamFrame.Open(4, 0));
        await pair.ExpectAsync(StreamFrame.Data(2));
    }

    [Fact]
    public async Task WriteAsync_Cancelled_WhatWasHandedOverIsSentAndTheJumpIsLeftToTheNext()
    {
        await using var pair = new SecondaryPair(window: 1000);
        pair.Stream.SetKwikStreamMapping(4, 0);
        await CancelAsync(pair.Stream, 100_000);
        Assert.Equal(FrameWriter.PayloadSize, pair.Stream.GetOffset());

        // The first frame is still with the transport, so that this one hands nothing over.
        pair.Stream.SetKwikStreamMapping(4, 500_000);
        await CancelAsync(pair.Stream, 10);
        Assert.Equal(500_000, pair.Stream.GetOffset());

        Task next = pair.Stream.WriteAsync("next"u8.ToArray()).AsTask();
        await pair.ExpectAsync(StreamFrame.Open(4, 0));
        await pair.ExpectAsync(StreamFrame.Data(FrameWriter.PayloadSize));
        Assert.Equal("next"u8.ToArray(), await pair.ExpectAsync(StreamFrame.Data(4, 500_000)));
        await next.WithinAsync();
        Assert.Equal(500_004, pair.Stream.GetOffset());
    }

    [Fact]
    public async Task Answer_ToARequest_NamesItInTheOpenFrame()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.Answer(4, 100, requestId: 0);
        Lease frame = pair.Stream.RentFrame(3);
        "abc"u8.CopyTo(frame.Free.Span);
        frame.Extend(3);
        await pair.Stream.WriteFrameAsync(frame).AsTask().WithinAsync();
        Assert.Equal(103, pair.Stream.GetOffset());
        await pair.Stream.CompleteAsync().WithinAsync();

        await pair.ExpectAsync(StreamFrame.Open(4, 100, requestId: 0));
        Assert.Equal("abc"u8.ToArray(), await pair.ExpectAsync(StreamFrame.Data(3)));
        await pair.ExpectAsync(StreamFrame.Close(103));
    }

    private static async Task CancelAsync(SecondaryStream stream, int length)
    {
        using var cancellation = new CancellationTokenSource();
        Task writing = stream.WriteAsync(new byte[length], cancellation.Token).AsTask();
        Assert.False(writing.IsCompleted);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing.WithinAsync());
    }
}
