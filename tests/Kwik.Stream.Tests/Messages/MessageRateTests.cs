using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>The rate of a channel, on time that the test moves.</summary>
public sealed class MessageRateTests
{
    [Fact]
    public async Task Messages_OverTheRate_WaitForTimeAndTheMostUrgentGoesFirst()
    {
        await using var pair = new MessagePair(new() { Rate = new() { MessagesPerSecond = 10 } });
        for (byte i = 0; i < 10; i++)
        {
            Assert.True(pair.Client.SendMessageAsync(new byte[] { i }).AsTask().IsCompletedSuccessfully);
        }

        Task normal = pair.Client.SendMessageAsync(new byte[] { 100 }).AsTask();
        Advance(pair, 99);
        Task high = pair.Client.SendMessageAsync(new byte[] { 200 }, MessagePriority.High).AsTask();
        Assert.False(normal.IsCompleted || high.IsCompleted);
        Advance(pair, 1);
        pair.Streams.Time.Elapse();
        await high.WithinAsync();
        Assert.False(normal.IsCompleted);
        Advance(pair, 100);
        pair.Streams.Time.Elapse();
        await normal.WithinAsync();

        await pair.Client.CompleteAsync().WithinAsync();
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 200, 100], (await pair.ReceiveAllAsync()).Select(message => message[0]));
    }

    [Fact]
    public async Task Messages_CancelledBehindTheRate_TakeNoToken()
    {
        await using var pair = new MessagePair(new() { Rate = new() { MessagesPerSecond = 1 } });
        await pair.Client.SendMessageAsync(new byte[] { 1 }).WithinAsync();
        using var cancellation = new CancellationTokenSource();
        Task cancelled = pair.Client.SendMessageAsync(new byte[] { 2 }, MessagePriority.High, cancellation.Token).AsTask();
        Task next = pair.Client.SendMessageAsync(new byte[] { 3 }).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WithinAsync());
        Advance(pair, 1000);
        pair.Streams.Time.Elapse();
        await next.WithinAsync();

        await pair.Client.CompleteAsync().WithinAsync();
        Assert.Equal([1, 3], (await pair.ReceiveAllAsync()).Select(message => message[0]));
    }

    private static void Advance(MessagePair pair, int milliseconds) =>
        pair.Streams.Time.Advance(TimeSpan.FromMilliseconds(milliseconds));
}
