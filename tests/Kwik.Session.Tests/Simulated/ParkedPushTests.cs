using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Servers that are lost while the client holds back what they push.</summary>
public sealed class ParkedPushTests
{
    private const int Window = 64 * 1024;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void SecondaryKilled_WhileItsPushIsHeldBack_ComesBackWithinTwoSeconds(bool isKnown) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", null, session => PushAsync(session, isKnown ? 1 : 5));
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            session.MapRange(stream, await session.AddPathAsync(secondary), Window, 10 * Window);
            await stream.WriteAsync(new byte[1]);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync(
            options => options with { Aggregation = new AggregatorOptions { MaxPendingBytes = Window } });
        await using KwikStream stream = await session.AcceptStream();
        await world.Delay(TimeSpan.FromMilliseconds(500));
        Assert.Equal(1, session.GetSecondaryStreamStats(1).ActiveStreams);
        world.Host("secondary 1").Kill();
        await session.Events.UntilAsync(1, PathState.Dead);
        world.Host("secondary 1").Restart();
        await deployment.StartSecondaryAsync("secondary 1", null);
        TimeSpan restarted = world.Time.Elapsed;
        await session.Events.UntilAsync(1, PathState.Active);
        Assert.InRange(world.Time.Elapsed - restarted, TimeSpan.Zero, TimeSpan.FromSeconds(2));
    });

    private static async Task PushAsync(SecondarySession session, long streamId)
    {
        await using SecondaryStream stream = await session.OpenStreamSync();
        stream.SetKwikStreamMapping(streamId, 2 * Window);
        await stream.WriteAsync(new byte[Window]);
        await session.Closed;
    }
}
