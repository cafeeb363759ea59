using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>The queue of a stream's events.</summary>
public sealed class KwikStreamEventTests
{
    [Fact]
    public async Task Events_ThatNobodyReads_KeepTheLast256InOrder()
    {
        await using var pair = new StreamPair();
        for (int i = 0; i < KwikStream.MaxEvents + 100; i++)
        {
            pair.Client.Raise(new PieceLost(i, 1, 1, KwikError.PathLost));
        }

        for (int i = 100; i < KwikStream.MaxEvents + 100; i++)
        {
            Assert.Equal(new PieceLost(i, 1, 1, KwikError.PathLost), await pair.Client.Events.ReadAsync().WithinAsync());
        }

        Assert.False(pair.Client.Events.TryRead(out _));
    }

    [Fact]
    public async Task Events_OfAStreamThatIsClosed_CanBeReadAndEnd()
    {
        await using var pair = new StreamPair();
        pair.Client.OnPathLost(1, KwikError.Timeout);
        await pair.Client.CloseAsync().WithinAsync();
        pair.Client.OnPathLost(2, KwikError.Timeout);

        Assert.Equal(new PathLost(1, KwikError.Timeout), await pair.Client.Events.ReadAsync().WithinAsync());
        Assert.False(await pair.Client.Events.WaitToReadAsync().WithinAsync());
        // First asked for when all is over.
        await pair.Primary.CloseAsync().WithinAsync();
        Assert.False(await pair.Primary.Events.WaitToReadAsync().WithinAsync());
    }

    [Fact]
    public async Task Path_LostTwiceAndBackTwice_IsNewsOnceEach()
    {
        await using var pair = new StreamPair();
        pair.Client.OnPathBack(1);
        pair.Client.OnPathLost(1, KwikError.Timeout);
        pair.Client.OnPathLost(1, KwikError.PathLost);
        pair.Client.OnPathBack(1);
        pair.Client.OnPathBack(1);
        pair.Client.OnPathLost(1, KwikError.PathLost);

        foreach (StreamEvent expected in new StreamEvent[] { new PathLost(1, KwikError.Timeout), new PathBack(1), new PathLost(1, KwikError.PathLost) })
        {
            Assert.True(pair.Client.Events.TryRead(out StreamEvent? happened));
            Assert.Equal(expected, happened);
        }

        Assert.False(pair.Client.Events.TryRead(out _));
    }
}
