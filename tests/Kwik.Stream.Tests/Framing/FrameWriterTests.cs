using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class FrameWriterTests
{
    private readonly LeasePool _pool = new();
    private readonly MemoryTransportStream _client;
    private readonly MemoryTransportStream _server;
    private readonly FrameWriter _writer;

    public FrameWriterTests()
    {
        (_client, _server) = MemoryTransportStream.CreatePair();
        _writer = new FrameWriter(_server, _pool);
    }

    [Fact]
    public async Task WriteAsync_BehindHeaderAndOpenFrame_LeavesInOneWriteOfTheTransport()
    {
        StreamHeader header = StreamHeader.Create(StreamType.Internal);
        _writer.Begin(header);
        _writer.Append(StreamFrame.Open(4, 1000, 7));
        Assert.Equal(0, _server.Outgoing.Writes);
        await _writer.WriteAsync(Frame("payload"u8), offset: 1000);
        Assert.Equal(1, _server.Outgoing.Writes);
        Assert.Equal(0, _pool.Outstanding);

        await AssertSentAsync(
            header, (StreamFrame.Open(4, 1000, 7), []), (StreamFrame.Data(7, 1000, Crc32C.Compute("payload"u8)), "payload"u8.ToArray()));
    }

    [Fact]
    public async Task WriteAsync_BehindMoreThanFitsBeforeThePayload_KeepsTheOrder()
    {
        StreamFrame open = StreamFrame.Open(StreamFrame.MaxOffset, StreamFrame.MaxOffset, StreamFrame.MaxOffset);
        _writer.Append(open);
        _writer.Append(open);
        await _writer.WriteAsync(Frame("payload"u8));
        Assert.Equal(0, _pool.Outstanding);

        await AssertSentAsync(
            null, (open, []), (open, []), (StreamFrame.Data(7, checksum: Crc32C.Compute("payload"u8)), "payload"u8.ToArray()));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(4000)]
    [InlineData(5000)]
    [InlineData(FrameWriter.PayloadSize)]
    public async Task WriteAsync_PayloadOfAnySize_IsReadBack(int length)
    {
        byte[] payload = Bytes.Random(length, length);
        await _writer.WriteAsync(Frame(payload));
        await _writer.WriteAsync(Frame(payload), offset: 5_000_000);
        Assert.Equal(2, _server.Outgoing.Writes);

        await AssertSentAsync(
            null,
            (StreamFrame.Data(length, checksum: Crc32C.Compute(payload)), payload),
            (StreamFrame.Data(length, 5_000_000, Crc32C.Compute(payload)), payload));
    }

    [Fact]
    public void RentFrame_MoreThanPayloadSize_HasNoRoomOrThrows()
    {
        Lease frame = _writer.RentFrame(FrameWriter.PayloadSize);
        Assert.InRange(frame.Room, FrameWriter.PayloadSize, FrameWriter.PayloadSize + StreamFrame.MaxWrittenSize);
        frame.Return();
        Assert.Throws<ArgumentOutOfRangeException>(() => _writer.RentFrame(LeasePool.LargeSize));
        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public async Task WriteAsync_WithoutChecksums_SaysSo()
    {
        var writer = new FrameWriter(_server, _pool, checksums: false);
        await writer.WriteAsync(Frame("payload"u8));
        await AssertSentAsync(null, (StreamFrame.Data(7), "payload"u8.ToArray()));
    }

    [Fact]
    public async Task FlushAsync_WithCompleteWrites_SendsWhatIsQueuedAndEnds()
    {
        _writer.Append(StreamFrame.Close(5));
        await _writer.FlushAsync(completeWrites: true);
        Assert.Equal(1, _server.Outgoing.Writes);
        await _server.WritesClosed.WithinAsync();
        await AssertSentAsync(null, (StreamFrame.Close(5), []));
    }

    [Fact]
    public async Task FlushAsync_WithNothingQueued_CanStillEndTheStream()
    {
        await _writer.FlushAsync(completeWrites: true);
        await AssertSentAsync(null);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public async Task WriteAsync_ToAPeerThatGaveUp_FailsAndReturnsAllMemory(int queued)
    {
        _client.AbortReads(KwikError.Cancelled);
        for (int i = 0; i < queued; i++)
        {
            _writer.Append(StreamFrame.Open(StreamFrame.MaxOffset, StreamFrame.MaxOffset, StreamFrame.MaxOffset));
        }

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => _writer.WriteAsync(Frame("x"u8)).WithinAsync());
        Assert.Equal((KwikError.Cancelled, KwikErrorSide.Remote), (e.Code, e.Side));
        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public async Task WriteAsync_PendingWhenThePeerGivesUp_FailsAndReturnsItsMemory()
    {
        (MemoryTransportStream client, MemoryTransportStream server) = MemoryTransportStream.CreatePair(window: 100);
        var writer = new FrameWriter(server, _pool);
        Task writing = writer.WriteAsync(FrameOf(writer, new byte[1000])).AsTask();
        Assert.False(writing.IsCompleted);
        Assert.Equal(1, _pool.Outstanding);
        client.AbortReads(KwikError.Timeout);

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => writing.WithinAsync());
        Assert.Equal(KwikError.Timeout, e.Code);
        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public void Discard_WithFramesQueued_ReturnsThem()
    {
        _writer.Append(StreamFrame.Close(5));
        Assert.Equal(1, _pool.Outstanding);
        _writer.Discard();
        _writer.Discard();
        Assert.Equal((0L, 0), (_pool.Outstanding, _server.Outgoing.Writes));
    }

    private Lease Frame(ReadOnlySpan<byte> payload) => FrameOf(_writer, payload);

    private static Lease FrameOf(FrameWriter writer, ReadOnlySpan<byte> payload)
    {
        Lease frame = writer.RentFrame(payload.Length);
        payload.CopyTo(frame.Free.Span);
        frame.Extend(payload.Length);
        return frame;
    }

    private async Task AssertSentAsync(StreamHeader? header, params (StreamFrame Frame, byte[] Payload)[] expected)
    {
        _server.CompleteWrites();
        if (header is { } expectedHeader)
        {
            var bytes = new byte[StreamHeader.Size];
            Assert.Equal(bytes.Length, await _client.ReadAsync(bytes).WithinAsync());
            Assert.True(StreamHeader.TryRead(bytes, out StreamHeader read));
            Assert.Equal(expectedHeader, read);
        }

        var reader = new FrameReader(_client, _pool);
        var pieces = new List<Lease>();
        foreach ((StreamFrame frame, byte[] payload) in expected)
        {
            Assert.Equal(frame, await reader.ReadFrameAsync().WithinAsync());
            await reader.ReadPayloadAsync(frame, pieces).WithinAsync();
            Assert.Equal(payload, pieces.SelectMany(piece => piece.Span.ToArray()));
            pieces.ForEach(piece => piece.Return());
            pieces.Clear();
        }

        Assert.Null(await reader.ReadFrameAsync().WithinAsync());
        Assert.Equal(0, _pool.Outstanding);
    }
}
