using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>A primary that takes servers out of a session again.</summary>
public sealed class RemovePathTests
{
    [Theory]
    [SimulationSeeds]
    public void Session_RemovedPath_LosesNoByteAndIsAskedNothingMore(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 8 * 1024 * 1024);
        MemoryContent[] replicas = [content.Replica(), content.Replica()];
        await using var deployment = new SimulatedDeployment(world);
        List<SecondaryServer> secondaries = await StartAsync(world, deployment, replicas);
        IReadOnlyList<PathInfo> atPrimary = [];
        long servedThen = 0;
        await deployment.StartPrimaryAsync(content, async session =>
        {
            int[] paths = [await session.AddPathAsync(secondaries[0]), await session.AddPathAsync(secondaries[1])];
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 150)));
            await session.RemovePathAsync(paths[0]);
            servedThen = replicas[0].BytesServed;
            atPrimary = session.GetAllPaths();
            await session.RemovePathAsync(paths[0]);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.True(content.Is(await stream.ReadToEndAsync()));
        Assert.Equal(PathState.Removed, (await session.Events.UntilAsync(1, PathState.Removed)).Path.State);
        Assert.Equal([0, 2], session.GetActivePaths().Select(path => path.Id));
        await stream.DisposeAsync();
        await session.DisposeAsync();
        await deployment.DisposeAsync();

        Assert.Equal([PathState.Active, PathState.Removed, PathState.Active], atPrimary.Select(path => path.State));
        Assert.Equal(servedThen, replicas[0].BytesServed);
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    });

    [Theory]
    [SimulationSeeds]
    public void Path_RemovedAtAnyMomentOfItsLife_AnswersBothCalls(int seed) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        List<SecondaryServer> secondaries = await StartAsync(world, deployment, [MemoryContent.Random(1, 10)]);
        bool added = false;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            Task<int> adding = session.AddPathAsync(secondaries[0]);
            await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 60)));
            if (seed % 2 == 0)
            {
                world.Host("secondary 1").Kill();
                await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 15_000)));
            }

            try
            {
                await session.RemovePathAsync(1);
            }
            catch (KwikException e) when (e.Code == KwikError.NotFound)
            {
                // It could not be added, and is forgotten.
                Assert.True(adding.IsFaulted);
            }

            try
            {
                await adding;
                added = true;
            }
            catch (KwikException e)
            {
                Assert.Contains(e.Code, new[] { KwikError.Cancelled, KwikError.PathLost, KwikError.Timeout });
            }

            Assert.DoesNotContain(session.GetAllPaths(), path => path.Id == 1 && path.State != PathState.Removed);
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;
        List<PathState> states = await session.Events.StatesAsync(1);

        Assert.Equal(PathState.Removed, states[^1]);
        Assert.Equal(added, states.Contains(PathState.Active));
    });

    [Fact]
    public void UnknownPath_Removed_FailsWithNotFound() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        var failed = new List<KwikError>();
        await deployment.StartPrimaryAsync(null, async session =>
        {
            foreach (int pathId in new[] { -1, 0, 1, int.MaxValue })
            {
                failed.Add((await Assert.ThrowsAnyAsync<KwikException>(() => session.RemovePathAsync(pathId))).Code);
            }
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;

        Assert.Equal(Enumerable.Repeat(KwikError.NotFound, 4), failed);
    });

    [Fact]
    public void LastSource_Removed_FailsTheStreamWithPathLost() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 8 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        List<SecondaryServer> secondaries = await StartAsync(world, deployment, [content.Replica()]);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int pathId = await session.AddPathAsync(secondaries[0]);
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await world.Delay(TimeSpan.FromMilliseconds(300));
            await session.RemovePathAsync(pathId);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadToEndAsync());
        Assert.Equal(KwikError.PathLost, e.Code);
    });

    [Fact]
    public void SecondaryBlackHoled_Removed_AnswersWithinTheCloseTime() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        List<SecondaryServer> secondaries = await StartAsync(world, deployment, [MemoryContent.Random(1, 10)]);
        TimeSpan took = TimeSpan.Zero;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int pathId = await session.AddPathAsync(secondaries[0]);
            world.SetLinks(world.Host("client"), world.Host("secondary 1"), link => link.BlackHole = true);
            TimeSpan asked = world.Time.Elapsed;
            await session.RemovePathAsync(pathId);
            took = world.Time.Elapsed - asked;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;

        Assert.InRange(took, TimeSpan.FromMilliseconds(1), SessionTimeouts.Close * 2);
    });

    private static async Task<List<SecondaryServer>> StartAsync(
        SimulatedWorld world, SimulatedDeployment deployment, MemoryContent[] replicas)
    {
        var secondaries = new List<SecondaryServer>();
        for (int i = 1; i <= replicas.Length; i++)
        {
            secondaries.Add(await deployment.StartSecondaryAsync($"secondary {i}", replicas[i - 1]));
            world.SetLinks(deployment.ClientHost, world.Host($"secondary {i}"), link => link.BitsPerSecond = 100_000_000);
        }

        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BitsPerSecond = 100_000_000);
        return secondaries;
    }
}
