using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>A public stream that is closed while its Internal streams are at work, at each point where that matters.</summary>
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

    private static void AssertNobodysFault(SecondaryReceiver receiver)
    {
        SecondaryReceiver.Ending ending = Assert.Single(receiver.Ended);
        Assert.Equal((KwikError.Cancelled, null, KwikError.Cancelled), (ending.Fault!.Code, ending.Action, ending.Source.StopCode));
        Assert.Empty(receiver.Broken);
        Assert.Empty(receiver.Decided);
    }
}
