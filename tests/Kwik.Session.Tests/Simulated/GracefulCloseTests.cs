using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Secondaries that close their session behind the last byte that they pushed.</summary>
public sealed class GracefulCloseTests
{
    private const int Size = 600_000;

    /// <summary>However slow the links and the reader are, within the time that a close may take.</summary>
    [Theory]
    [SimulationSeeds]
    public void Secondaries_ClosedBehindTheirLastByte_LoseNone(int seed) => Simulation.Run(seed, async world =>
    {
        byte[] content = PushScene.RandomBytes(seed, Size);
        var lost = new List<RangeLost>();
        await using var deployment = new SimulatedDeployment(world);
        var secondaries = new List<SecondaryServer>();
        foreach (int half in new[] { 0, 1 })
        {
            secondaries.Add(await deployment.StartSecondaryAsync($"secondary {half}", null, async session =>
            {
                await using SecondaryStream stream = await session.OpenStreamSync();
                stream.SetKwikStreamMapping(1, half * Size / 2);
                await stream.WriteAsync(content.AsMemory(half * Size / 2, Size / 2));
                await stream.CompleteAsync();
                await stream.DisposeAsync();
                await session.CloseAsync(KwikError.None, "All is sent.");
            }));
            world.SetLinks(deployment.ClientHost, world.Host($"secondary {half}"), link =>
            {
                link.BitsPerSecond = world.Random.Next(5, 100) * 1_000_000;
                link.Latency = TimeSpan.FromMilliseconds(world.Random.Next(1, 50));
            });
        }

        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            for (int half = 0; half < 2; half++)
            {
                session.MapRange(stream, await session.AddPathAsync(secondaries[half]), half * Size / 2, Size / 2);
            }

            stream.CompleteWrites(Size);
            await session.Closed;
            while (session.Events.TryRead(out SessionEvent? happened))
            {
                lost.AddRange(happened is RangeLost range ? [range] : []);
            }
        });

        await using (ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Aggregation = new() { MaxPendingBytes = 64 * 1024 },
        }))
        {
            await using KwikStream stream = await session.AcceptStream();
            var received = new byte[Size];
            for (int at = 0; at < Size; at += 30_000)
            {
                await stream.FillAsync(received.AsMemory(at, 30_000));
                await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 100)));
            }

            Assert.Equal(content, received);
            Assert.Equal(0, await stream.ReadAsync(new byte[1]));
        }

        await deployment.DisposeAsync();
        Assert.Empty(lost);
        Assert.Equal(0, deployment.Pool.Outstanding);
    });
}
