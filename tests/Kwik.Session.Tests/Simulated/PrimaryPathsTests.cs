using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>What a primary knows of its client's paths.</summary>
public sealed class PrimaryPathsTests
{
    [Fact]
    public void Primary_AfterAddPath_SeesAddressRoundTripAndBytes() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 8 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", content.Replica());
        IReadOnlyList<PathInfo> atFirst = [];
        IReadOnlyList<PathInfo> atLast = [];
        await deployment.StartPrimaryAsync(content, async session =>
        {
            await session.AddPathAsync(secondary);
            atFirst = session.GetActivePaths();
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await world.Delay(TimeSpan.FromSeconds(10));
            atLast = session.GetAllPaths();
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.True(content.Is(await stream.ReadToEndAsync()));
        PathInfo here = session.GetAllPaths()[1];
        await session.Closed;

        Assert.Equal([0, 1], atFirst.Select(path => path.Id));
        Assert.Equal(ServerRole.Primary, atFirst[0].Role);
        Assert.Equal(new IPEndPoint(deployment.PrimaryHost.Address, SimulatedDeployment.Port), atFirst[0].EndPoint);
        Assert.Equal(new IPEndPoint(world.Host("secondary 1").Address, SimulatedDeployment.Port), atFirst[1].EndPoint);
        Assert.Equal(PathState.Active, atLast[1].State);
        Assert.Equal(here.BytesReceived, atLast[1].BytesReceived);
        Assert.InRange(atLast[1].RoundTrip!.Value.TotalMilliseconds, 9, 100);
        Assert.InRange((here.Since - atLast[1].Since).TotalMilliseconds, -20, 20);
        Assert.True(atLast[1].LastActivity > atLast[1].Since, "The heartbeats of the path were not told.");
    });

    [Theory]
    [SimulationSeeds]
    public void Primary_WhileASecondaryDiesAndComesBack_SeesEachStateInOrder(int seed) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", null);
        List<PathState> atPrimary = [];
        await deployment.StartPrimaryAsync(null, async session =>
        {
            Task<List<PathState>> reading = session.Events.StatesAsync(1);
            await session.AddPathAsync(secondary);
            atPrimary = await reading;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Events.UntilAsync(1, PathState.Active);
        var states = new List<PathState> { PathState.Active };
        world.Host("secondary 1").Kill();
        await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 20_000)));
        world.Host("secondary 1").Restart();
        await deployment.StartSecondaryAsync("secondary 1", null);
        await world.Delay(TimeSpan.FromSeconds(30));
        await session.DisposeAsync();
        states.AddRange(await session.Events.StatesAsync(1));
        await deployment.DisposeAsync();

        // When the session ends, each side is done with the path by itself.
        Assert.Equal(states[..^1], atPrimary[..^1]);
        Assert.Equal([PathState.Active, PathState.Removed], states[^2..]);
        Assert.Contains(PathState.Recovering, states);
    });

    [Fact]
    public void RefusedPath_AtThePrimary_IsForgotten() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer nobody = await deployment.StartSecondaryAsync("secondary 1", null);
        world.Host("secondary 1").Kill();
        IReadOnlyList<PathInfo> paths = [];
        KwikException? refused = null;
        SessionEvent? happened = null;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            Task<int> adding = session.AddPathAsync(nobody);
            Assert.Equal(PathState.Connecting, session.GetAllPaths()[1].State);
            refused = await Assert.ThrowsAnyAsync<KwikException>(() => adding);
            session.Events.TryRead(out happened);
            paths = session.GetAllPaths();
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;

        Assert.Equal(KwikError.PathLost, refused?.Code);
        Assert.Equal(PathState.Connecting, Assert.IsType<PathStateChanged>(happened).Before);
        Assert.Equal([0], paths.Select(path => path.Id));
    });
}
