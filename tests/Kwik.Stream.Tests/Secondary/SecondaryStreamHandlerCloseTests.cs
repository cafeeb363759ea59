using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>A public stream, or a path, that ends while Internal streams are at work, at each point where that matters.</summary>
public sealed class SecondaryStreamHandlerCloseTests
{
    [Fact]
    public void CloseTarget_WhileAFrameIsBeingRead_IsNotItsServersFault() => SecondaryReceiver.Run(1, async receiver =>
    {
        await using KwikStream stream = receiver.AddStream(4);
        RawSecondary server = await receiver.PushAsync(1, stream);
        await receiver.SettleAsync();
        server.Read = () => receiver.CloseTarget(4);
        await server.SendDataAsync(new byte[10]);
        Assert.Equal(KwikError.Cancelled, await server.RefusalAsync());
        AssertNobodysFault(receiver);
    });

    [Fact]
    public void CloseTarget_SeveralStreams_AreStoppedBeforeTheirGrantsEnd() => SecondaryReceiver.Run(1, async receiver =>
    {
        await using KwikStream stream = receiver.AddStream(4);
        RawSecondary[] servers = [await receiver.PushAsync(1, stream), await receiver.PushAsync(1, stream, 10)];
        await receiver.SettleAsync();
        int stopped = 0;
        foreach (RawSecondary server in servers)
        {
            server.Stopping = () => stopped += receiver.Mappings.IsGranted(1, 4, 0, 1) ? 1 : 0;
        }

        receiver.CloseTarget(4);
        Assert.Equal(2, stopped);
        Assert.False(receiver.Mappings.IsGranted(1, 4, 0, 1));
        Assert.Equal(KwikError.Cancelled, await servers[0].RefusalAsync());
        Assert.Equal(KwikError.Cancelled, await servers[1].RefusalAsync());
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void CloseTarget_BetweenAdmissionAndMapping_StopsTheStream(bool asked) => SecondaryReceiver.Run(1, async receiver =>
    {
        await using KwikStream stream = receiver.AddStream(4);
        receiver.Expect(0, 7, stream, 0, 100);
        RawSecondary server = receiver.Open(0);

        // The primary needs no grant, so that being found is being admitted.
        receiver.Found = asked ? null : () => receiver.CloseTarget(4);
        server.Read = asked ? () => receiver.CloseTarget(4) : null;
        await server.SendAsync(StreamFrame.Open(4, 0, asked ? 7 : -1));
        await receiver.SettleAsync();
        Assert.True(server.Handling.IsCompleted);
        Assert.Equal(KwikError.Cancelled, await server.RefusalAsync());
        AssertNobodysFault(receiver);
    });

    [Theory]
    [SimulationSeeds]
    public void ClosePath_StreamsOfEveryKind_EndAndThoseOfOtherPathsGoOn(int seed) => SecondaryReceiver.Run(
        seed,
        async receiver =>
        {
            KwikStream stream = receiver.AddStream(4);
            RawSecondary opening = receiver.Open(1);
            RawSecondary reading = await receiver.PushAsync(1, stream);
            RawSecondary parked = await receiver.PushAsync(1, stream, 100_000);
            await parked.SendDataAsync(new byte[1000]);
            RawSecondary waiting = receiver.Open(1);
            await waiting.SendAsync(StreamFrame.Open(8, 0));
            RawSecondary other = await receiver.PushAsync(2, stream, 100_000);
            await other.SendDataAsync(new byte[1000]);
            await receiver.SettleAsync();

            receiver.Handler.ClosePath(1, KwikError.PathLost);
            await receiver.SettleAsync();
            foreach (RawSecondary server in new[] { opening, reading, parked, waiting })
            {
                Assert.True(server.Handling.IsCompleted);
                Assert.Equal(KwikError.PathLost, await server.RefusalAsync());
            }

            Assert.Equal([reading.Id, parked.Id], receiver.Ended.Select(ending => ending.Source.Id).OrderBy(id => id.StreamId));
            Assert.All(receiver.Ended, ending => Assert.Equal((KwikError.PathLost, null), (ending.Fault!.Code, ending.Action)));
            Assert.Equal(new SecondaryStreamStats(0, 0, 0, 0, 1), receiver.Handler.GetStats(1));
            Assert.False(other.Handling.IsCompleted);
            Assert.Empty(receiver.Broken);
        },
        aggregation: new AggregatorOptions { MaxPendingBytes = 64 * 1024 });

    private static void AssertNobodysFault(SecondaryReceiver receiver)
    {
        SecondaryReceiver.Ending ending = Assert.Single(receiver.Ended);
        Assert.Equal((KwikError.Cancelled, null, KwikError.Cancelled), (ending.Fault!.Code, ending.Action, ending.Source.StopCode));
        Assert.Empty(receiver.Broken);
        Assert.Empty(receiver.Decided);
    }
}
