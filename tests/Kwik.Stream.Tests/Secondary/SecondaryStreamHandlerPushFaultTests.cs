using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>What servers push where they may not.</summary>
public sealed class SecondaryStreamHandlerPushFaultTests
{
    [Theory]
    [InlineData(1000, 1)]
    [InlineData(0, 1)]
    [InlineData(99, 2)]
    [InlineData(190, 20)]
    [InlineData(290, 120)]
    [InlineData(StreamFrame.MaxOffset - 1, 1)]
    public void PushedBytes_NotAllGranted_AreRefusedAndNotPlaced(long offset, int length) => SecondaryReceiver.Run(1, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        receiver.Grant(1, 4, 100, 100);
        receiver.Grant(1, 4, 210, 100);
        receiver.Grant(1, 4, 400, 100);
        receiver.Grant(2, 4, 0, StreamFrame.MaxOffset);
        RawSecondary server = await receiver.PushAsync(1, stream, 100);
        await server.SendDataAsync(new byte[100]);
        await server.SendDataAsync(new byte[length], offset);
        Assert.Equal(KwikError.StreamMappingConflict, await server.RefusalAsync());
        receiver.AssertBroken(KwikError.StreamMappingConflict);
        Assert.Equal(RecoveryAction.RequestRetransmission, Assert.Single(receiver.Ended).Action);
        Assert.Equal((100, 200), (receiver.Placed, receiver.Ended[0].Source.Offset));
    });

    [Fact]
    public void PushedBytes_WhoseGrantWasTakenBack_AreStoppedWithoutBlame() => SecondaryReceiver.Run(1, async receiver =>
    {
        RawSecondary server = await receiver.PushAsync(1, receiver.AddStream(4));
        await server.SendDataAsync(new byte[10]);
        await receiver.SettleAsync();
        receiver.Mappings.RevokePath(1);
        await server.SendDataAsync(new byte[10]);
        Assert.Equal(KwikError.Cancelled, await server.RefusalAsync());
        Assert.Equal(10, receiver.Placed);
        Assert.Empty(receiver.Broken);
        Assert.Empty(receiver.Decided);
    });

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void PushedBytes_IntoAnOfferedStream_AreRefused(int path) => SecondaryReceiver.Run(1, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        RawSecondary server = await receiver.PushAsync(path, stream);
        await receiver.SettleAsync();
        Assert.True(stream.TryApplyOffer(Offers.Of(new byte[100])));
        await server.SendDataAsync(new byte[10]);
        Assert.Equal(KwikError.StreamMappingConflict, await server.RefusalAsync());
        receiver.AssertBroken(KwikError.StreamMappingConflict, path);
        Assert.Equal(0, receiver.Placed);
    });

    [Fact]
    public void PushedBytes_BeyondTheLastOffset_AreRefused() => SecondaryReceiver.Run(1, async receiver =>
    {
        RawSecondary server = await receiver.PushAsync(0, receiver.AddStream(4), StreamFrame.MaxOffset);
        await server.SendDataAsync(new byte[1]);
        Assert.Equal(KwikError.StreamMappingConflict, await server.RefusalAsync());
    });

    [Fact]
    public void PushedBytes_BeyondTheEndOfTheStream_AreRefused() => SecondaryReceiver.Run(1, async receiver =>
    {
        KwikStream stream = receiver.AddStream(4);
        Assert.True(stream.Incoming.TrySetFinalSize(100));
        RawSecondary server = await receiver.PushAsync(1, stream, 95);
        await server.SendDataAsync(new byte[5]);
        await server.SendDataAsync(new byte[1]);
        Assert.Equal(KwikError.FinalSize, await server.RefusalAsync());
        receiver.AssertBroken(KwikError.FinalSize);
        Assert.Equal(5, receiver.Placed);
    });
}
