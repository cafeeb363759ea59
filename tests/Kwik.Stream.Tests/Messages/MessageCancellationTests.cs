using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class MessageCancellationTests
{
    private const int Chunk = MessageFrame.ChunkSize;

    [Fact]
    public async Task SendMessageAsync_TokenCancelledBefore_SendsNothing()
    {
        await using var pair = new MessagePair();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => pair.Client.SendMessageAsync("never"u8.ToArray(), cancellationToken: new(canceled: true)).WithinAsync());
        await pair.Client.CompleteAsync().WithinAsync();
        Assert.Empty(await pair.ReceiveAllAsync());
    }

    [Theory]
    [InlineData(MessagePriority.High)]
    [InlineData(MessagePriority.Normal)]
    [InlineData(MessagePriority.Bulk)]
    public async Task SendMessageAsync_CancelledInLine_SendsNothingOfIt(MessagePriority priority)
    {
        await using MessagePair pair = MessagePair.Narrow();
        byte[] first = Bytes.Random(1, 6 * Chunk);
        byte[] last = Bytes.Random(3, 10);
        Task sending = pair.Client.SendMessageAsync(first).AsTask();
        using var cancellation = new CancellationTokenSource();
        Task cancelled = pair.Client.SendMessageAsync(Bytes.Random(2, 3 * Chunk), priority, cancellation.Token).AsTask();
        Task behind = pair.Client.SendMessageAsync(last, MessagePriority.Bulk).AsTask();
        await cancellation.CancelAsync();
        OperationCanceledException e = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WithinAsync());
        Assert.Equal(cancellation.Token, e.CancellationToken);

        Task completing = pair.Client.CompleteAsync();
        Assert.Equal([first, last], await pair.ReceiveAllAsync());
        await Task.WhenAll(sending, behind, completing).WithinAsync();
    }

    [Fact]
    public async Task SendMessageAsync_CancelledInTheMiddle_IsForgottenByThePeerAndTheNextOneArrives()
    {
        await using MessagePair pair = MessagePair.Narrow();
        using var cancellation = new CancellationTokenSource();
        byte[] message = Bytes.Random(1, 20 * Chunk);
        Task cancelled = pair.Client.SendMessageAsync(message, cancellationToken: cancellation.Token).AsTask();
        byte[] next = Bytes.Random(2, 3 * Chunk);
        Task sending = pair.Client.SendMessageAsync(next).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WithinAsync());
        // The caller may use its memory again: nothing more is read from there.
        Array.Fill<byte>(message, 0);

        Task completing = pair.Client.CompleteAsync();
        Assert.Equal([next], await pair.ReceiveAllAsync());
        await Task.WhenAll(sending, completing).WithinAsync();
    }

    [Fact]
    public async Task SendMessageAsync_CancelledBehindItsLastChunk_ArrivesAllTheSame()
    {
        await using var owner = new RawPeer();
        (MemoryTransportStream near, MemoryTransportStream far) = MemoryTransportStream.CreatePair(window: 1000);
        (MemoryTransportStream nearErrors, MemoryTransportStream farErrors) = MemoryTransportStream.CreatePair();
        await using var sender = new KwikStream(near, nearErrors, XStreamDirection.Outbound, owner, new(), owner.Pool);
        var channel = new MessageChannel(sender);
        byte[] message = Bytes.Random(1, Chunk);
        byte[] expected = [.. message];
        byte[] next = Bytes.Random(2, 10);
        using var cancellation = new CancellationTokenSource();
        // The far end does not exist yet: the chunk is handed over, and most of it does not fit.
        Task cancelled = channel.SendMessageAsync(message, cancellationToken: cancellation.Token).AsTask();
        Assert.False(cancelled.IsCompleted);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WithinAsync());
        Array.Clear(message);
        Task sending = channel.SendMessageAsync(next).AsTask();
        Assert.False(sending.IsCompleted);

        await using var receiver = new KwikStream(far, farErrors, XStreamDirection.Inbound, owner, new(), owner.Pool);
        var received = new MessageChannel(receiver);
        Assert.Equal(expected, await received.ReceiveMessageAsync().WithinAsync());
        Assert.Equal(next, await received.ReceiveMessageAsync().WithinAsync());
        await sending.WithinAsync();
    }

    [Fact]
    public async Task CompleteAsync_Cancelled_CanBeCalledAgain()
    {
        await using MessagePair pair = MessagePair.Narrow();
        byte[] message = Bytes.Random(1, 6 * Chunk);
        Task sending = pair.Client.SendMessageAsync(message).AsTask();
        using var cancellation = new CancellationTokenSource();
        Task cancelled = pair.Client.CompleteAsync(cancellation.Token);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WithinAsync());

        Task completing = pair.Client.CompleteAsync();
        Assert.Equal([message], await pair.ReceiveAllAsync());
        await Task.WhenAll(sending, completing).WithinAsync();
    }

    [Fact]
    public async Task Stream_DisposedWhileAMessageIsAbandoned_LeavesNothingBehind()
    {
        MessagePair pair = MessagePair.Narrow();
        using var cancellation = new CancellationTokenSource();
        Task cancelled = pair.Client.SendMessageAsync(Bytes.Random(1, 20 * Chunk), cancellationToken: cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WithinAsync());
        Task completing = pair.Client.CompleteAsync();

        await pair.Streams.Primary.DisposeAsync().WithinAsync();
        await pair.DisposeAsync();
        // The place in the line was given up.
        await Record.ExceptionAsync(() => completing.WithinAsync());
        Assert.True(completing.IsCompleted);
    }
}
