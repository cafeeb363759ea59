using System.IO.Compression;
using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class MessageCompressionTests
{
    private static readonly byte[] Text = [.. Enumerable.Range(0, 40_000).SelectMany(i => System.Text.Encoding.UTF8.GetBytes($"line {i * 7919 % 1000}\n"))];

    [Fact]
    public async Task Text_SentWithCompression_ArrivesAndTakesLessOnTheWire()
    {
        long plain = await WireLengthAsync(Text, new() { Compress = false });
        long compressed = await WireLengthAsync(Text, new());
        Assert.InRange(plain, Text.Length, Text.Length + 1000);
        Assert.InRange(compressed, 100, Text.Length / 2);
    }

    [Theory]
    [InlineData(1024)]
    [InlineData(70_000)]
    [InlineData(1_000_000)]
    public async Task RandomBytes_SentWithCompression_AreSentPlain(int length) =>
        Assert.Equal(
            await WireLengthAsync(Bytes.Random(1, length), new() { Compress = false }), await WireLengthAsync(Bytes.Random(1, length), new()));

    [Fact]
    public async Task RandomBytes_BehindZeros_AreSentPlainWhenTheWholeDoesNotShrink()
    {
        byte[] message = [.. new byte[64 * 1024], .. Bytes.Random(1, 3_000_000)];
        Assert.InRange(await WireLengthAsync(message, new()), message.Length, message.Length + 2000);
    }

    [Theory]
    [InlineData(99, false)]
    [InlineData(100, true)]
    public async Task Threshold_Decides_WhetherItIsTried(int length, bool tried)
    {
        long wire = await WireLengthAsync(new byte[length], new() { CompressionThreshold = 100 });
        Assert.Equal(tried, wire < length);
    }

    [Fact]
    public void TryDecompress_AnythingButTheWholeAnnouncedMessage_IsFalse()
    {
        byte[] compressed = MessageCompression.TryCompress(Text)!;
        Assert.True(MessageCompression.TryDecompress(compressed, new byte[Text.Length]));
        Assert.False(MessageCompression.TryDecompress(compressed, new byte[Text.Length - 1]));
        Assert.False(MessageCompression.TryDecompress(compressed, new byte[Text.Length + 1]));
        Assert.False(MessageCompression.TryDecompress(compressed.AsSpan(0, compressed.Length - 1), new byte[Text.Length]));
        Assert.False(MessageCompression.TryDecompress([.. compressed, 0], new byte[Text.Length]));
        Assert.False(MessageCompression.TryDecompress(Bytes.Random(5, 1000), new byte[Text.Length]));
    }

    [Theory]
    [InlineData(10, true)]
    [InlineData(16, true)]
    [InlineData(17, true)]
    [InlineData(18, true)]
    [InlineData(19, false)]
    [InlineData(22, false)]
    [InlineData(24, false)]
    public void TryDecompress_Window_IsBounded(int window, bool taken)
    {
        var compressed = new byte[Text.Length];
        Assert.True(BrotliEncoder.TryCompress(Text, compressed, out int length, quality: 9, window));
        Assert.Equal(taken, MessageCompression.TryDecompress(compressed.AsSpan(0, length), new byte[Text.Length]));
    }

    [Fact]
    public void TryDecompress_RandomBytes_NeverThrows() => Property.Holds(
        FsCheck.Fluent.Gen.Choose(0, int.MaxValue),
        seed =>
        {
            var random = new Random(seed);
            byte[] compressed = MessageCompression.TryCompress(Text.AsSpan(0, random.Next(1000, 5000)))!;
            compressed[random.Next(compressed.Length)] ^= (byte)random.Next(1, 256);
            MessageCompression.TryDecompress(compressed, new byte[5000]);
            MessageCompression.TryDecompress(Bytes.Random(seed, random.Next(1, 100)), new byte[random.Next(5000)]);
        });

    /// <summary>Some kilobytes that become 64 MiB are stopped where the message ends that was announced.</summary>
    [Fact]
    public async Task Bomb_ThatAnnouncesLessThanItIs_AbortsTheStream()
    {
        byte[] bomb = Bomb(64 * 1024 * 1024);
        Assert.InRange(bomb.Length, 1, 20_000);
        await using var raw = new RawMessages();
        await raw.SendAsync(RawMessages.Compressed(100_000, bomb.Length), bomb);
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => raw.ReceiveAsync());
        Assert.Equal(KwikError.MetadataProtocolViolation, e.Code);
        Assert.Equal(KwikError.MetadataProtocolViolation, (await raw.Peer.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task Bomb_ThatSaysWhatItIs_AbortsTheStreamAtTheLimit()
    {
        byte[] bomb = Bomb(64 * 1024 * 1024);
        await using var raw = new RawMessages();
        await raw.SendAsync(RawMessages.Compressed(64 * 1024 * 1024, bomb.Length), bomb);
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => raw.ReceiveAsync());
        Assert.Equal(KwikError.LimitExceeded, e.Code);
    }

    private static byte[] Bomb(int size) => MessageCompression.TryCompress(new byte[size])!;

    private static async Task<long> WireLengthAsync(byte[] message, MessageOptions options)
    {
        await using (var pair = new MessagePair(options))
        {
            Task sending = pair.Client.SendMessageAsync(message).AsTask();
            Assert.Equal(message, await pair.Primary.ReceiveMessageAsync().WithinAsync());
            await sending.WithinAsync();
        }

        await using (var pair = new MessagePair(options))
        {
            await pair.Client.SendMessageAsync(message).WithinAsync();
            await pair.Client.CompleteAsync().WithinAsync();
            return (await pair.Streams.Primary.ReadAllAsync()).Length;
        }
    }
}
