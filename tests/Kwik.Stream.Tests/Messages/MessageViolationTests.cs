using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>Whatever breaks a rule ends the stream, for both sides, with one code.</summary>
public sealed class MessageViolationTests
{
    private const int Chunk = MessageFrame.ChunkSize;
    private static readonly MessageOptions Small = new() { MaxMessageSize = 200_000, MaxIncompleteBytes = 600_000, MaxIncompleteMessages = 4 };

    public static TheoryData<string> Headers => [.. BadHeaders.Keys];

    private static Dictionary<string, MessageHeader> BadHeaders => new()
    {
        ["no chunk"] = RawMessages.With(RawMessages.Header(10), header => header.ChunkCount = 0),
        ["too many chunks"] = RawMessages.With(RawMessages.Header(10), header => header.ChunkCount = 2),
        ["too few chunks"] = RawMessages.With(RawMessages.Header(Chunk + 1), header => header.ChunkCount = 1),
        ["index out of range"] = RawMessages.With(RawMessages.Header(10), header => header.ChunkIndex = 1),
        ["largest index"] = RawMessages.With(RawMessages.Header(10), header => header.ChunkIndex = uint.MaxValue),
        ["fragmented, one chunk"] = RawMessages.With(RawMessages.Header(10), header => header.Flags = 2),
        ["two chunks, not fragmented"] = RawMessages.With(RawMessages.Header(Chunk + 1), header => header.Flags = 0),
        ["encrypted"] = RawMessages.With(RawMessages.Header(10), header => header.Flags = 4),
        ["unknown flag"] = RawMessages.With(RawMessages.Header(10), header => header.Flags = 16),
        ["highest flag"] = RawMessages.With(RawMessages.Header(10), header => header.Flags = 0x8000_0000),
        ["another stream type"] = RawMessages.With(RawMessages.Header(10), header => header.StreamType = 1),
        ["id too high"] = RawMessages.Header(10, id: 1),
        ["begins in the middle"] = RawMessages.Header(2 * Chunk, index: 1),
        ["abandoned first"] = RawMessages.With(RawMessages.Header(10), header => header.Flags = 8),
        ["compressed without size"] = RawMessages.With(RawMessages.Header(10), header => header.Flags = 1),
        ["compressed size without flag"] = RawMessages.With(RawMessages.Header(10), header => header.CompressedSize = 5),
        ["compressed to nothing"] = RawMessages.Compressed(10, 0),
        ["compressed, not smaller"] = RawMessages.Compressed(10, 10),
        ["compressed, nothing"] = RawMessages.Compressed(0, 0),
        ["compressed, nothing to something"] = RawMessages.Compressed(0, 1),
        ["compressed to 2^64-1"] = RawMessages.With(RawMessages.Compressed(10, 5), header => header.CompressedSize = ulong.MaxValue),
    };

    [Theory]
    [MemberData(nameof(Headers))]
    public async Task Header_ThatContradictsItself_AbortsTheStream(string which)
    {
        await using var raw = new RawMessages();
        await raw.SendAsync(BadHeaders[which], new byte[10]);
        await AssertEndsAsync(raw, KwikError.MetadataProtocolViolation);
    }

    [Theory]
    [InlineData(new byte[] { 65 })]
    [InlineData(new byte[] { 0x80, 0x01 })]
    [InlineData(new byte[] { 0xff })]
    [InlineData(new byte[] { 1, 0x08 })]
    [InlineData(new byte[] { 2, 0x0f, 0x00 })]
    [InlineData(new byte[] { 0 })]
    public async Task Header_ThatIsNone_AbortsTheStream(byte[] bytes)
    {
        await using var raw = new RawMessages();
        await raw.Peer.WriteAsync(bytes).WithinAsync();
        await AssertEndsAsync(raw, KwikError.MetadataProtocolViolation);
    }

    [Theory]
    [InlineData(200_001)]
    [InlineData(int.MaxValue)]
    [InlineData(long.MaxValue)]
    [InlineData(-1)]
    public async Task Message_OneByteOverTheLimit_AbortsTheStream(long size)
    {
        await using var raw = new RawMessages(Small);
        MessageHeader header = RawMessages.With(RawMessages.Header(200_000), header => header.TotalSize = unchecked((ulong)size));
        await raw.SendAsync(header);
        await AssertEndsAsync(raw, KwikError.LimitExceeded);
    }

    [Fact]
    public async Task CompressedMessage_OneByteOverTheLimit_AbortsTheStream()
    {
        await using var raw = new RawMessages(Small);
        await raw.SendAsync(RawMessages.Compressed(200_001, 100), new byte[100]);
        await AssertEndsAsync(raw, KwikError.LimitExceeded);
    }

    [Fact]
    public void Header_OverTheLimit_AllocatesNothing()
    {
        var assembler = new MessageAssembler(Small, 0);
        MessageHeader[] headers = [RawMessages.Header(100_000_000), RawMessages.With(RawMessages.Header(150_000), header => header.MessageId = 7)];
        foreach (MessageHeader header in headers)
        {
            long before = GC.GetAllocatedBytesForCurrentThread();
            Assert.ThrowsAny<KwikException>(() => assembler.Begin(header));
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 20_000);
            Assert.Equal((0, 0L), (assembler.IncompleteCount, assembler.IncompleteBytes));
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    public async Task Chunk_TwiceOrSkipped_AbortsTheStream(int index)
    {
        await using var raw = new RawMessages();
        await raw.SendChunkAsync(4 * Chunk, 0);
        await raw.SendChunkAsync(4 * Chunk, index);
        await AssertEndsAsync(raw, KwikError.MetadataProtocolViolation);
    }

    [Fact]
    public async Task Chunk_SecondTwice_AbortsTheStream()
    {
        await using var raw = new RawMessages();
        await raw.SendChunkAsync(4 * Chunk, 0);
        await raw.SendChunkAsync(4 * Chunk, 1);
        await raw.SendChunkAsync(4 * Chunk, 1);
        await AssertEndsAsync(raw, KwikError.MetadataProtocolViolation);
    }

    [Fact]
    public async Task TotalSize_ThatChanges_AbortsTheStream()
    {
        await using var raw = new RawMessages();
        await raw.SendChunkAsync(3 * Chunk, 0);
        await raw.SendChunkAsync((3 * Chunk) - 1, 1);
        await AssertEndsAsync(raw, KwikError.MetadataProtocolViolation);
    }

    [Fact]
    public async Task Compression_ThatChanges_AbortsTheStream()
    {
        await using var raw = new RawMessages();
        await raw.SendChunkAsync(3 * Chunk, 0);
        MessageHeader second = RawMessages.With(RawMessages.Header(3 * Chunk, 1), header =>
        {
            header.Flags |= (uint)MessageFlags.Compressed;
            header.CompressedSize = (2 * Chunk) + 1;
        });
        await raw.SendAsync(second);
        await AssertEndsAsync(raw, KwikError.MetadataProtocolViolation);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task Chunk_OfAFinishedMessage_AbortsTheStream(int index)
    {
        await using var raw = new RawMessages();
        await raw.SendChunkAsync(2 * Chunk, 0);
        await raw.SendChunkAsync(2 * Chunk, 1);
        await raw.SendChunkAsync(2 * Chunk, index);
        Assert.Equal(new byte[2 * Chunk], await raw.ReceiveAsync());
        await AssertEndsAsync(raw, KwikError.MetadataProtocolViolation);
    }

    [Fact]
    public async Task Chunk_OfAnAbandonedMessage_AbortsTheStream()
    {
        await using var raw = new RawMessages();
        await raw.SendChunkAsync(3 * Chunk, 0);
        await raw.SendAsync(RawMessages.With(RawMessages.Header(3 * Chunk, 1), header => header.Flags |= (uint)MessageFlags.Abandoned));
        await raw.SendChunkAsync(3 * Chunk, 1);
        await AssertEndsAsync(raw, KwikError.MetadataProtocolViolation);
    }

    [Fact]
    public async Task IncompleteMessages_UpToTheLimit_InterleaveAndOneMoreAbortsTheStream()
    {
        await using var raw = new RawMessages(Small);
        for (ulong id = 0; id < 4; id++)
        {
            await raw.SendChunkAsync(Chunk + 1, 0, id);
        }

        // One that is whole at once does not count, and one that is finished makes room.
        await raw.SendChunkAsync(3, 0, id: 4);
        await raw.SendChunkAsync(Chunk + 1, 1, id: 2);
        await raw.SendChunkAsync(Chunk + 1, 0, id: 5);
        Assert.Equal(new byte[3], await raw.ReceiveAsync());
        Assert.Equal(new byte[Chunk + 1], await raw.ReceiveAsync());

        await raw.SendChunkAsync(Chunk + 1, 0, id: 6);
        await AssertEndsAsync(raw, KwikError.LimitExceeded);
    }

    [Fact]
    public async Task IncompleteBytes_OverTheLimit_AbortTheStream()
    {
        await using var raw = new RawMessages(Small);
        for (ulong id = 0; id < 3; id++)
        {
            await raw.SendChunkAsync(200_000, 0, id);
        }

        await raw.SendChunkAsync(1, 0, id: 3);
        await AssertEndsAsync(raw, KwikError.LimitExceeded);
    }

    [Fact]
    public async Task AbandonedMessage_MakesRoomForAnother()
    {
        await using var raw = new RawMessages(Small);
        for (ulong id = 0; id < 20; id++)
        {
            await raw.SendChunkAsync(200_000, 0, id);
            await raw.SendAsync(RawMessages.With(RawMessages.Header(200_000, 1, id), header => header.Flags |= (uint)MessageFlags.Abandoned));
        }

        await raw.SendChunkAsync(5, 0, id: 20);
        raw.Peer.CompleteWrites();
        Assert.Equal(new byte[5], await raw.ReceiveAsync());
        Assert.Null(await raw.ReceiveAsync());
    }

    [Fact]
    public void Messages_ThatAreWholeOrAbandoned_HoldNothing()
    {
        var assembler = new MessageAssembler(Small, 0);
        assembler.Begin(RawMessages.Header(200_000));
        Assert.Null(assembler.End());
        assembler.Begin(RawMessages.Header(150_000, id: 1));
        Assert.Null(assembler.End());
        assembler.Begin(RawMessages.Header(7, id: 2));
        Assert.Equal((2, 350_007L), (assembler.IncompleteCount, assembler.IncompleteBytes));
        Assert.NotNull(assembler.End());
        assembler.Begin(RawMessages.With(RawMessages.Header(200_000, 1), header => header.Flags |= (uint)MessageFlags.Abandoned));
        Assert.Null(assembler.End());
        Assert.Equal((1, 150_000L), (assembler.IncompleteCount, assembler.IncompleteBytes));
        assembler.Begin(RawMessages.Header(150_000, 1, id: 1));
        Assert.Null(assembler.End());
        assembler.Begin(RawMessages.Header(150_000, 2, id: 1));
        Assert.Equal(150_000, assembler.End()?.Length);
        Assert.Equal((0, 0L), (assembler.IncompleteCount, assembler.IncompleteBytes));
    }

    [Fact]
    public async Task UnknownFields_InAHeader_AreSkipped()
    {
        await using var raw = new RawMessages();
        byte[] header = [6, 0x18, 1, 0x28, 1, 0x78, 9];
        await raw.Peer.WriteAsync((byte[])[.. header, 42]).WithinAsync();
        Assert.Equal([42], await raw.ReceiveAsync());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(20)]
    [InlineData(Chunk + 5)]
    [InlineData(Chunk + 11)]
    [InlineData(Chunk + 200)]
    public async Task Stream_ThatEndsInsideAMessage_IsAViolation(int length)
    {
        await using var sender = new MessagePair();
        await sender.Client.SendMessageAsync(Bytes.Random(1, 2 * Chunk)).WithinAsync();
        byte[] wire = await sender.Streams.Primary.ReadAsync(length);

        await using var raw = new RawMessages();
        await raw.Peer.WriteAsync(wire).WithinAsync();
        raw.Peer.CompleteWrites();
        await AssertEndsAsync(raw, KwikError.MetadataProtocolViolation);
    }

    /// <summary>The receiver gets the code, each time, and so does the peer.</summary>
    private static async Task AssertEndsAsync(RawMessages raw, KwikError code)
    {
        for (int i = 0; i < 2; i++)
        {
            KwikException fault = await Assert.ThrowsAnyAsync<KwikException>(() => raw.ReceiveAsync());
            Assert.Equal((code, KwikErrorSide.Remote, (long?)0), (fault.Code, fault.Side, fault.StreamId));
        }

        Assert.Equal(code, (await raw.Peer.ReadFaultAsync()).Code);
    }
}
