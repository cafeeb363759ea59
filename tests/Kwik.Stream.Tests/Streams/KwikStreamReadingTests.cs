using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class KwikStreamReadingTests
{
    [Fact]
    public async Task ReadAsync_WritesAndReadsOfAnySize_GiveTheSameBytesBothWays()
    {
        for (int seed = 0; seed < 30; seed++)
        {
            var random = new Random(seed);
            await using var pair = new StreamPair(
                window: random.Next(100, 300_000), new AggregatorOptions { MaxPendingBytes = random.Next(64, 400) * 1024 });
            byte[] up = Bytes.Random(seed, random.Next(500_000));
            byte[] down = Bytes.Random(seed + 1000, random.Next(500_000));
            Task<byte[]> readingUp = pair.Primary.ReadAllAsync(random.Next(1000, 100_000));
            Task<byte[]> readingDown = pair.Client.ReadAllAsync(random.Next(1000, 100_000));
            await Task.WhenAll(WriteAsync(pair.Client, up, seed), WriteAsync(pair.Primary, down, seed)).WithinAsync();

            Assert.Equal(up, await readingUp.WithinAsync());
            Assert.Equal(down, await readingDown.WithinAsync());
        }
    }

    [Fact]
    public async Task ReadAsync_WhileAnotherReads_Throws()
    {
        await using var pair = new StreamPair();
        Task<byte[]> first = pair.Client.ReadAsync(5);
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Client.ReadAsync(new byte[5]).WithinAsync());

        await pair.Primary.WriteAsync("first"u8.ToArray()).WithinAsync();
        Assert.Equal("first"u8.ToArray(), await first.WithinAsync());
    }

    [Fact]
    public async Task ReadAsync_Cancelled_LeavesTheStreamUsable()
    {
        await using var pair = new StreamPair();
        for (int round = 0; round < 20; round++)
        {
            using var cancellation = new CancellationTokenSource();
            Task<int> reading = pair.Client.ReadAsync(new byte[10], cancellation.Token).AsTask();
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => reading.WithinAsync());

            await pair.Primary.WriteAsync("still here"u8.ToArray()).WithinAsync();
            Assert.Equal("still here"u8.ToArray(), await pair.Client.ReadAsync(10));
        }
    }

    [Fact]
    public async Task Read_BlockingAndArrayOverloads_ReadTheSameStream()
    {
        await using var pair = new StreamPair();
        await pair.Primary.WriteAsync("one two three"u8.ToArray()).WithinAsync();
        var buffer = new byte[10];

        Assert.Equal(4, await pair.Client.ReadAsync(buffer, 1, 4, CancellationToken.None).WithinAsync());
        Assert.Equal("one "u8.ToArray(), buffer[1..5]);
        Assert.Equal(3, await Task.Run(() => pair.Client.Read(buffer, 2, 3)).WithinAsync());
        Assert.Equal("two"u8.ToArray(), buffer[2..5]);
        Assert.Throws<ArgumentOutOfRangeException>(() => pair.Client.Read(buffer, 5, 6));
        Assert.Equal(" three"u8.ToArray(), await pair.Client.ReadAsync(6));
    }

    [Fact]
    public async Task ReadAsync_HoleThatAnotherSourceFills_IsInOrder()
    {
        await using var peer = new RawPeer();
        await peer.SendDataAsync("ab"u8.ToArray());
        await peer.SendDataAsync("fgh"u8.ToArray(), offset: 5);
        await peer.SendDataAsync("i"u8.ToArray());
        await peer.SendAsync(StreamFrame.Close(9));
        peer.End();
        Task<byte[]> reading = peer.Stream.ReadAllAsync();
        peer.Place(1, 2, "cde"u8.ToArray());

        Assert.Equal("abcdefghi"u8.ToArray(), await reading.WithinAsync());
    }

    [Theory]
    [InlineData(4)]
    [InlineData(0)]
    public async Task ReadAsync_OffsetThatGoesBack_IsAViolation(long offset)
    {
        await using var peer = new RawPeer();
        await peer.SendDataAsync("12345"u8.ToArray());
        await peer.SendDataAsync("6"u8.ToArray(), offset);

        Assert.Equal(KwikError.MetadataProtocolViolation, await peer.RefusalAsync());
        Assert.Equal(KwikError.MetadataProtocolViolation, (await peer.Stream.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task ReadAsync_OpenFrameOnMain_IsAViolation()
    {
        await using var peer = new RawPeer();
        await peer.SendAsync(StreamFrame.Open(0, 0));
        KwikException e = await peer.Stream.ReadFaultAsync();
        Assert.Equal((KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, (long?)0), (e.Code, e.Side, e.StreamId));
    }

    [Theory]
    [InlineData(4)]
    [InlineData(0)]
    public async Task ReadAsync_CloseFrameBelowWhatCame_IsAFinalSizeError(long finalSize)
    {
        await using var peer = new RawPeer();
        await peer.SendDataAsync("12345"u8.ToArray());
        await peer.SendAsync(StreamFrame.Close(finalSize));

        Assert.Equal(KwikError.FinalSize, await peer.RefusalAsync());
        Assert.Equal(KwikError.FinalSize, (await peer.Stream.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task ReadAsync_DataBehindTheFinalSize_IsAFinalSizeErrorForItsSource()
    {
        await using var peer = new RawPeer();
        await peer.SendDataAsync("12345"u8.ToArray());
        await peer.SendAsync(StreamFrame.Close(5));
        peer.End();
        Assert.Equal("12345"u8.ToArray(), await peer.Stream.ReadAllAsync());

        KwikException e = Assert.ThrowsAny<KwikException>(() => peer.Place(3, 4, "5!"u8.ToArray()));
        Assert.Equal((KwikError.FinalSize, (int?)3), (e.Code, e.PathId));
    }

    [Fact]
    public async Task ReadAsync_DataFrameAfterTheCloseFrame_IsAViolation()
    {
        await using var peer = new RawPeer();
        await peer.SendDataAsync("12345"u8.ToArray());
        await peer.SendAsync(StreamFrame.Close(5));
        await peer.SendDataAsync("6"u8.ToArray());

        Assert.Equal(KwikError.MetadataProtocolViolation, await peer.RefusalAsync());
        Assert.Equal(KwikError.MetadataProtocolViolation, (await peer.Stream.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task ReadAsync_EndWithoutCloseFrame_IsNoEnd()
    {
        await using var peer = new RawPeer();
        await peer.SendDataAsync("12345"u8.ToArray());
        Assert.Equal("12345"u8.ToArray(), await peer.Stream.ReadAsync(5));
        peer.End();

        Assert.Equal(KwikError.PrimaryLost, (await peer.Stream.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task ReadAsync_EndInsideAFrame_IsNoEnd()
    {
        await using var peer = new RawPeer();
        await peer.SendAsync(StreamFrame.Data(5), "123"u8.ToArray());
        peer.End();
        Assert.Equal(KwikError.MetadataProtocolViolation, (await peer.Stream.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task ReadAsync_PayloadWithAFlippedBit_IsAChecksumErrorAndNoByteOfIt()
    {
        await using var peer = new RawPeer();
        await peer.SendAsync(StreamFrame.Data(5, checksum: Crc32C.Compute("12345"u8)), "12344"u8.ToArray());

        Assert.Equal(KwikError.Checksum, await peer.RefusalAsync());
        Assert.Equal(KwikError.Checksum, (await peer.Stream.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task ReadAsync_AbortedByThePeer_FailsWithItsCode()
    {
        await using var peer = new RawPeer();
        Task<KwikException> fault = peer.Stream.ReadFaultAsync();
        peer.AbortWrites(KwikError.NotFound);
        Assert.Equal(KwikError.NotFound, (await fault.WithinAsync()).Code);
    }

    [Fact]
    public async Task ReadAsync_SlowReader_HoldsUpThePeerAtTheWindow()
    {
        await using var pair = new StreamPair(window: 1000, new AggregatorOptions { MaxPendingBytes = 64 * 1024 });
        byte[] content = Bytes.Random(seed: 1, length: 1024 * 1024);
        Task writing = WriteAsync(pair.Primary, content, seed: 1);
        Assert.Equal(content[..10], await pair.Client.ReadAsync(10));
        Assert.False(writing.IsCompleted);
        Assert.InRange(pair.Pool.Outstanding, 1, 10);

        Assert.Equal(content[10..], await pair.Client.ReadAllAsync());
        await writing.WithinAsync();
    }

    [Fact]
    public async Task Members_ThatAStreamWithoutEndCannotHave_AreNotSupported()
    {
        await using var pair = new StreamPair();
        KwikStream stream = pair.Client;

        Assert.Equal((true, true, false), (stream.CanRead, stream.CanWrite, stream.CanSeek));
        Assert.Throws<NotSupportedException>(() => stream.Length);
        Assert.Throws<NotSupportedException>(() => stream.Position);
        Assert.Throws<NotSupportedException>(() => stream.Position = 1);
        Assert.Throws<NotSupportedException>(() => stream.Seek(0, SeekOrigin.Begin));
        Assert.Throws<NotSupportedException>(() => stream.SetLength(1));
        Assert.Equal(0, stream.Id);
    }

    private static async Task WriteAsync(KwikStream stream, byte[] content, int seed)
    {
        var random = new Random(seed);
        for (int offset = 0; offset < content.Length;)
        {
            int length = Math.Min(random.Next(0, random.Next(2) == 0 ? 300 : 150_000), content.Length - offset);
            await stream.WriteAsync(content.AsMemory(offset, length)).WithinAsync();
            offset += length;
        }

        stream.CompleteWrites();
    }
}
