using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Secondary servers that are lost, and that come back or do not.</summary>
public sealed class PathRecoveryTests
{
    private const string Name = "secondary 1";

    [Theory]
    [SimulationSeeds]
    public void Secondary_KilledAndRestarted_IsUsedAgainWithinTwoSeconds(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 8 * 1024 * 1024);
        MemoryContent replica = content.Replica();
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(world, deployment, content, replica);

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Task<byte[]> reading = stream.ReadToEndAsync();
        await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(50, 400)));
        world.Host(Name).Kill();
        await session.Events.UntilAsync(1, PathState.Dead);
        Assert.Equal([1], session.GetDeadPaths().Select(path => path.Id));
        long before = session.GetAllPaths()[1].BytesReceived;
        await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 5000)));
        world.Host(Name).Restart();
        await deployment.StartSecondaryAsync(Name, replica);
        TimeSpan restarted = world.Time.Elapsed;
        PathStateChanged back = await session.Events.UntilAsync(1, PathState.Active);

        Assert.Equal(PathState.Recovering, back.Before);
        Assert.InRange(world.Time.Elapsed - restarted, TimeSpan.Zero, TimeSpan.FromSeconds(2));
        Assert.True(content.Is(await reading));
        PathInfo path = session.GetAllPaths()[1];
        Assert.True(path.BytesReceived > before, "Nothing was asked of the server that came back.");
        Assert.Equal(2, session.GetAllPaths().Count);
        await stream.DisposeAsync();
        await session.DisposeAsync();
        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    });

    [Theory]
    [SimulationSeeds]
    public void Secondary_FlappingTwentyTimes_LosesNoByte(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 8 * 1024 * 1024);
        MemoryContent replica = content.Replica();
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(world, deployment, content, replica);

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Task<byte[]> reading = stream.ReadToEndAsync();
        for (int i = 0; i < 20; i++)
        {
            await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 3000)));
            world.Host(Name).Restart();
            await deployment.StartSecondaryAsync(Name, replica);
        }

        Assert.True(content.Is(await reading));
        await session.Events.UntilAsync(1, PathState.Recovering);
        await stream.DisposeAsync();
        await session.DisposeAsync();
        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    });

    [Fact]
    public void Secondary_ThatNeverComesBack_IsRemovedAfterTheRecoveryTime() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null);
        SecondaryServer other = await deployment.StartSecondaryAsync("secondary 2", null);
        KwikException? full = null;
        var added = new TaskCompletionSource<int>();
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await session.AddPathAsync(secondary);
            await session.Events.UntilAsync(1, PathState.Recovering);
            full = await Assert.ThrowsAnyAsync<KwikException>(() => session.AddPathAsync(other));
            await session.Events.UntilAsync(1, PathState.Removed);
            Assert.Empty(session.GetDeadPaths());
            added.SetResult(await session.AddPathAsync(other));
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            MaxPaths = 2,
            PathRecoveryTime = TimeSpan.FromSeconds(20),
        });
        await session.Events.UntilAsync(1, PathState.Active);
        world.Host(Name).Kill();
        await session.Events.UntilAsync(1, PathState.Dead);
        TimeSpan lost = world.Time.Elapsed;
        await session.Events.UntilAsync(1, PathState.Removed);

        Assert.InRange((world.Time.Elapsed - lost).TotalSeconds, 18, 21);
        await session.Events.UntilAsync(3, PathState.Active);
        Assert.Equal([PathState.Active, PathState.Removed, PathState.Active], session.GetAllPaths().Select(path => path.State));
        Assert.Equal(3, await added.Task);
        await session.DisposeAsync();
        await deployment.DisposeAsync();
        Assert.Equal(KwikError.LimitExceeded, full?.Code);
    });

    [Fact]
    public void NoRecoveryTime_SecondaryLost_IsRemovedAtOnce() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await session.AddPathAsync(secondary);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync(options => options with { PathRecoveryTime = TimeSpan.Zero });
        await session.Events.UntilAsync(1, PathState.Active);
        world.Host(Name).Kill();

        Assert.Equal(PathState.Degraded, (await session.Events.UntilAsync(1, PathState.Removed)).Before);
    });

    [Fact]
    public void Secondary_ThatNoLongerAdmitsTheClient_IsRemovedAtOnce() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await using var others = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await session.AddPathAsync(secondary);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Events.UntilAsync(1, PathState.Active);
        // The same server comes back, and trusts another primary.
        world.Host(Name).Restart();
        await others.StartSecondaryAsync(Name, null);
        await session.Events.UntilAsync(1, PathState.Dead);
        TimeSpan lost = world.Time.Elapsed;

        Assert.Equal(PathState.Recovering, (await session.Events.UntilAsync(1, PathState.Removed)).Before);
        Assert.InRange(world.Time.Elapsed - lost, TimeSpan.Zero, TimeSpan.FromSeconds(1));
    });

    [Theory]
    [SimulationSeeds]
    public void Secondary_StoppedForASecondWhileBusy_IsDegradedAndThenActive(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 4 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(world, deployment, content, content.Replica());

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Task<byte[]> reading = stream.ReadToEndAsync();
        await session.Events.UntilAsync(1, PathState.Active);
        await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(10, 100)));
        world.Host(Name).Freeze();
        await session.Events.UntilAsync(1, PathState.Degraded);
        Assert.Contains(session.GetActivePaths(), path => path.Id == 1);
        world.Host(Name).Thaw();
        PathStateChanged back = await session.Events.UntilAsync(1, PathState.Active);

        Assert.Equal(PathState.Degraded, back.Before);
        Assert.True(content.Is(await reading));
    });

    private static async Task StartAsync(SimulatedWorld world, SimulatedDeployment deployment, MemoryContent content, MemoryContent replica)
    {
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, replica);
        // The primary alone needs 20 s for 8 MiB: time for its secondary to come back.
        world.SetLinks(deployment.ClientHost, world.Host(Name), link => link.BitsPerSecond = 20_000_000);
        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BitsPerSecond = 3_000_000);
        await deployment.StartPrimaryAsync(content, async session =>
        {
            await session.AddPathAsync(secondary);
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });
    }
}
