using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>The end of a primary that has offered nothing, and its return.</summary>
public sealed class PrimaryFaultTests
{
    [Theory]
    [SimulationSeeds]
    public void PrimaryKilled_WithoutAnOffer_FailsEverythingInTime(int seed) =>
        Lose(seed, deployment => deployment.PrimaryHost.Kill(), KwikError.PrimaryLost);

    [Theory]
    [SimulationSeeds]
    public void PrimaryStoppedForGood_WithoutAnOffer_FailsEverythingInTime(int seed) =>
        Lose(seed, deployment => deployment.PrimaryHost.Freeze(), KwikError.PrimaryLost);

    [Theory]
    [SimulationSeeds]
    public void PrimaryRestarted_FailsTheSessionAndServesTheNext(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(3, 300_000, ContentHasher.MinLeafSize);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(content, EchoAsync);
        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.WriteAsync("before"u8.ToArray());
            Task<int> reading = stream.ReadAsync(new byte[100]).AsTask();
            Assert.Equal(6, await reading);
            reading = stream.ReadAsync(new byte[100]).AsTask();
            await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 3000)));
            deployment.PrimaryHost.Restart();
            await deployment.StartPrimaryAsync(content, EchoAsync);

            Assert.Equal(KwikError.PrimaryLost, (await Assert.ThrowsAnyAsync<KwikException>(() => reading)).Code);
            KwikException ended = await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed);
            Assert.Contains(ended.Code, new[] { KwikError.PrimaryLost, KwikError.Timeout, KwikError.PathLost });
        }

        await using (ClientSession next = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await next.OpenStreamSync();
            await stream.WriteAsync("after"u8.ToArray());
            stream.CompleteWrites();
            Assert.Equal("after"u8.ToArray(), await stream.ReadToEndAsync());
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    /// <summary>
    /// A read and a write that are pending, a stream that is pushed by a secondary, and waits for streams: all end with the same
    /// error, before a dead primary could be missed twice.
    /// </summary>
    private static void Lose(int seed, Action<SimulatedDeployment> lose, KwikError expected) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", null, async session =>
        {
            await using SecondaryStream pushed = await session.OpenStreamSync();
            pushed.SetKwikStreamMapping(1, 0);
            await pushed.WriteAsync(new byte[1000]);
            await session.Closed;
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream pushed = await session.OpenStreamSync();
            int path = await session.AddPathAsync(secondary);
            session.MapRange(pushed, path, 0, 2000);
            await using KwikStream silent = await session.AcceptStream();
            await session.Closed;
        });

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            KwikStream pushed = await session.AcceptStream();
            await pushed.FillAsync(new byte[1000]);
            KwikStream opened = await session.OpenStreamSync();
            Task[] pending =
            [
                pushed.ReadAsync(new byte[10]).AsTask(),
                opened.ReadAsync(new byte[10]).AsTask(),
                WriteAsync(opened),
                session.AcceptStream(),
                opened.GetOfferAsync(),
            ];
            await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 5000)));
            TimeSpan lost = world.Time.Elapsed;
            lose(deployment);
            foreach (Task wait in pending)
            {
                KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => wait);
                Assert.Equal(expected, e.Code);
            }

            // Three heartbeats of 3 s in a row, and the one that had just been answered.
            Assert.InRange((world.Time.Elapsed - lost).TotalSeconds, 0, 12.1);
            Assert.Equal(expected, (await Assert.ThrowsAnyAsync<KwikException>(() => session.OpenStreamSync())).Code);
            Assert.Equal(expected, (await Assert.ThrowsAnyAsync<KwikException>(() => session.AcceptStream())).Code);
            await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed);
            await pushed.DisposeAsync();
            await opened.DisposeAsync();
            Assert.Equal(0, session.PendingBytes);
        }

        if (deployment.PrimaryHost.IsFrozen)
        {
            deployment.PrimaryHost.Thaw();
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    private static async Task WriteAsync(KwikStream stream)
    {
        while (true)
        {
            await stream.WriteAsync(new byte[64 * 1024]);
        }
    }

    private static async Task EchoAsync(PrimarySession session)
    {
        while (true)
        {
            await using KwikStream stream = await session.AcceptStream();
            byte[] piece = new byte[100];
            while (await stream.ReadAsync(piece) is int read and > 0)
            {
                await stream.WriteAsync(piece.AsMemory(0, read));
            }

            stream.CompleteWrites();
        }
    }
}
