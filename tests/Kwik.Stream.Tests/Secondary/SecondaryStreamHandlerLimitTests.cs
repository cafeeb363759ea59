using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>How many streams, and how long they may take to begin.</summary>
public sealed class SecondaryStreamHandlerLimitTests
{
    private static readonly TimeSpan Millisecond = TimeSpan.FromMilliseconds(1);

    [Theory]
    [SimulationSeeds]
    public void Stream_BeyondMaxStreamsPerPath_IsRefusedAndTheOthersGoOn(int seed) => SecondaryReceiver.Run(
        seed,
        async receiver =>
        {
            KwikStream stream = receiver.AddStream(4);
            RawSecondary first = await receiver.PushAsync(1, stream);
            RawSecondary second = receiver.Open(1);
            RawSecondary third = receiver.Open(1);
            Assert.Equal(KwikError.SecondaryStreamOverflow, await third.RefusalAsync());
            receiver.AssertBroken(KwikError.SecondaryStreamOverflow);
            Assert.Contains(nameof(SecondaryStreamOptions.MaxStreamsPerPath), receiver.Broken[0].Fault.Message, StringComparison.Ordinal);
            RawSecondary otherPath = await receiver.PushAsync(2, stream);

            // One ends, and there is room for another.
            await second.DisposeAsync();
            RawSecondary fourth = await receiver.PushAsync(1, stream, 10);
            await first.SendDataAsync(new byte[10]);
            await fourth.SendDataAsync(new byte[10]);
            await otherPath.CloseAsync(0);
            await first.CloseAsync(10);
            await fourth.CloseAsync(20);
            Assert.Equal(20, receiver.Placed);
            Assert.All(receiver.Ended, ending => Assert.Null(ending.Fault));
            Assert.Equal(3, receiver.Ended.Count);
            Assert.Single(receiver.Broken);
        },
        new SecondaryStreamOptions { MaxStreamsPerPath = 2 });

    [Theory]
    [SimulationSeeds]
    public void WaitingStream_TheSeventeenthOfAPath_IsRefusedAndTheOthersWait(int seed) => SecondaryReceiver.Run(seed, async receiver =>
    {
        RawSecondary[] waiting = [.. Enumerable.Range(0, 16).Select(_ => receiver.Open(1)), receiver.Open(2)];
        foreach (RawSecondary server in waiting)
        {
            await server.SendAsync(StreamFrame.Open(4, 0));
        }

        await receiver.SettleAsync();
        RawSecondary late = receiver.Open(1);
        await late.SendAsync(StreamFrame.Open(4, 0));
        Assert.Equal(KwikError.SecondaryStreamOverflow, await late.RefusalAsync());
        receiver.AssertBroken(KwikError.SecondaryStreamOverflow);
        Assert.All(waiting, server => Assert.False(server.Handling.IsCompleted));

        // Those that wait no more make room.
        receiver.AddStream(4);
        receiver.Grant(1, 4, 0, 10);
        await receiver.SettleAsync();
        Assert.Equal(16, receiver.Mappings.SourcesOf(4).Count);
        RawSecondary next = receiver.Open(1);
        await next.SendAsync(StreamFrame.Open(4, 10));
        await receiver.SettleAsync();
        Assert.False(next.Handling.IsCompleted);
        Assert.Single(receiver.Broken);
    });

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    public void OpenFrame_NotCompleteWithinMetadataTimeout_IsRefused(int bytes) => SecondaryReceiver.Run(1, async receiver =>
    {
        var open = new byte[StreamFrame.MaxWrittenSize];
        StreamFrame.Open(4, 1000).Write(open);
        RawSecondary server = receiver.Open(1);
        if (bytes > 0)
        {
            await server.SendAsync(open[..bytes]);
        }

        await receiver.Delay(receiver.Options.MetadataTimeout - Millisecond);
        Assert.False(server.Handling.IsCompleted);
        await receiver.Delay(Millisecond + Millisecond);
        Assert.True(server.Handling.IsCompleted);
        Assert.Equal(KwikError.Timeout, await server.RefusalAsync());
        Assert.Equal((1, KwikError.Timeout), (receiver.Broken[0].Path, receiver.Broken[0].Fault.Code));
        Assert.Empty(receiver.Ended);
        Assert.Empty(receiver.Decided);
    });

    [Fact]
    public void OpenFrame_JustInTime_IsTaken() => SecondaryReceiver.Run(1, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        receiver.Expect(1, 7, stream, 0, 10);
        RawSecondary server = receiver.Open(1);
        await receiver.Delay(receiver.Options.MetadataTimeout - Millisecond);
        await server.SendAsync(StreamFrame.Open(4, 0, 7));
        await receiver.Delay(receiver.Options.MetadataTimeout);
        await server.SendDataAsync(new byte[10]);
        await server.CloseAsync(10);
        Assert.Null(Assert.Single(receiver.Ended).Fault);
        Assert.Empty(receiver.Broken);
    });

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(8)]
    public void PushedStream_NobodyGrantsIt_IsAskedAboutEachTimeAfterTwiceAsLong(int retries) => SecondaryReceiver.Run(
        1,
        async receiver =>
        {
            receiver.AddStream(4);
            RawSecondary server = receiver.Open(1);
            await server.SendAsync(StreamFrame.Open(4, 1000));
            Assert.Equal(KwikError.StreamMappingConflict, await server.RefusalAsync());

            TimeSpan first = receiver.Options.MappingTryTimeout;
            Assert.Equal(
                Enumerable.Range(0, retries).Select(attempt => (1, 4L, 1000L, first * ((2 << attempt) - 1))), receiver.Asked);
            receiver.AssertBroken(KwikError.StreamMappingConflict);
            Assert.Equal(first * ((2 << retries) - 1), TimeSpan.FromTicks(receiver.Time.GetTimestamp()));
            Assert.Empty(receiver.Ended);
            Assert.Empty(receiver.Decided);
        },
        new SecondaryStreamOptions { MappingRetries = retries });

    [Theory]
    [SimulationSeeds]
    public void PushedStream_GrantedAfterAll_IsPlacedAndAskedAboutNoMore(int seed) => SecondaryReceiver.Run(seed, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        RawSecondary server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, 100));
        await server.SendDataAsync(new byte[10]);
        await receiver.Delay(TimeSpan.FromSeconds(1));

        // Neither of another path nor beside the offset.
        receiver.Grant(2, 4, 100, 10);
        receiver.Grant(1, 4, 101, 10);
        await receiver.SettleAsync();
        Assert.Equal(-1, receiver.Mappings.FindTarget(server.Id));
        Assert.Single(receiver.Asked);

        receiver.Grant(1, 4, 0, 101);
        await server.CloseAsync(110);
        Assert.Equal(10, receiver.Placed);
        Assert.Null(Assert.Single(receiver.Ended).Fault);
        await receiver.Delay(TimeSpan.FromMinutes(1));
        Assert.Single(receiver.Asked);
        Assert.Empty(receiver.Broken);
    });

    [Theory]
    [SimulationSeeds]
    public void PushedStream_BeforeItsPublicStream_WaitsUnread(int seed) => SecondaryReceiver.Run(seed, async receiver =>
    {
        receiver.Grant(1, 4, 0, 1_000_000);
        RawSecondary server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, 0));
        byte[] bytes = Bytes.Random(seed, 500_000);
        await server.SendDataAsync(bytes);
        await receiver.Delay(TimeSpan.FromSeconds(3));
        Assert.True(server.Unread >= bytes.Length);
        Assert.Equal(0, receiver.Pool.Outstanding);
        Assert.Equal(new SecondaryStreamStats(1, 0, 1, 0, 1), receiver.Handler.GetStats(1));

        KwikStream stream = receiver.AddStream(4);
        receiver.Handler.WakeWaiting();
        byte[] read = new byte[bytes.Length];
        await stream.FillAsync(read);
        Assert.Equal(bytes, read);
        await server.CloseAsync(bytes.Length);
        Assert.Null(Assert.Single(receiver.Ended).Fault);
    });

    [Theory]
    [SimulationSeeds]
    public void PushedStream_ClosedWhileItWaits_EndsAtOnce(int seed) => SecondaryReceiver.Run(seed, async receiver =>
    {
        RawSecondary server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, 0));
        await receiver.SettleAsync();
        Assert.True(receiver.Handler.CloseStream(server.Id, KwikError.PathLost));
        Assert.Equal(KwikError.PathLost, await server.RefusalAsync());
        Assert.Empty(receiver.Ended);
        Assert.Empty(receiver.Broken);
        Assert.Equal(0, receiver.Handler.GetStats(1).ActiveStreams);
        Assert.Empty(receiver.Asked);
    });
}
