using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>240 bytes a second over StreamTimeout, while we take them.</summary>
public sealed class SecondaryStreamStallTests
{
    private const int Window = 64 * 1024;

    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);
    private static readonly AggregatorOptions Small = new() { MaxPendingBytes = Window };

    // Data frames take this much beside their payload.
    private static readonly int Overhead = StreamFrame.Data(1, checksum: 1).Write(new byte[StreamFrame.MaxWrittenSize]);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Server_ThatSendsNothingMore_IsStoppedAfterStreamTimeout(bool asked) => SecondaryReceiver.Run(1, async receiver =>
    {
        receiver.Treatment = RecoveryAction.IgnoreStream;
        KwikStream stream = receiver.AddStream(4);
        receiver.Expect(1, 7, stream, 0, 100_000);
        RawSecondary server = asked ? receiver.Open(1) : await receiver.PushAsync(1, stream);
        if (asked)
        {
            await server.SendAsync(StreamFrame.Open(4, 0, 7));
        }

        await server.SendDataAsync(new byte[10_000]);
        await receiver.SettleAsync();
        await receiver.SweepAsync(receiver.Options.StreamTimeout);
        Assert.False(server.Handling.IsCompleted);
        await receiver.SweepAsync(Second);
        Assert.True(server.Handling.IsCompleted);
        Assert.Equal(KwikError.Timeout, await server.RefusalAsync());
        SecondaryReceiver.Ending ending = Assert.Single(receiver.Ended);
        Assert.Equal((KwikError.Timeout, asked ? RecoveryAction.IgnoreStream : null), (ending.Fault!.Code, ending.Action));
        Assert.Equal((1, 4L), (ending.Fault.PathId, ending.Fault.StreamId));

        // What is pushed may come whenever its sender likes; it only does not keep its place for ever.
        Assert.Equal(asked ? 1 : 0, receiver.Decided.Count);

        // Slow is not against the rules of the protocol on a bad network.
        Assert.Empty(receiver.Broken);
    });

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    [InlineData(20)]
    public void Server_AtTheMinimumRate_IsKept(int framesASecond) => SecondaryReceiver.Run(1, async receiver =>
    {
        RawSecondary server = await AnswerAsync(receiver);
        await DripAsync(receiver, server, framesASecond, (240 / framesASecond) - Overhead, 5 * receiver.Options.StreamTimeout);
        Assert.False(server.Handling.IsCompleted);
    });

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1, 200)]
    [InlineData(4, 30)]
    public void Server_BelowTheMinimumRate_IsStopped(int framesASecond, int payload) => SecondaryReceiver.Run(1, async receiver =>
    {
        RawSecondary server = await AnswerAsync(receiver);
        await DripAsync(receiver, server, framesASecond, payload, 2 * receiver.Options.StreamTimeout);
        Assert.True(server.Handling.IsCompleted);
        Assert.Equal(KwikError.Timeout, await server.RefusalAsync());
        Assert.Equal(KwikError.Timeout, Assert.Single(receiver.Ended).Fault!.Code);
    });

    [Fact]
    public void PushedBytes_AFrameNowAndThen_AreKept() => SecondaryReceiver.Run(1, async receiver =>
    {
        RawSecondary server = await receiver.PushAsync(1, receiver.AddStream(4));
        for (int i = 0; i < 10; i++)
        {
            await server.SendDataAsync(new byte[1]);
            await receiver.SweepAsync(receiver.Options.StreamTimeout - Second);
        }

        Assert.False(server.Handling.IsCompleted);
    });

    [Fact]
    public void Clock_WhileThereIsNoRoom_StandsStillAndThenBeginsAnew() => SecondaryReceiver.Run(
        1,
        async receiver =>
        {
            KwikStream stream = receiver.AddStream(4);
            RawSecondary server = await receiver.PushAsync(1, stream);
            await server.SendDataAsync(new byte[Window]);
            await receiver.SweepAsync(6 * Second);
            await server.SendDataAsync(new byte[1000]);
            await receiver.SettleAsync();
            Assert.True(IsParked(receiver));
            await receiver.SweepAsync(10 * receiver.Options.StreamTimeout);
            Assert.False(server.Handling.IsCompleted);

            await stream.FillAsync(new byte[Window]);
            await receiver.SettleAsync();
            Assert.False(IsParked(receiver));
            await receiver.SweepAsync(receiver.Options.StreamTimeout);
            Assert.False(server.Handling.IsCompleted);
            await receiver.SweepAsync(Second);
            Assert.True(server.Handling.IsCompleted);
            Assert.Equal(KwikError.Timeout, await server.RefusalAsync());
        },
        aggregation: Small);

    [Theory]
    [InlineData(KwikError.Cancelled)]
    [InlineData(KwikError.SecondaryStreamOverflow)]
    [InlineData(KwikError.Timeout)]
    public void PushedStream_StoppedWhileThereIsNoRoom_EndsWithThatCodeAndBreaksNoRule(KwikError code) => SecondaryReceiver.Run(
        1,
        async receiver =>
        {
            RawSecondary server = await receiver.PushAsync(1, receiver.AddStream(4), Window);
            await server.SendDataAsync(new byte[1000]);
            await receiver.SettleAsync();
            Assert.True(IsParked(receiver));
            receiver.Handler.CloseStream(server.Id, code);
            Assert.Equal(code, await server.RefusalAsync());
            SecondaryReceiver.Ending ending = Assert.Single(receiver.Ended);
            Assert.Equal((code, null), (ending.Fault!.Code, ending.Action));
            Assert.Empty(receiver.Decided);
            Assert.Empty(receiver.Broken);
        },
        aggregation: Small);

    /// <summary>What was asked for has its room, wherever the reader is.</summary>
    [Fact]
    public void Answer_BeyondTheWindow_IsNotHeldUp() => SecondaryReceiver.Run(
        1,
        async receiver =>
        {
            KwikStream stream = receiver.AddStream(4);
            stream.Incoming.Reserve(2 * Window);
            receiver.Expect(1, 7, stream, Window, 1000);
            RawSecondary server = receiver.Open(1);
            await server.SendAsync(StreamFrame.Open(4, Window, 7));
            await server.SendDataAsync(new byte[1000]);
            await server.CloseAsync(Window + 1000);
            Assert.Equal((null, null), (receiver.Ended[0].Fault, receiver.Ended[0].Action));
        },
        aggregation: new() { MaxPendingBytes = 2 * Window });

    [Fact]
    public void StreamThatWaitsForItsMapping_IsNotStalled() => SecondaryReceiver.Run(
        1,
        async receiver =>
        {
            RawSecondary server = receiver.Open(1);
            await server.SendAsync(StreamFrame.Open(4, 0));
            await receiver.SweepAsync(TimeSpan.FromSeconds(7));
            Assert.False(server.Handling.IsCompleted);

            // Its time begins with its mapping.
            receiver.AddStream(4);
            receiver.Grant(1, 4, 0, 1000);
            await receiver.SettleAsync();
            await receiver.SweepAsync(Second);
            Assert.False(server.Handling.IsCompleted);
        },
        new SecondaryStreamOptions { StreamTimeout = TimeSpan.FromSeconds(3) });

    private static bool IsParked(SecondaryReceiver receiver) =>
        Assert.Single(receiver.Mappings.SourcesOf(4)).IsParkedFor(TimeSpan.Zero);

    private static async Task<RawSecondary> AnswerAsync(SecondaryReceiver receiver)
    {
        receiver.Expect(1, 7, receiver.AddStream(4), 0, 1_000_000);
        RawSecondary server = receiver.Open(1);
        await server.SendAsync(StreamFrame.Open(4, 0, 7));
        return server;
    }

    private static async Task DripAsync(
        SecondaryReceiver receiver, RawSecondary server, int framesASecond, int payload, TimeSpan time)
    {
        Task sweeping = receiver.SweepAsync(time);
        while (!sweeping.IsCompleted && !server.Handling.IsCompleted)
        {
            await server.SendDataAsync(new byte[payload]);
            await receiver.Delay(Second / framesASecond);
        }

        await sweeping;
    }
}
