using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>A path that is removed while its server pushes.</summary>
public class RemovePushedPathTests
{
    private const long StreamId = 1;

    [Theory]
    [SimulationSeeds]
    public void Stream_ThatIsOnItsWay_IsFinishedFirst(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 2_000_000);
        var lost = new List<RangeLost>();
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", null, async session =>
        {
            await using SecondaryStream stream = await session.OpenStreamSync();
            stream.SetKwikStreamMapping(StreamId, 0);
            await stream.WriteAsync(content.Slice(0, 2_000_000));
            await stream.CompleteAsync();
            await session.Closed;
        });
        world.SetLinks(deployment.ClientHost, world.Host("secondary 1"), link => link.BitsPerSecond = 10_000_000);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await MapAndRemoveAsync(world, session, secondary, 2_000_000, lost);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.True(content.Is(await stream.ReadToEndAsync()));
        Assert.Empty(lost);
    });

    [Fact]
    public void Stream_ThatNeverEnds_HoldsUpTheRemovalForALimitedTime() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 3000);
        var lost = new List<RangeLost>();
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", null, async session =>
        {
            await using SecondaryStream stream = await session.OpenStreamSync();
            stream.SetKwikStreamMapping(StreamId, 0);
            await stream.WriteAsync(content.Slice(0, 1000));
            await session.Closed;
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await MapAndRemoveAsync(world, session, secondary, 3000, lost);
            RangeLost range = Assert.Single(lost);
            Assert.Equal((1000, 2000, 1), (range.Offset, range.Length, range.PathId));
            await stream.WriteAtAsync(1000, content.Slice(1000, 2000));
            await session.Closed;
        });

        // The reader's wait is not to end it before.
        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Recovery = new() { ReorderTimeout = TimeSpan.FromSeconds(20) },
        });
        await using KwikStream stream = await session.AcceptStream();
        Assert.True(content.Is(await stream.ReadToEndAsync()));
        Assert.InRange(session.GetAllPaths()[1].Since - session.GetAllPaths()[0].Since, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(6));
    });

    private static async Task<KwikStream> MapAndRemoveAsync(
        SimulatedWorld world, PrimarySession session, SecondaryServer secondary, long length, List<RangeLost> lost)
    {
        KwikStream stream = await session.OpenStreamSync();
        int path = await session.AddPathAsync(secondary);
        session.MapRange(stream, path, 0, length);
        stream.CompleteWrites(length);
        await world.Delay(TimeSpan.FromMilliseconds(200));
        await session.RemovePathAsync(path);
        while (session.Events.TryRead(out SessionEvent? news))
        {
            lost.AddRange(news is RangeLost range ? [range] : []);
        }

        return stream;
    }
}
