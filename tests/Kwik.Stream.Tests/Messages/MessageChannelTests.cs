using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class MessageChannelTests
{
    private const int Chunk = MessageFrame.ChunkSize;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(Chunk - 1)]
    [InlineData(Chunk)]
    [InlineData(Chunk + 1)]
    [InlineData(2 * Chunk)]
    [InlineData((20 * Chunk) + 7)]
    [InlineData(4 * 1024 * 1024)]
    public async Task Message_OfAnySizeUpToTheLimit_ArrivesInBothDirections(int size)
    {
        await using var pair = new MessagePair();
        byte[] message = Bytes.Random(size, size);
        Task up = pair.Client.SendMessageAsync(message).AsTask();
        Task down = pair.Primary.SendMessageAsync(message).AsTask();

        Assert.Equal(message, await pair.Primary.ReceiveMessageAsync().WithinAsync());
        Assert.Equal(message, await pair.Client.ReceiveMessageAsync().WithinAsync());
        await Task.WhenAll(up, down).WithinAsync();
    }

    [Fact]
    public async Task Message_OneByteOverTheLimit_IsNotSentAndTheChannelGoesOn()
    {
        await using var pair = new MessagePair(new() { MaxMessageSize = 100_000 });
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => pair.Client.SendMessageAsync(new byte[100_001]).WithinAsync());
        Assert.Equal((KwikError.LimitExceeded, KwikErrorSide.Local), (e.Code, e.Side));

        byte[] largest = Bytes.Random(1, 100_000);
        await pair.Client.SendMessageAsync(largest).WithinAsync();
        await pair.Client.CompleteAsync().WithinAsync();
        Assert.Equal([largest], await pair.ReceiveAllAsync());
    }

    [Fact]
    public async Task CompleteAsync_BehindMessages_LetsThemArriveAndThenTheEnd()
    {
        await using MessagePair pair = MessagePair.Narrow();
        byte[][] sent = [.. Enumerable.Range(1, 5).Select(i => Bytes.Random(i, i * 50_000))];
        Task[] sending = [.. sent.Select(message => pair.Client.SendMessageAsync(message).AsTask())];
        Task completing = pair.Client.CompleteAsync();
        Assert.False(completing.IsCompleted);
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Client.SendMessageAsync(new byte[1]).WithinAsync());

        Assert.Equal(sent, await pair.ReceiveAllAsync());
        await Task.WhenAll(sending).WithinAsync();
        await completing.WithinAsync();
        await pair.Client.CompleteAsync().WithinAsync();
        Assert.Null(await pair.Primary.ReceiveMessageAsync().WithinAsync());
    }

    [Fact]
    public async Task CompleteAsync_WithoutAMessage_IsTheEnd()
    {
        await using var pair = new MessagePair();
        await pair.Client.CompleteAsync().WithinAsync();
        Assert.Empty(await pair.ReceiveAllAsync());
    }

    [Fact]
    public async Task HighPriority_SentBehindABulkMessage_OvertakesItBetweenChunks()
    {
        await using MessagePair pair = MessagePair.Narrow();
        byte[] bulk = Bytes.Random(1, 30 * Chunk);
        byte[] normal = Bytes.Random(2, 3 * Chunk);
        byte[] high = Bytes.Random(3, 100);
        Task[] sending =
        [
            pair.Client.SendMessageAsync(bulk, MessagePriority.Bulk).AsTask(),
            pair.Client.SendMessageAsync(normal).AsTask(),
            pair.Client.SendMessageAsync(high, MessagePriority.High).AsTask(),
        ];
        Task completing = pair.Client.CompleteAsync();
        Assert.False(sending[0].IsCompleted || sending[1].IsCompleted);

        Assert.Equal([high, normal, bulk], await pair.ReceiveAllAsync());
        await Task.WhenAll([.. sending, completing]).WithinAsync();
    }

    [Fact]
    public async Task Priority_ThatIsNone_IsRefused()
    {
        await using var pair = new MessagePair();
        foreach (int priority in (int[])[-1, 3])
        {
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
                () => pair.Client.SendMessageAsync(new byte[1], (MessagePriority)priority).WithinAsync());
        }
    }

    [Fact]
    public async Task ReceiveMessageAsync_CancelledAnywhere_GoesOnWhereItWas()
    {
        for (int cut = 1; cut < 2 * Chunk; cut += 7919)
        {
            await using var raw = new RawMessages();
            byte[] message = Bytes.Random(cut, 2 * Chunk);
            byte[] wire = await WireAsync(message);
            await raw.Peer.WriteAsync(wire.AsMemory(0, cut)).WithinAsync();
            using var cancellation = new CancellationTokenSource();
            Task<byte[]?> receiving = raw.Channel.ReceiveMessageAsync(cancellation.Token).AsTask();
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => receiving.WithinAsync());

            await raw.Peer.WriteAsync(wire.AsMemory(cut)).WithinAsync();
            Assert.Equal(message, await raw.ReceiveAsync());
        }
    }

    [Fact]
    public async Task ReceiveMessageAsync_WhileAnotherReceives_Throws()
    {
        await using var pair = new MessagePair();
        Task<byte[]?> receiving = pair.Primary.ReceiveMessageAsync().AsTask();
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Primary.ReceiveMessageAsync().WithinAsync());

        await pair.Client.SendMessageAsync("one"u8.ToArray()).WithinAsync();
        Assert.Equal("one"u8.ToArray(), await receiving.WithinAsync());
    }

    [Fact]
    public async Task Senders_OfAStreamThatThePeerAborts_AllFailWithItsCode()
    {
        await using MessagePair pair = MessagePair.Narrow();
        Task[] sending = [.. Enumerable.Range(0, 9).Select(i => pair.Client.SendMessageAsync(new byte[300_000 + i], (MessagePriority)(i % 3)).AsTask())];
        // They compress well: what does not fit the window is left.
        Task[] random = [.. Enumerable.Range(0, 9).Select(i => pair.Client.SendMessageAsync(Bytes.Random(i, 300_000), (MessagePriority)(i % 3)).AsTask())];
        pair.Streams.Primary.Abort(KwikError.NotFound);

        foreach (Task task in random)
        {
            KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => task.WithinAsync());
            Assert.Equal((KwikError.NotFound, KwikErrorSide.Remote), (e.Code, e.Side));
        }

        await Task.WhenAny(Task.WhenAll(sending)).WithinAsync();
        XStreamException completed = await Assert.ThrowsAsync<XStreamException>(() => pair.Client.CompleteAsync().WithinAsync());
        Assert.Equal((XStreamErrorKind.BrokenPipe, KwikError.NotFound), (completed.Kind, completed.Code));
    }

    [Fact]
    public async Task StreamWrittenBesideTheChannel_BetweenTwoChunks_IsAborted()
    {
        await using MessagePair pair = MessagePair.Narrow(new() { Rate = new() { BytesPerSecond = 1024 } });
        // One chunk is the burst; the second one waits for time that does not pass.
        Task sending = pair.Client.SendMessageAsync(Bytes.Random(1, 2 * Chunk)).AsTask();
        Assert.NotNull(await pair.Streams.Primary.ReadAsync(Chunk));
        await pair.Streams.Time.Armed.WithinAsync();
        pair.Streams.Client.CompleteWrites();
        pair.Streams.Time.Advance(TimeSpan.FromMinutes(2));
        pair.Streams.Time.Elapse();

        await Assert.ThrowsAsync<InvalidOperationException>(() => sending.WithinAsync());
        await Assert.ThrowsAnyAsync<KwikException>(() => pair.Streams.Client.ReadAllAsync());
    }

    /// <summary>A message as it is on the wire.</summary>
    private static async Task<byte[]> WireAsync(byte[] message)
    {
        await using var pair = new MessagePair();
        await pair.Client.SendMessageAsync(message).WithinAsync();
        await pair.Client.CompleteAsync().WithinAsync();
        return await pair.Streams.Primary.ReadAllAsync();
    }
}
