using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Servers that are far away are not taken for dead ones.</summary>
public class LongRoundTripTests
{
    [Theory]
    [InlineData(300)]
    [InlineData(750)]
    [InlineData(1250)]
    public void Servers_FarAway_StayActive(int milliseconds) => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 3 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", content.Replica());
        foreach (SimulatedHost server in new[] { deployment.PrimaryHost, world.Host("secondary 1") })
        {
            world.SetLinks(deployment.ClientHost, server, link => link.Latency = TimeSpan.FromMilliseconds(milliseconds));
        }

        await deployment.StartPrimaryAsync(content, async session =>
        {
            await session.AddPathAsync(secondary);
            // Idle first: what comes then makes the paths busy.
            await world.Delay(TimeSpan.FromSeconds(30));
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.True(content.Is(await stream.ReadToEndAsync()));
        Assert.All(session.GetAllPaths(), path => Assert.InRange(
            path.RoundTrip!.Value.TotalMilliseconds, 2 * milliseconds, (2 * milliseconds) + 1000));
        var states = new List<PathState>();
        while (session.Events.TryRead(out SessionEvent? news))
        {
            states.AddRange(news is PathStateChanged changed ? [changed.Path.State] : []);
        }

        Assert.Equal([PathState.Active], states);
    });
}
