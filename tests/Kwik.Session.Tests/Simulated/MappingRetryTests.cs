using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Pushed streams that arrive before their grant: the client waits, asks the primary, and lets them in, or not.</summary>
public sealed class MappingRetryTests
{
    private static readonly byte[] Content = PushScene.RandomBytes(1, 1000);

    [Theory]
    [SimulationSeeds]
    public void Push_BeforeItsGrant_GetsIn(int seed) => PushScene.Run(seed, secondaries: 1, async scene =>
    {
        ITransportStream pushed = await scene.BeginAsync(1, (0, Content));
        await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(0, 7400)));
        Assert.Equal([(0, 1000)], scene.Stream.Incoming.Missing(0, 1000));
        await scene.GrantAsync(1, 0, Content.Length);
        // As long as it waited nobody had to send.
        await scene.World.Delay(TimeSpan.FromSeconds(8));
        await pushed.WriteAsync(RawPeer.Bytes((StreamFrame.Close(1000), [])), completeWrites: true);
        scene.Written.CompleteWrites(Content.Length);

        (byte[] received, KwikException? fault) = await scene.ReadAsync();

        Assert.Null(fault);
        Assert.Equal(Content, received);
        Assert.Equal(KwikError.None, await PushScene.OutcomeAsync(pushed));
        Assert.Equal(0, scene.Path(1).Violations);
    });

    [Fact]
    public void Push_ThatIsNeverGranted_IsRefusedAndCounted() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        TimeSpan began = scene.World.Time.Elapsed;
        ITransportStream pushed = await scene.BeginAsync(1, (0, Content));

        Assert.Equal(KwikError.StreamMappingConflict, await PushScene.OutcomeAsync(pushed));
        // 0.5 s, 1 s, 2 s and 4 s.
        Assert.InRange(scene.World.Time.Elapsed - began, TimeSpan.FromSeconds(7.5), TimeSpan.FromSeconds(7.6));
        Assert.Equal(1, scene.Path(1).Violations);
        Assert.Contains(scene.Events().OfType<RuleBroken>(), broken => broken is { PathId: 1, Error: KwikError.StreamMappingConflict });
        await scene.Written.WriteAsync(Content);
        scene.Written.CompleteWrites();
        Assert.Equal(Content, (await scene.ReadAsync()).Received);
    });

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(8)]
    public void Push_ThatIsNeverGranted_IsAskedAboutAsOftenAsTheOptionsSay(int retries) => WithRawPrimary(
        retries,
        async (world, primary, session, secondary, stream) =>
        {
            Task<KwikError> pushed = await PushAsync(secondary, stream.Id);
            var questions = new List<StreamMappingUpdate>();
            Task receiving = ReceiveAsync(primary, questions);

            Assert.Equal(KwikError.StreamMappingConflict, await pushed);
            await world.Delay(TimeSpan.FromSeconds(1));
            Assert.Equal(retries, questions.Count);
            Assert.All(questions, question => Assert.Equal(
                (MappingOperation.MappingCreate, 1u, (ulong)stream.Id, 5UL, 0UL),
                (question.Operation, question.PathId, question.KwikStreamId, question.Offset, question.Length)));
            Assert.Equal(1, session.GetAllPaths().Single(path => path.Id == 1).Violations);
            await session.DisposeAsync();
            await receiving;
        });

    /// <summary>The primary says so only when it is asked, the first time or the last.</summary>
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Push_WhosePrimaryAnswersTheQuestion_GetsIn(int question) => WithRawPrimary(
        retries: 3,
        async (world, primary, session, secondary, stream) =>
        {
            Task<KwikError> pushed = await PushAsync(secondary, stream.Id);
            for (int i = 1; i <= question; i++)
            {
                StreamMappingUpdate asked = (await primary.UntilAsync(ControlFrame.BodyOneofCase.MappingUpdate)).MappingUpdate;
                // The whole range, which begins before the offset that was asked about.
                bool isGranted = i == question;
                await primary.SendAsync(new ControlFrame
                {
                    MappingUpdate = new StreamMappingUpdate
                    {
                        Operation = isGranted ? MappingOperation.MappingCreate : MappingOperation.MappingDelete,
                        PathId = asked.PathId,
                        KwikStreamId = asked.KwikStreamId,
                        Offset = isGranted ? 0 : asked.Offset,
                        Length = isGranted ? 1005u : 0,
                    },
                });
            }

            await world.Delay(TimeSpan.FromMilliseconds(50));
            Assert.False(pushed.IsCompleted);
            Assert.Equal([(0, 5)], stream.Incoming.Missing(0, 1005));
            Assert.Equal(0, session.GetAllPaths().Single(path => path.Id == 1).Violations);
        });

    [Fact]
    public void Push_ForAPublicStreamThatComesLater_GetsIn() => WithRawPrimary(
        retries: 3,
        async (world, primary, session, secondary, _) =>
        {
            // The second stream that the primary opens, and what it will grant there.
            const long next = 9;
            Task<KwikError> pushed = await PushAsync(secondary, next);
            await primary.SendAsync(new ControlFrame
            {
                MappingUpdate = new StreamMappingUpdate { PathId = 1, KwikStreamId = next, Offset = 5, Length = 1000 },
            });
            await world.Delay(TimeSpan.FromSeconds(3));
            await primary.OpenAsync(StreamType.Main, []);
            await using KwikStream stream = await session.AcceptStream();

            Assert.Equal(next, stream.Id);
            await world.Delay(TimeSpan.FromMilliseconds(50));
            Assert.False(pushed.IsCompleted);
            Assert.Equal([(0, 5)], stream.Incoming.Missing(0, 1005));
        });

    [Fact]
    public void Pushes_MoreThan16ThatWait_AreRefusedAtOnce() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        var waiting = new List<Task<KwikError>>();
        for (int i = 0; i < 16; i++)
        {
            waiting.Add(PushScene.OutcomeAsync(await scene.BeginAsync(1, (i, Content))));
        }

        await scene.SettleAsync();
        Assert.Equal(KwikError.SecondaryStreamOverflow, await PushScene.OutcomeAsync(await scene.BeginAsync(1, (16, Content))));
        Assert.All(waiting, outcome => Assert.False(outcome.IsCompleted));
        await scene.GrantAsync(1, 0, 2000);
        Assert.All(waiting, outcome => Assert.False(outcome.IsCompleted));
        Assert.Equal([(1015, 985)], scene.Stream.Incoming.Missing(0, 2000));
    });

    /// <summary>Begins to push 1,000 bytes from offset 5 on; says what the stream is stopped with.</summary>
    private static async Task<Task<KwikError>> PushAsync(RogueSecondary.Client secondary, long streamId) =>
        PushScene.OutcomeAsync(await secondary.OpenAsync(
            StreamType.Internal, (StreamFrame.Open(streamId, 5), []), (StreamFrame.Data(1000), Content)));

    /// <summary>Answers nothing but heartbeats, until the session ends.</summary>
    private static async Task ReceiveAsync(RawPeer primary, List<StreamMappingUpdate> questions)
    {
        while (true)
        {
            try
            {
                questions.Add((await primary.UntilAsync(ControlFrame.BodyOneofCase.MappingUpdate)).MappingUpdate);
            }
            catch (Exception e) when (e is KwikException or EndOfStreamException)
            {
                return;
            }
        }
    }

    /// <summary>A primary and a secondary at the level of the wire, and a client with one public stream.</summary>
    private static void WithRawPrimary(
        int retries, Func<SimulatedWorld, RawPeer, ClientSession, RogueSecondary.Client, KwikStream, Task> play) => Simulation.Run(1, async world =>
    {
        var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        var arrived = new TaskCompletionSource<RogueSecondary.Client>();
        RogueSecondary rogue = await RogueSecondary.StartAsync(world.Host("rogue"), client =>
        {
            arrived.SetResult(client);
            return client.ReceiveAsync();
        });
        ClientSession session = await deployment.ConnectAsync(options => options with { SecondaryStreams = new() { MappingRetries = retries } });
        RawPeer primary = await accepting;
        ControlFrame path = Corpus.AddPath(1, rogue.Address.Host, (uint)rogue.Address.Port);
        path.AddPath.Pins[0] = ByteString.CopyFrom(rogue.Address.Pins[0].Bytes);
        await primary.SendAsync(path);
        await primary.UntilAsync(ControlFrame.BodyOneofCase.PathAdded);
        await primary.OpenAsync(StreamType.Main, []);
        KwikStream stream = await session.AcceptStream();

        await play(world, primary, session, await arrived.Task, stream);

        await stream.DisposeAsync();
        await session.DisposeAsync();
        await primary.DisposeAsync();
        await rogue.DisposeAsync();
        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });
}
