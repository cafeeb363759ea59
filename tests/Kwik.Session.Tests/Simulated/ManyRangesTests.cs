using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>More ranges than the control frames that a peer may send in a second.</summary>
public class ManyRangesTests
{
    [Fact]
    public void Ranges_GrantedAtOnceAndLostAtOnce_AreAllTold() => Simulation.Run(1, async world =>
    {
        // As many events as are kept, less those of the paths themselves.
        const int ranges = 1000;
        var lost = new List<RangeLost>();
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer[] secondaries =
        [
            await deployment.StartSecondaryAsync("secondary 1", null),
            await deployment.StartSecondaryAsync("secondary 2", null),
        ];
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            int[] paths = [await session.AddPathAsync(secondaries[0]), await session.AddPathAsync(secondaries[1])];
            for (int i = 0; i < 2 * ranges; i++)
            {
                // With gaps, so that no two of them are told as one.
                session.MapRange(stream, paths[i % 2], 3 * i, 1);
            }

            foreach (int path in paths)
            {
                await session.RemovePathAsync(path);
                while (session.Events.TryRead(out SessionEvent? news))
                {
                    lost.AddRange(news is RangeLost range ? [range] : []);
                }
            }

            stream.CompleteWrites(0);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.Equal(0, await stream.ReadAsync(new byte[1]));
        Assert.Equal(
            Enumerable.Range(0, 2 * ranges).Select(i => (i % 2 + 1, 3L * i, 1L)).Order(),
            lost.Select(range => (range.PathId, range.Offset, range.Length)).Order());
        Assert.Equal(0, session.GetAllPaths()[0].Violations);
    });

    [Fact]
    public void Ranges_ThatTouch_AreLostAsOne() => Simulation.Run(1, async world =>
    {
        RangeLost? lost = null;
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", null);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            int path = await session.AddPathAsync(secondary);
            for (int i = 0; i < 1024; i++)
            {
                session.MapRange(stream, path, 10 * i, 10);
            }

            await session.RemovePathAsync(path);
            while (lost is null)
            {
                lost = await session.Events.ReadAsync() as RangeLost;
            }

            // All of them have ended.
            session.MapRange(stream, path, 0, 10_240);
            stream.CompleteWrites(0);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.Equal(0, await stream.ReadAsync(new byte[1]));
        Assert.Equal((0L, 10_240L), (lost!.Offset, lost.Length));
    });

    [Fact]
    public void Ranges_GrantedForStreamsThatTheClientClosed_AreForgottenByBoth() => Simulation.Run(1, async world =>
    {
        // More than the control frames that either side takes at once.
        const int ranges = 2000;
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", null);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int path = await session.AddPathAsync(secondary);
            for (int round = 0; round < 5; round++)
            {
                KwikStream[] streams = [await session.OpenStreamSync(), await session.OpenStreamSync()];
                await world.Delay(TimeSpan.FromSeconds(2));
                for (int i = 0; i < ranges; i++)
                {
                    session.MapRange(streams[i % 2], path, i, 1);
                }

                await world.Delay(TimeSpan.FromSeconds(2));
                // Free again: the primary has forgotten that it had given them.
                session.MapRange(streams[0], path, 0, ranges);
                await streams[0].DisposeAsync();
                await streams[1].DisposeAsync();
            }

            KwikStream last = await session.OpenStreamSync();
            await last.WriteAsync(new byte[10]);
            last.CompleteWrites();
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        for (int i = 0; i < 10; i++)
        {
            await (await session.AcceptStream()).DisposeAsync();
        }

        await using KwikStream last = await session.AcceptStream();
        Assert.Equal(10, (await last.ReadToEndAsync()).Length);
        Assert.Equal(0, session.GetAllPaths()[0].Violations);
    });
}
