using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Servers that write, unasked, at offsets that the primary granted to them.</summary>
public class PushedStreamTests
{
    // The first stream that a primary opens.
    private const long StreamId = 1;

    [Theory]
    [SimulationSeeds]
    public void PrimaryAndTwoSecondaries_OneStreamAtOnce_ArrivesWhole(int seed) => Simulation.Run(seed, async world =>
    {
        byte[] content = Bytes(seed, 900_000);
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer[] secondaries =
        [
            await deployment.StartSecondaryAsync("secondary 1", null, session => PushAsync(session, content, 300_000, 600_000)),
            await deployment.StartSecondaryAsync("secondary 2", null, session => PushAsync(session, content, 600_000, 900_000)),
        ];
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            session.MapRange(stream, await session.AddPathAsync(secondaries[0]), 300_000, 300_000);
            session.MapRange(stream, await session.AddPathAsync(secondaries[1]), 600_000, 300_000);
            await stream.WriteAsync(content.AsMemory(0, 300_000));
            stream.CompleteWrites(content.Length);
            await session.Closed;
        });

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream();
            Assert.Equal(content, await stream.ReadToEndAsync());
            Assert.Equal([300_000, 300_000], session.GetAllPaths().Skip(1).Select(path => path.BytesReceived));
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    [Theory]
    [SimulationSeeds]
    public void Primary_WritesAtPositionsInAnyOrder_ArrivesWhole(int seed) => Simulation.Run(seed, async world =>
    {
        byte[] content = Bytes(seed, 400_000);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            int[] starts = [300_000, 0, 100_000, 200_000];
            foreach (int start in starts)
            {
                await stream.WriteAtAsync(start, content.AsMemory(start, 100_000));
            }

            stream.CompleteWrites();
            await session.Closed;
        });

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream();
            Assert.Equal(content, await stream.ReadToEndAsync());
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    [Theory]
    [SimulationSeeds]
    public void SecondaryKilled_WhilePushing_ThePrimaryLearnsWhatIsLostAndFillsIt(int seed) => Simulation.Run(seed, async world =>
    {
        byte[] content = Bytes(seed, 2_000_000);
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync(
            "secondary 1", null, session => PushAsync(session, content, 0, content.Length));
        world.SetLinks(deployment.ClientHost, world.Host("secondary 1"), link => link.BitsPerSecond = 20_000_000);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            session.MapRange(stream, await session.AddPathAsync(secondary), 0, content.Length);
            stream.CompleteWrites(content.Length);
            await FillLostAsync(session, stream, content);
        });

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream();
            var received = new byte[content.Length];
            await stream.FillAsync(received.AsMemory(0, 300_000));
            world.Host("secondary 1").Kill();
            await stream.FillAsync(received.AsMemory(300_000));
            Assert.Equal(content, received);
            Assert.Equal(0, await stream.ReadAsync(new byte[1]));
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    /// <summary>
    /// The hole at the reader is all that the client asks about; the grant that ends with it has another one behind.
    /// </summary>
    [Fact]
    public void SecondaryThatStops_WithTwoHolesInItsRange_BothAreNamedAsLost() => Simulation.Run(1, async world =>
    {
        byte[] content = Bytes(1, 3000);
        var lost = new List<(long, long)>();
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", null, async session =>
        {
            await using SecondaryStream stream = await session.OpenStreamSync();
            stream.SetKwikStreamMapping(StreamId, 1000);
            await stream.WriteAsync(content.AsMemory(1000, 1000));
            await stream.CompleteAsync();
            await session.Closed;
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            session.MapRange(stream, await session.AddPathAsync(secondary), 0, content.Length);
            stream.CompleteWrites(content.Length);
            while (lost.Count < 2)
            {
                RangeLost range = await NextLostAsync(session);
                lost.Add((range.Offset, range.Length));
                Assert.Equal(1, range.PathId);
                await stream.WriteAtAsync(range.Offset, content.AsMemory((int)range.Offset, (int)range.Length));
            }

            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.Equal(content, await stream.ReadToEndAsync());
        Assert.Equal([(0, 1000), (2000, 1000)], lost);
    });

    private static byte[] Bytes(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static async Task PushAsync(SecondarySession session, byte[] content, int start, int end)
    {
        await using SecondaryStream stream = await session.OpenStreamSync();
        stream.SetKwikStreamMapping(StreamId, start);
        await stream.WriteAsync(content.AsMemory(start, end - start));
        await stream.CompleteAsync();
        await session.Closed;
    }

    /// <summary>What an application does that can write everything itself.</summary>
    private static async Task FillLostAsync(PrimarySession session, KwikStream stream, byte[] content)
    {
        RangeLost lost = await NextLostAsync(session);
        await stream.WriteAtAsync(lost.Offset, content.AsMemory((int)lost.Offset, (int)lost.Length));
        await session.Closed;
    }

    private static async Task<RangeLost> NextLostAsync(PrimarySession session)
    {
        while (true)
        {
            // Between them: paths that come and go.
            if (await session.Events.ReadAsync() is RangeLost lost)
            {
                return lost;
            }
        }
    }
}
