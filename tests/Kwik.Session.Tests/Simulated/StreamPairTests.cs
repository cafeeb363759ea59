using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using XStreamErrorKind = Kwik.Streams.XStreamErrorKind;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Halves of public streams, from peers that open them in every order, or not at all, at either side.</summary>
public sealed class StreamPairTests
{
    private const int Limit = 4;
    private static readonly byte[] Payload = [1, 2, 3, 4, 5, 6, 7, 8];
    private static readonly StreamHeader Id = StreamHeader.Create(StreamType.Main);

    // Two sweeps' distance is the uncertainty; a round trip comes on top.
    private static readonly TimeSpan Earliest = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan Latest = TimeSpan.FromSeconds(20.1);

    public static TheoryData<bool, bool, double> Orders => new MatrixTheoryData<bool, bool, double>([false, true], [false, true], [0, 1, 14.9]);

    public static TheoryData<bool, int> Halves => new MatrixTheoryData<bool, int>([false, true], [(int)StreamType.Main, (int)StreamType.Error]);

    [Theory]
    [MemberData(nameof(Orders))]
    public void Halves_InEitherOrder_MakeAStream(bool atPrimary, bool errorFirst, double gap) => Against(atPrimary, async scene =>
    {
        ITransportStream first = await scene.OpenAsync(errorFirst ? StreamType.Error : StreamType.Main);
        Task<KwikStream> accepting = scene.AcceptAsync();
        await scene.World.Delay(TimeSpan.FromSeconds(gap));
        Assert.False(accepting.IsCompleted);
        ITransportStream second = await scene.OpenAsync(errorFirst ? StreamType.Main : StreamType.Error);

        await using KwikStream stream = await accepting;
        await CheckAsync(scene, stream, errorFirst ? second : first, errorFirst ? first : second);

        // Longer than a half may wait.
        await scene.World.Delay(TimeSpan.FromSeconds(30));
        Assert.Equal(XStreamState.RemoteClosed, stream.State);
        await stream.WriteAsync(Payload);
        Assert.Equal(0, scene.Violations());
    });

    [Theory]
    [MemberData(nameof(Halves))]
    public void Half_WithoutTheOther_IsAbortedAfterFifteenSecondsAndItsPlaceIsFree(bool atPrimary, int type) => Against(atPrimary, async scene =>
    {
        var aborted = new List<Task>();
        for (int i = 0; i < Limit; i++)
        {
            aborted.Add(ExpiresAsync(await scene.OpenAsync((StreamType)type, StreamHeader.Create(StreamType.Main))));
            await scene.World.Delay(TimeSpan.FromSeconds(3.1));
        }

        await Task.WhenAll(aborted);
        Assert.Equal(Limit, scene.Violations());

        // Nothing is left of them: as many halves may wait as before, and each finds its twin.
        List<StreamHeader> ids = [.. Enumerable.Range(0, Limit).Select(_ => StreamHeader.Create(StreamType.Main))];
        foreach (StreamType half in new[] { StreamType.Error, StreamType.Main })
        {
            foreach (StreamHeader id in ids)
            {
                await scene.OpenAsync(half, id);
            }
        }

        foreach (StreamHeader _ in ids)
        {
            await (await scene.AcceptAsync()).DisposeAsync();
        }

        async Task ExpiresAsync(ITransportStream half)
        {
            TimeSpan began = scene.World.Time.Elapsed;
            Assert.Equal(KwikError.Timeout, await OutcomeAsync(half));
            Assert.InRange(scene.World.Time.Elapsed - began, Earliest, Latest);
        }
    });

    [Theory]
    [MemberData(nameof(Halves))]
    public void SecondHalf_OfTheSameType_TakesBothWithIt(bool atPrimary, int type) => Against(atPrimary, async scene =>
    {
        ITransportStream[] both = [await scene.OpenAsync((StreamType)type), await scene.OpenAsync((StreamType)type)];
        foreach (ITransportStream half in both)
        {
            Assert.Equal(KwikError.MetadataProtocolViolation, await OutcomeAsync(half));
        }

        Assert.Equal(1, scene.Violations());
        Task<KwikStream> accepting = scene.AcceptAsync();
        ITransportStream main = await scene.OpenAsync(StreamType.Main);
        Assert.False(accepting.IsCompleted);
        ITransportStream error = await scene.OpenAsync(StreamType.Error);
        await using KwikStream stream = await accepting;
        await CheckAsync(scene, stream, main, error);
    });

    [Theory]
    [MemberData(nameof(Halves))]
    public void ThirdHalf_OfAWholeStream_FailsThisStreamOnly(bool atPrimary, int type) => Against(atPrimary, async scene =>
    {
        (ITransportStream main, ITransportStream error) = (await scene.OpenAsync(StreamType.Main), await scene.OpenAsync(StreamType.Error));
        await using KwikStream stream = await scene.AcceptAsync();
        StreamHeader another = StreamHeader.Create(StreamType.Main);
        (ITransportStream otherMain, ITransportStream otherError) =
            (await scene.OpenAsync(StreamType.Main, another), await scene.OpenAsync(StreamType.Error, another));
        await using KwikStream other = await scene.AcceptAsync();
        Task<int> reading = stream.ReadAsync(new byte[1]).AsTask();

        ITransportStream third = await scene.OpenAsync((StreamType)type);

        Assert.Equal(KwikError.MetadataProtocolViolation, await OutcomeAsync(third));
        Assert.Equal(KwikError.MetadataProtocolViolation, await OutcomeAsync(main));
        Assert.Equal(KwikError.MetadataProtocolViolation, (await Assert.ThrowsAsync<XStreamException>(() => reading)).Code);
        Assert.Equal((ulong)KwikError.MetadataProtocolViolation, (await ReadFrameAsync(error))?.KwikError);
        Assert.Equal(XStreamState.Error, stream.State);
        Assert.Equal(1, scene.Violations());
        await CheckAsync(scene, other, otherMain, otherError);
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Halves_BeyondTheLimit_AreRefusedUntilOthersHaveGone(bool atPrimary) => Against(atPrimary, async scene =>
    {
        StreamHeader paired = StreamHeader.Create(StreamType.Main);
        ITransportStream main = await scene.OpenAsync(StreamType.Main, paired);
        var waiting = new List<ITransportStream>();
        for (int i = 1; i < Limit; i++)
        {
            waiting.Add(await scene.OpenAsync(i % 2 == 0 ? StreamType.Main : StreamType.Error, StreamHeader.Create(StreamType.Main)));
        }

        await RefusedAsync();
        Assert.Equal(1, scene.Violations());

        // One becomes a stream.
        ITransportStream error = await scene.OpenAsync(StreamType.Error, paired);
        await using KwikStream stream = await scene.AcceptAsync();
        await CheckAsync(scene, stream, main, error);
        waiting.Add(await scene.OpenAsync(StreamType.Main, StreamHeader.Create(StreamType.Main)));
        await RefusedAsync();
        foreach (ITransportStream half in waiting)
        {
            Assert.Equal(KwikError.Timeout, await OutcomeAsync(half));
        }

        Assert.Equal(2 + Limit, scene.Violations());

        async Task RefusedAsync() => Assert.Equal(
            KwikError.LimitExceeded, await OutcomeAsync(await scene.OpenAsync(StreamType.Main, StreamHeader.Create(StreamType.Main))));
    });

    [Theory]
    [MemberData(nameof(Halves))]
    public void Halves_ThatWaitWhenTheSessionEnds_EndWithIt(bool atPrimary, int type) => Against(atPrimary, async scene =>
    {
        ITransportStream half = await scene.OpenAsync((StreamType)type);
        Task<KwikStream> accepting = scene.AcceptAsync();
        await scene.World.Delay(TimeSpan.FromSeconds(1));
        await scene.CloseAsync();
        await Assert.ThrowsAnyAsync<KwikException>(() => accepting);
        // With the connection, whose code it is.
        Assert.Equal(KwikError.None, await OutcomeAsync(half));
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Main_ResetWhileItWaits_MakesAStreamThatFailsAtOnce(bool atPrimary) => Against(atPrimary, async scene =>
    {
        ITransportStream main = await scene.OpenAsync(StreamType.Main);
        await scene.World.Delay(TimeSpan.FromSeconds(1));
        main.AbortWrites(KwikError.NotFound);
        await scene.World.Delay(TimeSpan.FromSeconds(1));
        ITransportStream error = await scene.OpenAsync(StreamType.Error);

        await using KwikStream stream = await scene.AcceptAsync();
        XStreamException e = await Assert.ThrowsAsync<XStreamException>(() => stream.ReadAsync(new byte[1]).AsTask());
        Assert.Equal((KwikError.NotFound, stream.Id), (e.Code, e.StreamId));
        Assert.Equal(XStreamState.Error, stream.State);
        Assert.Equal((ulong)KwikError.NotFound, (await ReadFrameAsync(error))?.KwikError);
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Error_StoppedWhileItWaits_MakesAStreamThatCanSayNothing(bool atPrimary) => Against(atPrimary, async scene =>
    {
        ITransportStream error = await scene.OpenAsync(StreamType.Error);
        await scene.World.Delay(TimeSpan.FromSeconds(1));
        error.AbortReads(KwikError.Cancelled);
        await scene.World.Delay(TimeSpan.FromSeconds(1));
        ITransportStream main = await scene.OpenAsync(StreamType.Main);

        await using KwikStream stream = await scene.AcceptAsync();
        await main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload)));
        var bytes = new byte[8];
        await stream.FillAsync(bytes);
        Assert.Equal(Payload, bytes);
        XStreamException e = await Assert.ThrowsAsync<XStreamException>(() => stream.NotifyErrorAsync("nobody hears"));
        Assert.Equal(XStreamErrorKind.BrokenPipe, e.Kind);
    });

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Error_OnWhichTheOpenerSpeaks_IsNotHeard(bool atPrimary) => Against(atPrimary, async scene =>
    {
        ITransportStream main = await scene.OpenAsync(StreamType.Main);
        ITransportStream error = await scene.OpenAsync(StreamType.Error, Id, completeWrites: false);
        await error.WriteAsync(new byte[1000]);
        await using KwikStream stream = await scene.AcceptAsync();
        await CheckAsync(scene, stream, main, error);
        Assert.Equal(0, scene.Violations());
    });

    private static async Task CheckAsync(Scene scene, KwikStream stream, ITransportStream main, ITransportStream error)
    {
        Assert.Equal((XStreamDirection.Inbound, XStreamState.Open, main.Id), (stream.Direction, stream.State, stream.Id));
        await main.WriteAsync(RawPeer.Bytes((StreamFrame.Data(8), Payload), (StreamFrame.Close(8), [])), completeWrites: true);
        Assert.Equal(Payload, await stream.ReadToEndAsync());
        await stream.NotifyErrorAsync("heard", 7);
        XStreamErrorFrame? said = await ReadFrameAsync(error);
        Assert.Equal(("heard", 7ul, 1ul), (said?.Message, said?.Code, said?.Sequence));
        Assert.Equal(XStreamState.RemoteClosed, stream.State);
    }

    /// <summary>With what the other side gave up its end of a half; an error half's writes have ended by then.</summary>
    private static async Task<KwikError> OutcomeAsync(ITransportStream half) =>
        (await Assert.ThrowsAnyAsync<KwikException>(() => half.ReadToEndAsync())).Code;

    private static async Task<XStreamErrorFrame?> ReadFrameAsync(ITransportStream error) =>
        await new MessageReader(error, "error half").ReadAsync(XStreamErrorCodec.MaxFrameSize) is { } frame ? XStreamErrorCodec.TryDecode(frame) : null;

    private static void Against(bool atPrimary, Func<Scene, Task> play) => Simulation.Run(1, async world =>
    {
        var accepted = new TaskCompletionSource<PrimarySession>();
        await using var deployment = new SimulatedDeployment(world);
        if (atPrimary)
        {
            await deployment.StartPrimaryAsync(
                null,
                session =>
                {
                    accepted.SetResult(session);
                    return session.Closed;
                },
                options => options with { MaxPublicStreams = Limit });
            await using RawPeer client = await RawPeer.ConnectAsync(
                deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
            PrimarySession session = await accepted.Task;
            await PlayAsync(new(world, client, () => session.AcceptStream(), () => session.GetAllPaths()[0].Violations, session.DisposeAsync));
        }
        else
        {
            Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
            await using ClientSession session = await deployment.ConnectAsync(options => options with { MaxPublicStreams = Limit });
            await using RawPeer primary = await accepting;
            await PlayAsync(new(world, primary, () => session.AcceptStream(), () => session.GetAllPaths()[0].Violations, session.DisposeAsync));
        }

        async Task PlayAsync(Scene scene)
        {
            // A path without a sign of life does not last as long as a half may wait.
            Task beating = scene.BeatAsync();
            await play(scene);
            await scene.CloseAsync();
            await scene.Peer.DisposeAsync();
            await beating;
            await deployment.DisposeAsync();
            Assert.Equal(0, deployment.Pool.Outstanding);
            Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
        }
    });

    private sealed record Scene(
        SimulatedWorld World, RawPeer Peer, Func<Task<KwikStream>> AcceptAsync, Func<int> Violations, Func<ValueTask> CloseAsync)
    {
        public Task<ITransportStream> OpenAsync(StreamType type) => OpenAsync(type, Id);

        public async Task<ITransportStream> OpenAsync(StreamType type, StreamHeader id, bool completeWrites = true)
        {
            var header = new byte[StreamHeader.Size];
            (id with { Type = type }).Write(header);
            ITransportStream stream = await Peer.Connection.OpenStreamAsync(bidirectional: true, CancellationToken.None);
            await stream.WriteAsync(header, completeWrites && type == StreamType.Error);
            return stream;
        }

        public async Task BeatAsync()
        {
            try
            {
                await Peer.UntilAsync(ControlFrame.BodyOneofCase.SessionClose);
                await Peer.DisposeAsync();
            }
            catch (Exception e) when (e is KwikException or EndOfStreamException)
            {
                // The session is over.
            }
        }
    }
}
