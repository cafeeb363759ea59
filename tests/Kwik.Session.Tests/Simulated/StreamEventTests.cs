using System.Threading.Channels;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>What the two ends of a public stream are told of those who fill it.</summary>
public sealed class StreamEventTests
{
    private const int Size = 3000;
    private const string Name = "secondary 1";
    private static readonly byte[] Content = PushScene.RandomBytes(1, Size);

    [Fact]
    public void OfferedStream_WhoseServerIsKilledAndComesBack_TellsOfItAtBothEnds() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 8 * 1024 * 1024);
        MemoryContent replica = content.Replica();
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, replica);
        world.SetLinks(deployment.ClientHost, world.Host(Name), link => link.BitsPerSecond = 20_000_000);
        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BitsPerSecond = 3_000_000);
        Task<List<StreamEvent>>? told = null;
        await deployment.StartPrimaryAsync(content, async session =>
        {
            await session.AddPathAsync(secondary);
            await using KwikStream offered = await session.OpenStreamSync();
            await using KwikStream other = await session.OpenStreamSync();
            await offered.OfferContentAsync(content.Offer);
            told = AllAsync(offered.Events);
            await session.Closed;
            Assert.Empty(await AllAsync(other.Events));
        });

        await using ClientSession session = await deployment.ConnectAsync();
        KwikStream[] accepted = [await session.AcceptStream(), await session.AcceptStream()];
        (KwikStream stream, KwikStream unconcerned) = (accepted.MinBy(stream => stream.Id)!, accepted.MaxBy(stream => stream.Id)!);
        Task<byte[]> reading = stream.ReadToEndAsync();
        await world.Delay(TimeSpan.FromMilliseconds(300));
        world.Host(Name).Kill();
        await session.Events.UntilAsync(1, PathState.Dead);
        world.Host(Name).Restart();
        await deployment.StartSecondaryAsync(Name, replica);
        await session.Events.UntilAsync(1, PathState.Active);
        Assert.True(content.Is(await reading));

        await stream.DisposeAsync();
        await unconcerned.DisposeAsync();
        List<StreamEvent> events = await AllAsync(stream.Events);
        Assert.Single(events.OfType<PathLost>(), new PathLost(1, KwikError.Timeout));
        Assert.Single(events.OfType<PathBack>(), new PathBack(1));
        Assert.True(events.FindIndex(e => e is PathLost) < events.FindIndex(e => e is PathBack));
        Assert.All(events.OfType<PieceFetchedAgain>(), again => Assert.Equal((1, KwikError.Timeout), (again.PathId, again.Error)));
        Assert.NotEmpty(events.OfType<PieceFetchedAgain>());
        Assert.Empty(await AllAsync(unconcerned.Events));
        await session.DisposeAsync();
        await deployment.DisposeAsync();
        Assert.Equal([new PathLost(1, KwikError.PathLost), new PathBack(1)], await told!);
    });

    [Fact]
    public void PushedStream_WhoseServerIsSilent_TellsOfThePathAndThePieceAtBothEnds() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, Size);
        scene.Written.CompleteWrites(Size);
        await scene.BeginAsync(1, (0, Content[..1000]));
        await scene.SettleAsync();
        await LosePathAsync(scene);

        List<StreamEvent> told = Taken(scene.Stream);
        Assert.Equal(2, told.Count);
        Assert.Contains(new PathLost(1, KwikError.Timeout), told);
        Assert.Contains(new PieceLost(1000, Size - 1000, 1, KwikError.Timeout), told);
        Assert.Contains(new PieceLost(1000, Size - 1000, 1, KwikError.Timeout), Taken(scene.Written));
        await scene.Written.WriteAtAsync(1000, Content.AsMemory(1000));
        Assert.Equal(Content, (await scene.ReadAsync()).Received);
    });

    [Fact]
    public void PushedStream_WhoseServerBreaksTheRules_TellsThatItIsIsolated() => PushScene.Run(
        1,
        secondaries: 1,
        async scene =>
        {
            await scene.GrantAsync(1, 0, Size);
            scene.Written.CompleteWrites(Size);
            ITransportStream pushed = await scene.BeginAsync(1, (0, Content[..1000]));
            await pushed.WriteAsync(RawPeer.Bytes((StreamFrame.Data(500, checksum: 1), Content[1000..1500])));
            await scene.SettleAsync();

            SourceIsolated isolated = Assert.Single(Taken(scene.Stream).OfType<SourceIsolated>());
            Assert.Equal((1, KwikError.Checksum), (isolated.PathId, isolated.Error));
            Assert.Contains(Taken(scene.Written), happened => happened is PieceLost { PathId: 1, Offset: 1000 });
            await scene.Written.WriteAtAsync(1000, Content.AsMemory(1000));
            Assert.Equal(Content, (await scene.ReadAsync()).Received);
        },
        options => options with { Recovery = options.Recovery with { Rules = [new(KwikError.Checksum, RecoveryAction.IsolateSource)] } });

    [Fact]
    public void StreamThatTheClientOpened_WhoseServerIsSilent_TellsOfIt() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await using KwikStream opened = await scene.Session.OpenStreamSync();
        KwikStream accepted = await scene.Primary.AcceptStream();
        scene.Primary.MapRange(accepted, 1, 0, Size);
        await scene.SettleAsync();
        await LosePathAsync(scene);

        Assert.Equal(new PathLost(1, KwikError.Timeout), Taken(opened)[0]);
        Assert.Empty(Taken(scene.Stream));
        await accepted.DisposeAsync();
    });

    [Fact]
    public void PathRemovedOnPurpose_IsNoLossToAnyStream() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, Size);
        await scene.PushAsync(1, (0, Content));
        scene.Written.CompleteWrites(Size);
        Assert.Equal(Content, (await scene.ReadAsync()).Received);
        await scene.Primary.RemovePathAsync(1);

        Assert.Empty(Taken(scene.Stream));
        Assert.Empty(Taken(scene.Written));
    });

    private static async Task LosePathAsync(PushScene scene)
    {
        scene.World.Host(Name).Freeze();
        await scene.Session.Events.UntilAsync(1, PathState.Dead);
        await scene.SettleAsync();
        scene.World.Host(Name).Thaw();
    }

    private static List<StreamEvent> Taken(KwikStream stream)
    {
        var taken = new List<StreamEvent>();
        while (stream.Events.TryRead(out StreamEvent? happened))
        {
            taken.Add(happened);
        }

        return taken;
    }

    /// <summary>Reads until the stream is closed.</summary>
    private static async Task<List<StreamEvent>> AllAsync(ChannelReader<StreamEvent> events)
    {
        var all = new List<StreamEvent>();
        while (await events.WaitToReadAsync())
        {
            while (events.TryRead(out StreamEvent? happened))
            {
                all.Add(happened);
            }
        }

        return all;
    }
}
