using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class FrameReaderTests
{
    private readonly LeasePool _pool = new();

    [Fact]
    public async Task ReadFrameAsync_SplitAtEveryByteBoundary_GivesTheSameFramesAndPayload()
    {
        byte[] payload = Bytes.Random(seed: 1, length: 200);
        byte[] stream =
        [
            .. Encode(StreamFrame.Open(4, 1000, 7)), .. Encode(Data(payload, offset: 1000)), .. payload,
            .. Encode(StreamFrame.Data(0)), .. Encode(Data(payload)), .. payload, .. Encode(StreamFrame.Close(1400)),
        ];
        for (int cut = 0; cut <= stream.Length; cut++)
        {
            MemoryTransportStream source = await MemoryTransportStream.OfAsync(stream.AsMemory(..cut), stream.AsMemory(cut..));
            (List<StreamFrame> frames, byte[] bytes) = await ReadAllAsync(source);

            Assert.Equal(
                [StreamFrame.Open(4, 1000, 7), Data(payload, offset: 1000), StreamFrame.Data(0), Data(payload), StreamFrame.Close(1400)],
                frames);
            Assert.Equal([.. payload, .. payload], bytes);
            Assert.Equal(0, _pool.Outstanding);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(1000)]
    [InlineData(100_000)]
    public async Task ReadPayloadAsync_InReadsOfOneSize_GivesTheSameBytes(int size)
    {
        byte[] payload = Bytes.Random(seed: 2, length: 70_000);
        byte[] stream = [.. Encode(Data(payload)), .. payload, .. Encode(Data(payload)), .. payload];
        MemoryTransportStream source = await MemoryTransportStream.OfAsync(
            [.. stream.Chunk(size).Select(piece => new ReadOnlyMemory<byte>(piece))]);
        (List<StreamFrame> frames, byte[] bytes) = await ReadAllAsync(source);

        Assert.Equal(2, frames.Count);
        Assert.Equal([.. payload, .. payload], bytes);
        Assert.Equal(0, _pool.Outstanding);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(LeasePool.SmallSize - 64)]
    [InlineData(LeasePool.SmallSize - 63)]
    [InlineData(LeasePool.SmallSize)]
    [InlineData(64 * 1024)]
    [InlineData(LeasePool.LargeSize - 64)]
    [InlineData(LeasePool.LargeSize - 63)]
    [InlineData(200_000)]
    [InlineData(StreamFrame.MaxPayloadSize - 1)]
    [InlineData(StreamFrame.MaxPayloadSize)]
    public async Task ReadPayloadAsync_AnyLength_IsFollowedByTheNextFrame(int length)
    {
        byte[] payload = Bytes.Random(length, length);
        MemoryTransportStream source = await MemoryTransportStream.OfAsync(
            (byte[])[.. Encode(Data(payload)), .. payload, .. Encode(StreamFrame.Close(length))]);
        (List<StreamFrame> frames, byte[] bytes) = await ReadAllAsync(source);

        Assert.Equal([Data(payload), StreamFrame.Close(length)], frames);
        Assert.Equal(payload, bytes);
        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public async Task ReadPayloadAsync_OfAFrameThatFollows_IsNotSwallowed()
    {
        // Many short frames, all in one read: each is found behind the payload of the one before.
        byte[] stream = [.. Enumerable.Range(0, 100).SelectMany(i =>
            (byte[])[.. Encode(Data(Bytes.Random(i, i))), .. Bytes.Random(i, i)])];
        (List<StreamFrame> frames, byte[] bytes) = await ReadAllAsync(await MemoryTransportStream.OfAsync(stream));

        Assert.Equal(Enumerable.Range(0, 100), frames.Select(frame => frame.DataLength));
        Assert.Equal(Enumerable.Range(0, 100).SelectMany(i => Bytes.Random(i, i)), bytes);
    }

    [Fact]
    public async Task ReadPayloadAsync_AnyBitFlipped_IsAChecksumErrorAndGivesNothing()
    {
        byte[] payload = Bytes.Random(seed: 3, length: 20);
        byte[] frame = Encode(Data(payload));
        for (int bit = 0; bit < payload.Length * 8; bit++)
        {
            byte[] stream = [.. frame, .. payload];
            stream[frame.Length + (bit / 8)] ^= (byte)(1 << (bit % 8));
            Assert.Equal(KwikError.Checksum, await FailureOfAsync(stream));
        }
    }

    [Fact]
    public async Task ReadPayloadAsync_BitFlippedInALaterPiece_GivesNothing()
    {
        byte[] payload = Bytes.Random(seed: 4, length: 300_000);
        byte[] frame = Encode(Data(payload));
        payload[^1] ^= 1;
        Assert.Equal(KwikError.Checksum, await FailureOfAsync([.. frame, .. payload]));
    }

    [Fact]
    public async Task ReadPayloadAsync_WithoutChecksum_IsNotChecked()
    {
        (_, byte[] bytes) = await ReadAllAsync(await MemoryTransportStream.OfAsync((byte[])[.. Encode(StreamFrame.Data(3)), 1, 2, 3]));
        Assert.Equal([1, 2, 3], bytes);
    }

    [Fact]
    public async Task ReadFrameAsync_StreamCutAtEveryByte_EndsOnlyBetweenFrames()
    {
        byte[] payload = Bytes.Random(seed: 5, length: 30);
        byte[] open = Encode(StreamFrame.Open(4, 1000, 7));
        byte[] data = [.. Encode(Data(payload)), .. payload];
        byte[] stream = [.. open, .. data, .. Encode(StreamFrame.Close(30))];
        int[] ends = [0, open.Length, open.Length + data.Length, stream.Length];
        for (int cut = 0; cut <= stream.Length; cut++)
        {
            if (ends.Contains(cut))
            {
                await ReadAllAsync(await MemoryTransportStream.OfAsync(stream.AsMemory(..cut)));
            }
            else
            {
                Assert.Equal(KwikError.MetadataProtocolViolation, await FailureOfAsync(stream[..cut]));
            }

            Assert.Equal(0, _pool.Outstanding);
        }
    }

    [Theory]
    [InlineData("8108")] // 1,025 bytes
    [InlineData("ffffffff07")] // 2^31-1
    [InlineData("808080808080808040")] // 2^62
    [InlineData("ffffffffffffffffff01")] // 2^64-1
    [InlineData("ffffffffffffffffff02")] // no number
    [InlineData("00")] // an empty message has no type
    [InlineData("020000")]
    public async Task ReadFrameAsync_BadPrefixOrMessage_IsAViolation(string hex) =>
        Assert.Equal(KwikError.MetadataProtocolViolation, await FailureOfAsync(Convert.FromHexString(hex)));

    [Fact]
    public async Task ReadFrameAsync_LargestMetadata_IsReadHoweverItsLengthIsWritten()
    {
        byte[] message = [.. Encode(StreamFrame.Close(9))[1..], 0x22, 0xf9, 0x07, .. new byte[1017]];
        Assert.Equal(StreamFrame.MaxMetadataSize, message.Length);
        byte[] longest = [0x80, 0x88, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
        foreach (byte[] prefix in (byte[][])[[0x80, 0x08], longest])
        {
            (List<StreamFrame> frames, _) = await ReadAllAsync(
                await MemoryTransportStream.OfAsync((byte[])[.. prefix, .. message, .. prefix, .. message]));
            Assert.Equal([StreamFrame.Close(9), StreamFrame.Close(9)], frames);
        }
    }

    [Fact]
    public async Task ReadPayloadAsync_AbortedByThePeer_PassesItsCodeOnAndKeepsNoMemory()
    {
        (MemoryTransportStream client, MemoryTransportStream server) = MemoryTransportStream.CreatePair();
        await server.WriteAsync(Encode(StreamFrame.Data(300_000)));
        await server.WriteAsync(new byte[200_000]);
        var reader = new FrameReader(client, _pool);
        StreamFrame? frame = await reader.ReadFrameAsync();
        var pieces = new List<Lease>();
        Task reading = reader.ReadPayloadAsync(frame!.Value, pieces).AsTask();
        server.AbortWrites(KwikError.NotFound);

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => reading.WithinAsync());
        Assert.Equal(KwikError.NotFound, e.Code);
        Assert.Empty(pieces);
        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public async Task ReadPayloadAsync_ThatFails_LeavesEarlierPiecesToTheirOwner()
    {
        Lease earlier = _pool.Rent(1);
        List<Lease> pieces = [earlier];
        var reader = new FrameReader(await MemoryTransportStream.OfAsync((byte[])[.. Encode(StreamFrame.Data(5)), 1, 2]), _pool);
        StreamFrame? frame = await reader.ReadFrameAsync();

        await Assert.ThrowsAnyAsync<KwikException>(() => reader.ReadPayloadAsync(frame!.Value, pieces).AsTask());
        Assert.Equal([earlier], pieces);
        Assert.Equal(1, _pool.Outstanding);
        earlier.Return();
    }

    private static StreamFrame Data(byte[] payload, long offset = -1) =>
        StreamFrame.Data(payload.Length, offset, Crc32C.Compute(payload));

    private static byte[] Encode(StreamFrame frame)
    {
        var bytes = new byte[StreamFrame.MaxWrittenSize];
        return bytes[..frame.Write(bytes)];
    }

    private async Task<(List<StreamFrame> Frames, byte[] Bytes)> ReadAllAsync(MemoryTransportStream source)
    {
        var reader = new FrameReader(source, _pool);
        var frames = new List<StreamFrame>();
        var pieces = new List<Lease>();
        try
        {
            while (await reader.ReadFrameAsync().WithinAsync() is { } frame)
            {
                frames.Add(frame);
                await reader.ReadPayloadAsync(frame, pieces).WithinAsync();
            }

            return (frames, [.. pieces.SelectMany(piece => piece.Span.ToArray())]);
        }
        finally
        {
            pieces.ForEach(piece => piece.Return());
        }
    }

    private async Task<KwikError> FailureOfAsync(byte[] stream)
    {
        MemoryTransportStream source = await MemoryTransportStream.OfAsync(stream);
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => ReadAllAsync(source));
        Assert.Equal(0, _pool.Outstanding);
        return e.Code;
    }
}
