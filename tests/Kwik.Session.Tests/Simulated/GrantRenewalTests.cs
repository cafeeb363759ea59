using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Grants live ten minutes; the reading of what was offered may take longer.</summary>
public sealed class GrantRenewalTests
{
    private const int LeafSize = 64 * 1024;
    private const int Window = 512 * 1024;
    private static readonly MemoryContent Content = MemoryContent.Random(21, (48 * LeafSize) + 99, LeafSize);

    /// <summary>With a primary that has nothing, and with one that serves too; the secondaries' clocks are as wrong as they may be.</summary>
    [Theory]
    [SimulationSeeds]
    public void Reader_ThatPausesForElevenMinutes_IsServedByBothSecondaries(int seed) => Run(seed, async scene =>
    {
        await scene.ReadAsync(Content.Offer.Length / 4);
        await scene.World.Delay(TimeSpan.FromMinutes(11));
        long[] before = scene.Served();
        await scene.ReadAsync(Content.Offer.Length);

        scene.AssertComplete();
        Assert.All(scene.Served().Zip(before), served => Assert.True(served.First > served.Second, "A secondary was not asked any more."));
    });

    /// <summary>Renewals come while ranges are under way; at the end the reader takes what he can get, from everybody.</summary>
    [Theory]
    [SimulationSeeds]
    public void Transfer_OfHalfAnHour_IsServedByBothSecondariesToItsEnd(int seed) => Run(seed, async scene =>
    {
        while (scene.World.Time.Elapsed < TimeSpan.FromMinutes(32))
        {
            await scene.ReadAsync(scene.Count + 16_000);
            await scene.World.Delay(TimeSpan.FromSeconds(scene.World.Random.Next(15, 25)));
        }

        Assert.InRange(scene.Count, 1_000_000, Content.Offer.Length * 3 / 4);
        long[] before = scene.Served();
        await scene.ReadAsync(Content.Offer.Length);

        scene.AssertComplete();
        Assert.All(scene.Served().Zip(before), served => Assert.True(served.First > served.Second, "A secondary was not asked any more."));
    });

    /// <summary>The grant outlives the primary that signed it, for as long as it says.</summary>
    [Theory]
    [InlineData(1, 4, 9)]
    [InlineData(2, 6, 14)]
    [InlineData(3, 16, 24)]
    public void Primary_LostBeforeTheGrantEnds_TheRestIsReadUnderIt(int seed, int lostAfter, int readAfter) => Run(seed, async scene =>
    {
        await scene.ReadAsync(Content.Offer.Length / 4);
        await scene.World.Delay(TimeSpan.FromMinutes(lostAfter));
        scene.Deployment.PrimaryHost.Kill();
        await scene.World.Delay(TimeSpan.FromMinutes(readAfter - lostAfter));
        await scene.ReadAsync(Content.Offer.Length);

        scene.AssertComplete();
    });

    [Theory]
    [InlineData(1, 4, 11)]
    [InlineData(2, 6, 17)]
    [InlineData(4, 16, 30)]
    public void Primary_LostBeforeTheGrantEnds_NobodyRenewsItAndTheStreamFailsWithPrimaryLost(int seed, int lostAfter, int readAfter) => Run(
        seed,
        async scene =>
        {
            await scene.ReadAsync(Content.Offer.Length / 4);
            await scene.World.Delay(TimeSpan.FromMinutes(lostAfter));
            scene.Deployment.PrimaryHost.Kill();
            await scene.World.Delay(TimeSpan.FromMinutes(readAfter - lostAfter));
            TimeSpan asked = scene.World.Time.Elapsed;
            KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => scene.ReadAsync(Content.Offer.Length));

            Assert.Equal(KwikError.PrimaryLost, e.Code);
            Assert.Contains("grant", e.Message, StringComparison.Ordinal);
            Assert.InRange((scene.World.Time.Elapsed - asked).TotalSeconds, 0, 5);
            await scene.Stream.DisposeAsync();
            await Assert.ThrowsAnyAsync<KwikException>(() => scene.Session.Closed);
        });

    private static void Run(int seed, Func<Scene, Task> play) => Simulation.Run(seed, async world =>
    {
        MemoryContent[] replicas = [Content.Replica(), Content.Replica()];
        await using var deployment = new SimulatedDeployment(world);
        List<SecondaryServer> secondaries = [];
        for (int i = 0; i < replicas.Length; i++)
        {
            SimulatedHost host = world.Host($"secondary {i + 1}");
            host.Time.WallClockOffset = TimeSpan.FromSeconds(i == 0 ? 29 : -29);
            world.SetLinks(deployment.ClientHost, host, link => link.BitsPerSecond = 20_000_000);
            secondaries.Add(await deployment.StartSecondaryAsync(host.Name, replicas[i]));
        }

        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BitsPerSecond = 20_000_000);
        await deployment.StartPrimaryAsync(seed % 2 == 0 ? Content.Replica() : null, async session =>
        {
            foreach (SecondaryServer secondary in secondaries)
            {
                await session.AddPathAsync(secondary);
            }

            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(Content.Offer);
            await session.Closed;
        });

        await using (ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Aggregation = new AggregatorOptions { MaxPendingBytes = Window },
        }))
        {
            await using KwikStream stream = await session.AcceptStream();
            await play(new Scene(world, deployment, session, stream, replicas));
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    });

    private sealed class Scene(
        SimulatedWorld world,
        SimulatedDeployment deployment,
        ClientSession session,
        KwikStream stream,
        MemoryContent[] replicas)
    {
        private readonly byte[] _received = new byte[Content.Offer.Length + 1];

        public SimulatedWorld World => world;

        public SimulatedDeployment Deployment => deployment;

        public ClientSession Session => session;

        public KwikStream Stream => stream;

        /// <summary>Bytes that were read.</summary>
        public int Count { get; private set; }

        /// <summary>What each secondary has read of its content.</summary>
        public long[] Served() => [.. replicas.Select(replica => replica.BytesServed)];

        /// <summary>Reads up to this offset, 32 KiB at a time.</summary>
        public async Task ReadAsync(long end)
        {
            while (Count < end)
            {
                int read = await stream.ReadAsync(_received.AsMemory(Count, (int)Math.Min(32 * 1024, end - Count)));
                Assert.NotEqual(0, read);
                Count += read;
            }
        }

        public void AssertComplete() => Assert.True(Content.Is(_received.AsSpan(0, Count)));
    }
}
