using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using static Kwik.Session.Tests.Rows.StreamFailures;
using WireError = Kwik.Data.Wire.XStreamError;
using WireKind = Kwik.Data.Wire.XStreamErrorKind;
using XStreamErrorKind = Kwik.Streams.XStreamErrorKind;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Error halves on which the peer says what it likes, as the side hears it that opened the stream.</summary>
public sealed partial class XStreamErrorHalfTests
{
    private static readonly byte[] Payload = [1, 2, 3, 4, 5, 6, 7, 8];
    private static readonly byte[] MainEnded = Frame(new() { Kind = WireKind.XstreamMainEnded });
    private static readonly byte[] NoError = Frame(new() { Kind = WireKind.XstreamNoError });
    private static readonly byte[] Fault = Frame(new() { Kind = WireKind.XstreamFault, Code = 7, Message = "no more", Sequence = 1 });

    public static TheoryData<string> BadFrames =>
    [
        "bytes that are no frame", "a frame that its length cuts", "an end inside a frame", "an end inside a length",
        "a frame of more than 64 KiB", "a length of 2^62-1", "a length of more than 64 bits",
    ];

    [Theory, MemberData(nameof(BadFrames))]
    public void BadFrame_FailsTheStreamAndNotTheSession(string what) => Hear(async (stream, peer) =>
    {
        Task reading = stream.ReadAsync(new byte[1]).AsTask();
        Task errors = stream.ReadErrorAsync();
        await peer.Error.WriteAsync(BadBytes(what), completeWrites: what.StartsWith("an end", StringComparison.Ordinal));

        await AssertFailsAsync(reading, XStreamErrorKind.Protocol, KwikErrorSide.Remote, KwikError.MetadataProtocolViolation);
        await AssertViolatedAsync(stream, peer);
        await AssertFailsAsync(errors, XStreamErrorKind.Protocol, KwikErrorSide.Remote, KwikError.MetadataProtocolViolation);
    });

    [Fact]
    public void BadFrame_AfterTheEndOfMain_FailsTheStreamToo() => Hear(async (stream, peer) =>
    {
        await peer.Main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload), (StreamFrame.Close(8), [])), completeWrites: true);
        await peer.Error.WriteAsync(MainEnded);
        Assert.Equal(Payload, await stream.ReadToEndAsync());
        await peer.Error.WriteAsync(BadBytes("bytes that are no frame"));
        await AssertViolatedAsync(stream, peer);
        Assert.Equal(0, await stream.ReadAsync(new byte[1]));
    });

    [Fact]
    public void Frame_AfterNoError_FailsTheStream() => Hear(async (stream, peer) =>
    {
        Task reading = stream.ReadAsync(new byte[1]).AsTask();
        await peer.Error.WriteAsync((byte[])[.. NoError, .. NoError]);
        await AssertFailsAsync(reading, XStreamErrorKind.Protocol, KwikErrorSide.Remote, KwikError.MetadataProtocolViolation);
        await AssertViolatedAsync(stream, peer);
    });

    [Fact]
    public void Frame_AfterAFault_IsRefusedAndTheFaultStays() => Hear(async (stream, peer) =>
    {
        await peer.Error.WriteAsync((byte[])[.. Fault, .. Fault]);
        XStreamFaultException e = await FailureAsync<XStreamFaultException>(stream.Closed);
        Assert.Equal(("no more", 7ul), (e.Fault.Message, e.Fault.Code));
        Assert.Equal("no more", (await stream.ReadErrorAsync())?.Message);
        await AssertFailsAsync(
            stream.ReadErrorAsync(), XStreamErrorKind.Protocol, KwikErrorSide.Remote, KwikError.MetadataProtocolViolation);
        await FailureAsync<XStreamFaultException>(stream.ReadAsync(new byte[1]).AsTask());
        Assert.Equal(KwikError.MetadataProtocolViolation, await RefusalAsync(peer.Error));
    });

    [Fact]
    public void UnknownKinds_AreIgnored() => Hear(async (stream, peer) =>
    {
        await peer.Error.WriteAsync((byte[])
        [
            .. Frame(new() { Kind = (WireKind)5, Message = "from the future" }), .. Frame(new() { Kind = (WireKind)int.MaxValue }), .. Frame(new()),
            .. Frame(new() { Kind = WireKind.XstreamNotification, Message = "from now", Sequence = ulong.MaxValue }),
        ]);
        await peer.Main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload)));
        Kwik.Streams.XStreamError? said = await stream.ReadErrorAsync();
        Assert.Equal((false, "from now", long.MaxValue), (said!.IsFault, said.Message, said.Sequence));
        await stream.FillAsync(new byte[8]);
        Assert.Equal(XStreamState.Open, stream.State);
    });

    [Fact]
    public void Frame_Of64KiB_IsHeard() => Hear(async (stream, peer) =>
    {
        byte[] frame = Frame(new() { Kind = WireKind.XstreamNotification, Message = new string('x', XStreamErrorCodec.MaxFrameSize - 6) });
        Assert.Equal(XStreamErrorCodec.MaxFrameSize, frame.Length - 3);
        await peer.Error.WriteAsync(frame);
        Assert.Equal(XStreamErrorCodec.MaxFrameSize - 6, (await stream.ReadErrorAsync())?.Message.Length);
    });

    [Fact]
    public void Notifications_ThatNobodyReads_AreKeptUpTo64() => Hear(async (stream, peer) =>
    {
        for (int i = 1; i <= 70; i++)
        {
            await peer.Error.WriteAsync(Frame(new() { Kind = WireKind.XstreamNotification, Sequence = (ulong)i }));
        }

        await peer.Error.WriteAsync(NoError, completeWrites: true);
        await peer.Main.WriteAsync(RawPeer.Bytes((StreamFrame.Close(0), [])), completeWrites: true);
        Assert.Empty(await stream.ReadToEndAsync());
        await peer.Error.WritesClosed;
        var kept = new List<long>();
        await foreach (Kwik.Streams.XStreamError error in stream.ReadErrorsAsync())
        {
            kept.Add(error.Sequence);
        }

        Assert.Equal(Enumerable.Range(7, 64).Select(i => (long)i), kept);
    });

    [Theory, InlineData(null), InlineData(KwikError.Cancelled), InlineData(KwikError.LimitExceeded)]
    public void ErrorHalf_ThatEndsBeforeMain_IsConnectionResetAndClosesMain(KwikError? reset) => Hear(async (stream, peer) =>
    {
        await peer.Main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload)));
        await stream.FillAsync(new byte[4]);
        EndErrorHalf(peer, reset);

        KwikError code = reset ?? KwikError.Cancelled;
        await AssertFailsAsync(stream.Closed, XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, code);
        await AssertReadFailsAsync(stream, XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, code);
        await AssertWritesFailAsync(stream, XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, code);
        for (int i = 0; i < 2; i++)
        {
            await AssertFailsAsync(stream.ReadErrorAsync(), XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, code);
        }

        Assert.Equal(XStreamState.Error, stream.State);
        Assert.Equal(4, await stream.ReadRestAfterErrorAsync(new byte[8]));
        Assert.Equal(0, await stream.ReadRestAfterErrorAsync(new byte[8]));
        Assert.Equal(KwikError.Cancelled, await RefusalAsync(peer.Main));
        Assert.Equal(KwikError.Cancelled, (await FailureAsync<KwikException>(peer.Main.ReadToEndAsync())).Code);
    });

    [Theory, InlineData(null), InlineData(KwikError.LimitExceeded)]
    public void ErrorHalf_ThatEndsAfterMainWithoutNoError_LeavesTheDataAlone(KwikError? reset) => Hear(async (stream, peer) =>
    {
        await peer.Main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload)));
        await peer.Error.WriteAsync(MainEnded);
        await stream.FillAsync(new byte[4]);
        await peer.Error.WriteAsync(Frame(new() { Kind = WireKind.XstreamNotification }));
        Assert.NotNull(await stream.ReadErrorAsync());
        EndErrorHalf(peer, reset);

        await AssertFailsAsync(
            stream.ReadErrorAsync(), XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, reset ?? KwikError.Cancelled);
        await peer.Main.WriteAsync(RawPeer.Bytes((StreamFrame.Close(8), [])), completeWrites: true);
        Assert.Equal(Payload[4..], await stream.ReadToEndAsync());
        Assert.Equal(XStreamState.RemoteClosed, stream.State);
        await stream.WriteAsync(Payload);
        stream.CompleteWrites();
        Assert.NotEmpty(await peer.Main.ReadToEndAsync());
        await stream.Closed;
    });

    private static byte[] Frame(WireError frame) => XStreamErrorCodec.Encode(frame);

    private static byte[] BadBytes(string what) => what switch
    {
        "bytes that are no frame" => [3, 0xFF, 0xFF, 0xFF],
        "a frame that its length cuts" => [(byte)(Fault[0] - 1), .. Fault[1..]],
        "an end inside a frame" => Fault[..^1],
        "an end inside a length" => [0x80],
        "a frame of more than 64 KiB" => [0x81, 0x80, 0x04],
        "a length of 2^62-1" => [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F],
        _ => [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
    };

    private static void EndErrorHalf((ITransportStream Main, ITransportStream Error) peer, KwikError? reset)
    {
        if (reset is { } code)
        {
            peer.Error.AbortWrites(code);
        }
        else
        {
            peer.Error.CompleteWrites();
        }
    }

    /// <summary>The code with which the other side stopped reading this.</summary>
    private static async Task<KwikError> RefusalAsync(ITransportStream stream) =>
        (await FailureAsync<KwikException>(stream.WritesClosed)).Code;

    private static async Task AssertViolatedAsync(KwikStream stream, (ITransportStream Main, ITransportStream Error) peer)
    {
        await AssertFailsAsync(stream.Closed, XStreamErrorKind.Protocol, KwikErrorSide.Remote, KwikError.MetadataProtocolViolation);
        await AssertWritesFailAsync(stream, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.MetadataProtocolViolation);
        await AssertFailsAsync(
            stream.ReadErrorAsync(), XStreamErrorKind.Protocol, KwikErrorSide.Remote, KwikError.MetadataProtocolViolation);
        Assert.Equal(XStreamState.Error, stream.State);
        Assert.Equal(
            KwikError.MetadataProtocolViolation, (await FailureAsync<KwikException>(peer.Main.ReadToEndAsync())).Code);
    }

    /// <summary>A stream of a client's, then one of a primary's, whose peer is the test; the session has to outlive it.</summary>
    private static void Hear(Func<KwikStream, (ITransportStream Main, ITransportStream Error), Task> play)
    {
        RawScene.AtClient((_, primary, session) => PlayAsync(() => session.OpenStreamSync(), primary, play));
        RawScene.AtPrimary((_, client, session) => PlayAsync(() => session.OpenStreamSync(), client, play));
    }

    private static async Task PlayAsync(
        Func<Task<KwikStream>> open, RawPeer peer, Func<KwikStream, (ITransportStream Main, ITransportStream Error), Task> play)
    {
        await using KwikStream stream = await open();
        await play(stream, await peer.AcceptAsync());

        await using KwikStream next = await open();
        (ITransportStream main, ITransportStream error) = await peer.AcceptAsync();
        await main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload), (StreamFrame.Close(8), [])), completeWrites: true);
        await error.WriteAsync((byte[])[.. MainEnded, .. NoError], completeWrites: true);
        Assert.Equal(Payload, await next.ReadToEndAsync());
        Assert.Null(await next.ReadErrorAsync());
    }
}
