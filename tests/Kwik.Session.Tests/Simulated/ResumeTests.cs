using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using ContentOffer = Kwik.Data.ContentOffer;

namespace Kwik.Session.Tests.Simulated;

/// <summary>A client that has a part of a content already: nobody is asked for it, and all the rest arrives.</summary>
public sealed class ResumeTests
{
    private const int LeafSize = 64 * 1024;

    // 41 leaves, the last of them short.
    private static readonly MemoryContent Content = MemoryContent.Random(11, (40 * LeafSize) + 777, LeafSize);
    private static readonly MemoryContent Other = MemoryContent.Random(12, (40 * LeafSize) + 777, LeafSize);
    private static readonly IReadOnlyList<(long, long)> Everything = [(0, Content.Offer.Length)];

    [Theory]
    [SimulationSeeds]
    public void OneServer_IsAskedForTheRestOnly(int seed) => Resume(seed, 1, Ranges(seed), async resumed =>
    {
        await resumed.CopyRestAsync();
        Assert.Equal(resumed.Rest.Count, resumed.Servers[0].Leaves.Count);
        Assert.Equal(resumed.RestLength, resumed.Servers[0].BytesServed);
    });

    [Theory]
    [SimulationSeeds]
    public void TwoServers_AreAskedForTheRestOnly(int seed) => Resume(seed, 2, Ranges(seed), resumed => resumed.CopyRestAsync());

    [Theory]
    [SimulationSeeds]
    public void ThreeServers_AreAskedForTheRestOnly(int seed) => Resume(seed, 3, Ranges(seed), resumed => resumed.CopyRestAsync());

    [Theory]
    [SimulationSeeds]
    public void ThreeServers_OneKilled_AreAskedForTheRestOnly(int seed) => Resume(seed, 3, Ranges(seed), async resumed =>
    {
        Task copying = resumed.CopyRestAsync();
        await resumed.World.Delay(TimeSpan.FromMilliseconds(resumed.World.Random.Next(20, 300)));
        resumed.World.Host("secondary 1").Kill();
        await copying;
    });

    /// <summary>What is held says nothing of what comes: a wrong leaf is found out as always.</summary>
    [Theory]
    [SimulationSeeds]
    public void LiarAmongThreeServers_DoesNotPutAWrongByteIntoTheRest(int seed) => Resume(
        seed, 3, Ranges(seed), resumed => resumed.CopyRestAsync(), lies: true);

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void EverythingHeld_EndsAtOnceAndAsksNobody(int servers) => Resume(1, servers, Everything, async resumed =>
    {
        TimeSpan began = resumed.World.Time.Elapsed;
        Assert.Equal(Content.Offer.Length, await resumed.Stream.CopyToAsync((_, _) => throw new InvalidOperationException("Nothing is missing.")));
        Assert.InRange((resumed.World.Time.Elapsed - began).TotalMilliseconds, 0, 50);
        Assert.All(resumed.Servers, server => Assert.Equal((0L, 0), (server.BytesServed, server.HashRequests)));
    });

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void NothingHeld_GetsEverything(int servers) => Resume(1, servers, [], resumed => resumed.CopyRestAsync());

    /// <summary>What is held is of no use then, and is fetched.</summary>
    [Theory]
    [SimulationSeeds]
    public void AnotherRoot_GetsEverything(int seed) => Resume(
        seed,
        1 + (seed % 3),
        Ranges(seed),
        async resumed =>
        {
            Assert.Equal(Content.Offer, await resumed.Stream.GetOfferAsync());
            byte[] all = await resumed.Stream.ReadToEndAsync();
            Assert.True(Content.Is(all));
        },
        expected: Other.Offer);

    [Fact]
    public void ReaderInOrder_OfAStreamThatIsResumed_IsRefused() => Resume(1, 1, [(0, LeafSize)], async resumed =>
    {
        await resumed.Stream.GetOfferAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => resumed.Stream.ReadAsync(new byte[1]).AsTask());
        await resumed.CopyRestAsync();
    });

    [Fact]
    public void OfferThatIsHere_CannotBeResumed() => Resume(1, 1, [], async resumed =>
    {
        await resumed.Stream.GetOfferAsync();
        Assert.Throws<InvalidOperationException>(() => resumed.Stream.Resume(Content.Offer, [(0, LeafSize)]));
        await resumed.CopyRestAsync();
    });

    [Theory]
    [InlineData(1, LeafSize)]
    [InlineData(0, LeafSize - 1)]
    [InlineData(0, 0)]
    [InlineData(0, -LeafSize)]
    [InlineData(-LeafSize, LeafSize)]
    [InlineData(40 * LeafSize, LeafSize)]
    [InlineData(41 * LeafSize, LeafSize)]
    [InlineData(0, long.MaxValue)]
    public void RangeThatIsNotOfWholeLeaves_IsRefused(long offset, long length) => Resume(1, 1, [], async resumed =>
    {
        Assert.Throws<ArgumentException>(() => resumed.Unasked.Resume(Content.Offer, [(offset, length)]));
        Assert.Throws<ArgumentException>(() => resumed.Unasked.Resume(Content.Offer, [(LeafSize, LeafSize), (0, LeafSize)]));
        Assert.Throws<ArgumentException>(() => resumed.Unasked.Resume(Content.Offer, [(0, LeafSize), (0, LeafSize)]));
        await resumed.CopyRestAsync();
    });

    /// <summary>Whole leaves, some of which touch; the last one among them now and then.</summary>
    private static List<(long Offset, long Length)> Ranges(int seed)
    {
        var random = new Random(seed);
        List<(long, long)> held = [];
        for (long leaf = random.Next(3); leaf <= 40; leaf += random.Next(5))
        {
            long count = Math.Min(random.Next(1, 8), 41 - leaf);
            long offset = leaf * LeafSize;
            held.Add((offset, Math.Min(count * LeafSize, Content.Offer.Length - offset)));
            leaf += count;
        }

        return held;
    }

    private static void Resume(
        int seed,
        int servers,
        IReadOnlyList<(long Offset, long Length)> held,
        Func<Resumed, Task> play,
        ContentOffer? expected = null,
        bool lies = false) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        List<SecondaryServer> secondaries = [];
        List<ScriptedContent> contents = [];
        for (int i = 0; i < servers; i++)
        {
            SimulatedHost host = world.Host(DeliveryScene.NameOf(i));
            bool isLiar = lies && i == 1;
            contents.Add(new ScriptedContent(Content, host) { Lies = (_, _) => isLiar });
            world.SetLinks(deployment.ClientHost, host, link => link.BitsPerSecond = 20_000_000);
            if (i > 0)
            {
                secondaries.Add(await deployment.StartSecondaryAsync(host.Name, contents[i]));
            }
        }

        await deployment.StartPrimaryAsync(contents[0], async session =>
        {
            foreach (SecondaryServer secondary in secondaries)
            {
                await session.AddPathAsync(secondary);
            }

            while (true)
            {
                KwikStream asked = await session.AcceptStream();
                // The other stream of the client's ends without having asked for anything.
                if (await asked.ReadAsync(new byte[4]) == 4)
                {
                    await asked.OfferContentAsync(Content.Offer);
                }
            }
        });

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            while (session.GetActivePaths().Count < servers)
            {
                await world.Delay(TimeSpan.FromMilliseconds(1));
            }

            await using KwikStream stream = await session.OpenStreamSync();
            await using KwikStream unasked = await session.OpenStreamSync();
            stream.Resume(expected ?? Content.Offer, held);
            await stream.WriteAsync("file"u8.ToArray());
            var resumed = new Resumed(world, stream, unasked, contents, held);
            await play(resumed);
            if (expected is null)
            {
                Assert.All(contents, server => Assert.Empty(server.Leaves.Intersect(resumed.Held)));
            }

            Assert.Equal(lies, session.GetAllPaths().Any(path => path.State == PathState.Removed));
            await stream.DisposeAsync();
            Assert.Equal(0, session.PendingBytes);
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    private sealed class Resumed(
        SimulatedWorld world,
        KwikStream stream,
        KwikStream unasked,
        List<ScriptedContent> servers,
        IReadOnlyList<(long Offset, long Length)> held)
    {
        public SimulatedWorld World => world;

        public KwikStream Stream => stream;

        /// <summary>Another one, for which nothing will be offered.</summary>
        public KwikStream Unasked => unasked;

        public List<ScriptedContent> Servers => servers;

        public HashSet<long> Held { get; } = [.. held.SelectMany(range => LeavesOf(range.Offset, range.Length))];

        /// <summary>The leaves that are missing.</summary>
        public List<long> Rest => [.. LeavesOf(0, Content.Offer.Length).Where(leaf => !Held.Contains(leaf))];

        public long RestLength => Content.Offer.Length - held.Sum(range => range.Length);

        /// <summary>Copies what is missing, each byte of it once, and nothing else.</summary>
        public async Task CopyRestAsync()
        {
            HashSet<long> came = [];
            long count = 0;
            long end = await stream.CopyToAsync((piece, offset) =>
            {
                Assert.True(piece.Span.SequenceEqual(Content.Slice(offset, piece.Length)), $"Bytes from {offset} on are wrong.");
                count += piece.Length;
                came.UnionWith(LeavesOf(offset, piece.Length));
                return ValueTask.CompletedTask;
            });
            Assert.Equal(Content.Offer.Length, end);
            Assert.Equal(RestLength, count);
            Assert.Equal(Rest, came.Order());
        }

        private static IEnumerable<long> LeavesOf(long offset, long length)
        {
            for (long leaf = offset / LeafSize; leaf * LeafSize < offset + length; leaf++)
            {
                yield return leaf;
            }
        }
    }
}
