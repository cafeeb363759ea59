using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Tokens live ten minutes; sessions may live longer.</summary>
public sealed class TokenRenewalTests
{
    [Theory]
    [InlineData(1, 4)]
    [InlineData(2, 9)]
    [InlineData(3, 11)]
    [InlineData(4, 50)]
    public void Secondary_LostLongAfterItsTokenWasMade_IsRecovered(int seed, int minutes) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(1, 100_000);
        MemoryContent replica = content.Replica();
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", replica);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await session.AddPathAsync(secondary);
            await session.AcceptStream();
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Events.UntilAsync(1, PathState.Active);
        await world.Delay(TimeSpan.FromMinutes(minutes));
        world.Host("secondary 1").Restart();
        await deployment.StartSecondaryAsync("secondary 1", replica);
        await session.Events.UntilAsync(1, PathState.Recovering);
        await session.Events.UntilAsync(1, PathState.Active);

        // And it serves, on the session that the new token admitted.
        await using KwikStream ready = await session.OpenStreamSync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.True(content.Is(await stream.ReadToEndAsync()));
        Assert.NotEqual(0, replica.BytesServed);
    });
}
