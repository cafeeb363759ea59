using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>What a chunk costs, of one rate or of both.</summary>
public sealed class MessagePaceTests
{
    private readonly ManualTime _time = new();

    [Fact]
    public void Take_OfWhatIsNotThere_TakesNothing()
    {
        var pace = new MessagePace(_time, new() { MessagesPerSecond = 2, BytesPerSecond = 100_000 });
        Assert.Equal(TimeSpan.Zero, pace.Take(isFirst: true, 60_000));
        // There is a message, and the bytes are 20,000 short.
        Assert.Equal(TimeSpan.FromMilliseconds(200), pace.Take(isFirst: true, 60_000));
        Assert.Equal(TimeSpan.Zero, pace.Take(isFirst: true, 40_000));
        // Now both are short: the longer wait counts; a later chunk costs no message.
        Assert.Equal(TimeSpan.FromMilliseconds(500), pace.Take(isFirst: true, 10_000));
        Assert.Equal(TimeSpan.FromMilliseconds(100), pace.Take(isFirst: false, 10_000));
    }

    [Fact]
    public void GiveBack_MakesItThereAgain()
    {
        var pace = new MessagePace(_time, new() { MessagesPerSecond = 1, BytesPerSecond = 65_536 });
        Assert.Equal(TimeSpan.Zero, pace.Take(isFirst: true, 65_536));
        pace.GiveBack(isFirst: true, 65_536);
        Assert.Equal(TimeSpan.Zero, pace.Take(isFirst: true, 65_536));
    }

    [Fact]
    public async Task Channels_OfOneSession_WaitForEachOther()
    {
        await using var one = new StreamPair();
        await using var other = new StreamPair();
        one.SessionPace = other.SessionPace = new MessagePace(one.Time, new() { MessagesPerSecond = 1 });
        var first = new MessageChannel(one.Client);
        var second = new MessageChannel(other.Client, new() { Rate = new() { MessagesPerSecond = 1 } });

        await first.SendMessageAsync(new byte[] { 1 }).WithinAsync();
        Task waiting = second.SendMessageAsync(new byte[] { 2 }).AsTask();
        Assert.False(waiting.IsCompleted);
        one.Time.Advance(TimeSpan.FromSeconds(1));
        other.Time.Advance(TimeSpan.FromSeconds(1));
        other.Time.Elapse();
        await waiting.WithinAsync();
    }
}
