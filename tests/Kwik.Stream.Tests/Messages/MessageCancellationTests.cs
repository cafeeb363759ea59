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

    /// <summary>While its only chunk waits for the window, it is on its way already.</summary>
    [Fact]
    public async Task SendMessageAsync_CancelledBehindItsLastChunk_ArrivesAllTheSame()
    {
        await using MessagePair pair = MessagePair.Narrow();
        using var cancellation = new CancellationTokenSource();
        byte[] message = Bytes.Random(1, Chunk);
        byte[][] sent = [Bytes.Random(2, Chunk), Bytes.Random(3, Chunk)];
        Task[] sending = [.. sent.Select(bytes => pair.Client.SendMessageAsync(bytes).AsTask())];
        Task cancelled = pair.Client.SendMessageAsync(message, MessagePriority.High, cancellation.Token).AsTask();
        Assert.Equal(sent[0], await pair.Primary.ReceiveMessageAsync().WithinAsync());
        await sending[0].WithinAsync();
        // Its turn came with the end of the first one, and nothing of it fits.
        Assert.False(cancelled.IsCompleted);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WithinAsync());

        Task completing = pair.Client.CompleteAsync();
        List<byte[]> rest = await pair.ReceiveAllAsync();
        await Task.WhenAll([.. sending, completing]).WithinAsync();
        Assert.Equal([message, sent[1]], rest);
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
