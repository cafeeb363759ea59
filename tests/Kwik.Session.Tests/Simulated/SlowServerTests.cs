using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using RangeLost = Kwik.Sessions.RangeLost;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// Servers that owe bytes and send fewer than 240 a second over <see cref="SecondaryStreamOptions.StreamTimeout"/>: stopped
/// with Timeout, treated as <see cref="RecoveryOptions.Rules"/> says, and no byte is lost; when there are others, these take
/// over long before. And servers that push slowly.
/// </summary>
public sealed class SlowServerTests
{
    private const int Length = 6 * 1024 * 1024;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    // Frame and payload together stay below 240 bytes a second.
    private const int Slow = 80;

    [Theory]
    [InlineData(RecoveryAction.RequestRetransmission)]
    [InlineData(RecoveryAction.RequestResend)]
    [InlineData(RecoveryAction.UseDefaults)]
    [InlineData(RecoveryAction.IgnoreStream)]
    public void Answer_BelowTheMinimumRateOfTheOnlyServer_IsStoppedAndAskedAgain(RecoveryAction action) => Run(
        action,
        isOnlyServer: true,
        slowAnswers: 1,
        async (world, session, stream, content, stopped) =>
        {
            Assert.True(content.Is(await stream.ReadToEndAsync()));

            Assert.Equal(KwikError.Timeout, await stopped[0]);
            Assert.InRange(world.Time.Elapsed, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(45));
            FaultTreated treated = Treated(session).First(treated => treated.Error == KwikError.Timeout);
            Assert.Equal((1, action), (treated.PathId, treated.Action));
            Assert.Equal(PathState.Active, session.GetAllPaths()[1].State);
        });

    [Fact]
    public void EveryAnswer_BelowTheMinimumRate_ArrivesFromTheOthersWithinASecond() => Run(
        null,
        isOnlyServer: false,
        slowAnswers: int.MaxValue,
        async (world, session, stream, content, stopped) =>
        {
            TimeSpan began = world.Time.Elapsed;
            Assert.True(content.Is(await stream.ReadToEndAsync()));
            Assert.InRange(world.Time.Elapsed - began, TimeSpan.Zero, TimeSpan.FromSeconds(1));
            Assert.NotEmpty(stopped);
            foreach (Task<KwikError> outcome in stopped)
            {
                Assert.Equal(KwikError.Cancelled, await outcome);
            }

            Assert.Equal(PathState.Active, session.GetAllPaths()[1].State);
        });

    [Fact]
    public void Answer_BelowTheMinimumRateWithIsolateSource_TakesTheServerOut() => Run(
        RecoveryAction.IsolateSource,
        isOnlyServer: true,
        slowAnswers: 1,
        async (_, session, stream, content, _) =>
        {
            await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadToEndAsync());
            Assert.Equal(PathState.Removed, session.GetAllPaths()[1].State);
        });

    [Fact]
    public void Answer_BelowTheMinimumRateWithCloseStream_FailsTheStream() => Run(
        RecoveryAction.CloseStream,
        isOnlyServer: true,
        slowAnswers: 1,
        async (_, session, stream, content, stopped) =>
        {
            KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadToEndAsync());
            Assert.Equal((KwikError.Timeout, 1), (e.Code, e.PathId));
            Assert.Equal(PathState.Active, session.GetAllPaths()[1].State);
        });

    /// <summary>Who pushes owes nothing: a little now and then is enough, and silence is not.</summary>
    [Fact]
    public void PushedStream_BelowTheMinimumRate_GoesOnUntilItFallsSilent() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        byte[] content = PushScene.RandomBytes(1, 60 * Slow);
        await scene.GrantAsync(1, 0, 2 * content.Length);
        Task<(byte[], KwikException?)> reading = scene.ReadAsync();
        ITransportStream slow = await scene.BeginAsync(1, (0, []));
        await TrickleAsync(scene.World, slow, content, Slow);
        Assert.Equal(KwikError.None, await PushScene.OutcomeAsync(slow));

        TimeSpan began = scene.World.Time.Elapsed;
        ITransportStream silent = await scene.BeginAsync(1, (content.Length, content[..100]));
        Assert.Equal(KwikError.Timeout, await PushScene.OutcomeAsync(silent));
        Assert.InRange(scene.World.Time.Elapsed - began, TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(11));
        await scene.SettleAsync();
        RangeLost lost = Assert.Single(scene.Lost());
        Assert.Equal((KwikError.Timeout, content.Length + 100L, content.Length - 100L), (lost.Error, lost.Offset, lost.Length));
        await scene.Written.WriteAtAsync(lost.Offset, content.AsMemory(100));
        scene.Written.CompleteWrites(2 * content.Length);

        (byte[] received, KwikException? fault) = await reading;
        Assert.Null(fault);
        Assert.Equal((byte[])[.. content, .. content], received);
        Assert.Equal((PathState.Active, 0), (scene.Path(1).State, scene.Path(1).Violations));
    });

    /// <summary>The clock stands still while it is the reader who does not take.</summary>
    [Fact]
    public void PushedStream_ThatWaitsForTheReader_IsNotStopped() => PushScene.Run(
        1,
        secondaries: 1,
        async scene =>
        {
            byte[] content = PushScene.RandomBytes(1, 300_000);
            await scene.GrantAsync(1, 0, content.Length);
            Task<ITransportStream> pushing = scene.PushAsync(1, [.. content.Chunk(10_000).Select((bytes, i) => (i * 10_000L, bytes))]);
            scene.Written.CompleteWrites(content.Length);
            await scene.World.Delay(TimeSpan.FromMinutes(1));

            Assert.Equal(content, (await scene.ReadAsync()).Received);
            Assert.Equal(KwikError.None, await PushScene.OutcomeAsync(await pushing));
        },
        options => options with { Aggregation = new() { MaxPendingBytes = 64 * 1024 } });

    /// <summary>A primary, which has the content, too, or has not, and a secondary whose first answers trickle.</summary>
    private static void Run(
        RecoveryAction? action,
        bool isOnlyServer,
        int slowAnswers,
        Func<SimulatedWorld, ClientSession, KwikStream, MemoryContent, List<Task<KwikError>>, Task> check) => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, Length);
        var answers = new List<Task>();
        var stopped = new List<Task<KwikError>>();
        await using var deployment = new SimulatedDeployment(world);
        await using RogueSecondary rogue = await RogueSecondary.StartAsync(world.Host("rogue"), async client =>
        {
            client.Content = content;
            await client.ReceiveAsync(async request =>
            {
                if (stopped.Count == slowAnswers)
                {
                    answers.Add(AnswerAsync(client, content, request));
                    return;
                }

                ITransportStream stream = await client.OpenAsync(StreamType.Internal, (Open(request), []));
                stopped.Add(RogueSecondary.Client.OutcomeAsync(stream));
                answers.Add(TrickleAsync(world, stream, content.Slice((long)request.Offset, (int)request.Length), Slow));
            });
            await Task.WhenAll(answers);
        });
        await deployment.StartPrimaryAsync(isOnlyServer ? null : content, async session =>
        {
            await session.AddPathAsync(rogue.Address);
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        RecoveryOptions recovery = action is { } only ? new() { Rules = [new(KwikError.Timeout, only)] } : new();
        await using (ClientSession session = await deployment.ConnectAsync(options => options with { Recovery = recovery }))
        {
            await using KwikStream stream = await session.AcceptStream();
            await check(world, session, stream, content, stopped);
        }

        await rogue.DisposeAsync();
        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    private static StreamFrame Open(RangeRequest request) =>
        StreamFrame.Open((long)request.KwikStreamId, (long)request.Offset, (long)request.RequestId);

    private static async Task AnswerAsync(RogueSecondary.Client client, MemoryContent content, RangeRequest request)
    {
        byte[] bytes = content.Slice((long)request.Offset, (int)request.Length);
        (StreamFrame, byte[])[] data = [.. bytes.Chunk(64 * 1024).Select(piece => (StreamFrame.Data(piece.Length), piece))];
        try
        {
            ITransportStream stream = await client.OpenAsync(
                StreamType.Internal, [(Open(request), []), .. data, (StreamFrame.Close((long)(request.Offset + request.Length)), [])]);
            stream.CompleteWrites();
        }
        catch (KwikException)
        {
            // The client has gone, or has had these bytes from somebody else.
        }
    }

    /// <summary>Sends a piece every half second, and the end, until the client stops the stream.</summary>
    private static async Task TrickleAsync(SimulatedWorld world, ITransportStream stream, byte[] content, int bytes)
    {
        try
        {
            foreach (byte[] piece in content.Chunk(bytes))
            {
                await stream.WriteAsync(RawPeer.Bytes((StreamFrame.Data(piece.Length), piece)));
                await world.Delay(Pause);
            }

            await stream.WriteAsync(RawPeer.Bytes((StreamFrame.Close(content.Length), [])), completeWrites: true);
        }
        catch (KwikException)
        {
            // It was stopped.
        }
    }

    private static List<FaultTreated> Treated(ClientSession session)
    {
        var treated = new List<FaultTreated>();
        while (session.Events.TryRead(out SessionEvent? happened))
        {
            treated.AddRange(happened is FaultTreated fault ? [fault] : []);
        }

        return treated;
    }
}
