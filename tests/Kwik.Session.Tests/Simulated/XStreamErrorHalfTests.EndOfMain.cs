using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using static Kwik.Session.Tests.Rows.StreamFailures;
using WireKind = Kwik.Data.Wire.XStreamErrorKind;
using XStreamErrorKind = Kwik.Streams.XStreamErrorKind;

namespace Kwik.Session.Tests.Simulated;

/// <content>What the error half makes of the end of Main; and what the other side says there itself.</content>
public sealed partial class XStreamErrorHalfTests
{
    private static readonly TimeSpan LongTime = TimeSpan.FromMinutes(1);

    [Theory, InlineData(true), InlineData(false)]
    public void EndOfMain_IsOneOnlyWhenThePeerSaysSo(bool byMainEnded) => AtTheEnd(async (stream, peer, reading) =>
    {
        await peer.Error.WriteAsync(byMainEnded ? MainEnded : NoError);
        Assert.Equal(0, await reading);
        Assert.Equal(XStreamState.RemoteClosed, stream.State);
    });

    [Fact]
    public void EndOfMain_ThatIsAFault_IsThrown() => AtTheEnd(async (_, peer, reading) =>
    {
        await peer.Error.WriteAsync(Fault);
        Assert.Equal("no more", (await FailureAsync<XStreamFaultException>(reading)).Fault.Message);
    });

    [Theory]
    [InlineData(KwikError.Checksum, KwikError.Checksum, XStreamErrorKind.Protocol)]
    [InlineData((KwikError)0xFFFF, KwikError.Internal, XStreamErrorKind.ConnectionReset)]
    public void EndOfMain_ThatIsAFailureOfThePeers_IsThrown(KwikError said, KwikError code, XStreamErrorKind kind) => AtTheEnd(async (stream, peer, reading) =>
    {
        await peer.Error.WriteAsync(Frame(new() { Kind = WireKind.XstreamFault, KwikError = (ulong)said }), completeWrites: true);
        await AssertFailsAsync(reading, kind, KwikErrorSide.Remote, code);
        await AssertFailsAsync(stream.ReadErrorAsync(), kind, KwikErrorSide.Remote, code);
        await AssertWritesFailAsync(stream, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, code);
    });

    [Fact]
    public void EndOfMain_WithoutAWord_IsConnectionReset() => AtTheEnd(async (_, peer, reading) =>
    {
        peer.Error.CompleteWrites();
        await AssertFailsAsync(reading, XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, KwikError.Cancelled);
    });

    [Fact]
    public void EndOfMain_OwnClose_EndsTheWaitForIt() => AtTheEnd(async (stream, _, reading) =>
    {
        Task closing = stream.CloseAsync();
        await AssertFailsAsync(reading, XStreamErrorKind.StreamClosed, KwikErrorSide.Local, KwikError.Cancelled);
        await closing;
    });

    [Fact]
    public void EndOfMain_OwnDispose_EndsTheWaitForIt() => AtTheEnd(async (stream, _, reading) =>
    {
        await stream.DisposeAsync();
        await FailureAsync<ObjectDisposedException>(reading);
    });

    [Theory, InlineData(true), InlineData(false)]
    public void EndOfMain_OfACopyToAFile_IsOneOnlyWhenThePeerSaysSo(bool byMainEnded) => HearIn(async (world, stream, peer) =>
    {
        var file = new MemoryStream();
        Task<long> copying = stream.CopyToAsync(async (piece, _) => await file.WriteAsync(piece));
        await peer.Main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload), (StreamFrame.Close(8), [])), completeWrites: true);
        await world.Delay(LongTime);
        Assert.False(copying.IsCompleted);
        Assert.Equal(Payload, file.ToArray());
        await peer.Error.WriteAsync(byMainEnded ? MainEnded : Fault);
        if (byMainEnded)
        {
            Assert.Equal(8, await copying);
        }
        else
        {
            await FailureAsync<XStreamFaultException>(copying);
        }
    });

    [Fact]
    public void MainReset_WithAFaultOnItsWay_IsTheFault() => HearIn(async (world, stream, peer) =>
    {
        Task reading = stream.ReadAsync(new byte[1]).AsTask();
        peer.Main.AbortWrites(KwikError.LimitExceeded);
        await world.Delay(TimeSpan.FromSeconds(4));
        Assert.False(reading.IsCompleted);
        await peer.Error.WriteAsync(Fault, completeWrites: true);
        await FailureAsync<XStreamFaultException>(reading);
    });

    [Fact]
    public void MainReset_WithoutAWord_IsItsCodeAfterFiveSeconds() => HearIn(async (world, stream, peer) =>
    {
        Task reading = stream.ReadAsync(new byte[1]).AsTask();
        TimeSpan began = world.Time.Elapsed;
        peer.Main.AbortWrites(KwikError.LimitExceeded);
        await AssertFailsAsync(reading, XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, KwikError.LimitExceeded);
        Assert.InRange(world.Time.Elapsed - began, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(5.1));
    });

    [Fact]
    public void CompleteWrites_ThenClose_SaysMainEndedThenNoError() => Say(async (stream, main, error) =>
    {
        await stream.NotifyErrorAsync("listen", 3, Payload);
        stream.CompleteWrites();
        XStreamErrorFrame[] said = [await NextAsync(error), await NextAsync(error)];
        Assert.Equal([WireKind.XstreamNotification, WireKind.XstreamMainEnded], said.Select(frame => frame.Kind));
        Assert.Equal(("listen", 3ul, 1ul), (said[0].Message, said[0].Code, said[0].Sequence));
        Assert.Equal(Payload, said[0].Details);
        Task closing = stream.CloseAsync();
        Assert.Equal(WireKind.XstreamNoError, (await NextAsync(error)).Kind);
        Assert.Empty(await error.ReadToEndAsync());
        Assert.NotEmpty(await main.ReadToEndAsync());
        await closing;
    });

    [Fact]
    public void Close_SaysMainEndedAndNoErrorAtOnce() => Say(async (stream, main, error) =>
    {
        Task closing = stream.CloseAsync();
        Assert.Equal(WireKind.XstreamMainEnded, (await NextAsync(error)).Kind);
        Assert.Equal(WireKind.XstreamNoError, (await NextAsync(error)).Kind);
        Assert.Empty(await error.ReadToEndAsync());
        Assert.Equal(KwikError.Cancelled, await RefusalAsync(main));
        await closing;
    });

    [Fact]
    public void WriteError_SaysTheFaultAndEndsBothHalves() => Say(async (stream, main, error) =>
    {
        await stream.WriteAsync(Payload);
        await stream.WriteErrorAsync("no more", 7, Payload);
        XStreamErrorFrame fault = await NextAsync(error);
        Assert.Equal((WireKind.XstreamFault, "no more", 7ul, 1ul, 0ul), (fault.Kind, fault.Message, fault.Code, fault.Sequence, fault.KwikError));
        Assert.Empty(await error.ReadToEndAsync());
        byte[] end = RawPeer.Bytes((StreamFrame.Close(8), []));
        Assert.Equal(end, (await main.ReadToEndAsync())[^end.Length..]);
        Assert.Equal(KwikError.StreamFault, await RefusalAsync(main));
    });

    [Fact]
    public void WriteError_WhileAWriteIsBlocked_ResetsMain() => Say(async (stream, main, error) =>
    {
        Task writing = stream.WriteAsync(new byte[1024 * 1024]).AsTask();
        Assert.False(writing.IsCompleted);
        await stream.WriteErrorAsync("no more");
        Assert.Equal(WireKind.XstreamFault, (await NextAsync(error)).Kind);
        Assert.Empty(await error.ReadToEndAsync());
        Assert.Equal(KwikError.StreamFault, (await FailureAsync<KwikException>(main.ReadToEndAsync())).Code);
        await AssertFailsAsync(writing, XStreamErrorKind.BrokenPipe, KwikErrorSide.Local, KwikError.StreamFault);
    });

    [Fact]
    public void MainThatBreaksARule_IsSaidOnTheErrorHalf() => Say(async (stream, main, error) =>
    {
        await main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload), (StreamFrame.Close(8), [])));
        await AssertFailureSaidAsync(error, KwikError.MetadataProtocolViolation, () => main.WriteAsync(RawPeer.Bytes((StreamFrame.Close(9), []))));
        await AssertFailsAsync(stream.Closed, XStreamErrorKind.Protocol, KwikErrorSide.Remote, KwikError.MetadataProtocolViolation);
    });

    [Fact]
    public void MainThatIsReset_IsSaidOnTheErrorHalf() => Say(async (stream, main, error) =>
    {
        main.AbortWrites(KwikError.LimitExceeded);
        await AssertFailureSaidAsync(error, KwikError.LimitExceeded, () => ValueTask.CompletedTask);
        await AssertFailsAsync(stream.Closed, XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, KwikError.LimitExceeded);
    });

    private static async Task AssertFailureSaidAsync(ITransportStream error, KwikError code, Func<ValueTask> cause)
    {
        await cause();
        XStreamErrorFrame fault = await NextAsync(error);
        Assert.Equal((WireKind.XstreamFault, code, ""), (fault.Kind, (KwikError)fault.KwikError, fault.Message));
        Assert.Empty(await error.ReadToEndAsync());
    }

    /// <summary>The next frame of an error half.</summary>
    private static async Task<XStreamErrorFrame> NextAsync(ITransportStream error)
    {
        byte[] prefix = [];
        ulong size;
        do
        {
            prefix = [.. prefix, .. await error.ReadExactlyAsync(1)];
        }
        while (VarInt.Read(prefix, out size) == 0);

        return XStreamErrorCodec.TryDecode(await error.ReadExactlyAsync((int)size))!.Value;
    }

    /// <summary>A stream whose Main has ended, of which the error half has said nothing for a long time.</summary>
    private static void AtTheEnd(Func<KwikStream, (ITransportStream Main, ITransportStream Error), Task<int>, Task> play) =>
        HearIn(async (world, stream, peer) =>
        {
            await peer.Main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload), (StreamFrame.Close(8), [])), completeWrites: true);
            await stream.FillAsync(new byte[8]);
            Task<int> reading = stream.ReadAsync(new byte[1]).AsTask();
            await world.Delay(LongTime);
            Assert.Equal((false, XStreamState.Open), (reading.IsCompleted, stream.State));
            await play(stream, peer, reading);
        });

    /// <summary>A client's stream whose peer is the test.</summary>
    private static void HearIn(Func<SimulatedWorld, KwikStream, (ITransportStream Main, ITransportStream Error), Task> play) =>
        Simulation.Run(1, async world =>
        {
            await using var deployment = new SimulatedDeployment(world);
            Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
            await using ClientSession session = await deployment.ConnectAsync();
            await using RawPeer primary = await accepting;
            Task answering = AnswerAsync(primary);
            await PlayAsync(() => session.OpenStreamSync(), primary, (stream, peer) => play(world, stream, peer));
            await session.DisposeAsync();
            await answering;
        });

    /// <summary>Answers heartbeats until the other side ends the session.</summary>
    private static async Task AnswerAsync(RawPeer peer)
    {
        try
        {
            await peer.UntilAsync(ControlFrame.BodyOneofCase.SessionClose);
        }
        catch (Exception e) when (e is KwikException or EndOfStreamException)
        {
            // It said no goodbye, because the test failed.
        }
    }

    /// <summary>A stream that the test has opened, as a client and as a primary, and what its other side says.</summary>
    private static void Say(Func<KwikStream, ITransportStream, ITransportStream, Task> play)
    {
        RawScene.AtClient((_, primary, session) => OpenAsync(primary, () => session.AcceptStream(), play));
        RawScene.AtPrimary((_, client, session) => OpenAsync(client, () => session.AcceptStream(), play));
    }

    private static async Task OpenAsync(
        RawPeer peer, Func<Task<KwikStream>> accept, Func<KwikStream, ITransportStream, ITransportStream, Task> play)
    {
        ITransportStream main = await peer.OpenAsync(StreamType.Main, []);
        await using KwikStream stream = await accept();
        await play(stream, main, peer.ErrorHalves[main]);
    }
}
