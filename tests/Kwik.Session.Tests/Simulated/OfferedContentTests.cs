using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

public class OfferedContentTests
{
    [Theory]
    [SimulationSeeds]
    public void ThreeServers_OneStream_ArrivesWholeAndFromAll(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 8 * 1024 * 1024);
        MemoryContent[] replicas = [content.Replica(), content.Replica()];
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(world, deployment, content, replicas);

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream();
            ContentOffer? offer = await stream.GetOfferAsync();
            Assert.Equal(content.Offer, offer);
            Assert.True(content.Is(await stream.ReadToEndAsync()));
            Assert.Equal(3, session.GetActivePaths().Count);
            Assert.Equal(content.Offer.Length, session.GetAllPaths().Sum(path => path.BytesReceived));
        }

        Assert.All([content, .. replicas], server => Assert.NotEqual(0, server.BytesServed));
        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    [Theory]
    [SimulationSeeds]
    public void SecondaryKilled_OneStream_LosesNoByte(int seed) => Simulation.Run(seed, world => FetchAroundAsync(
        world, () => world.Host("secondary 1").Kill()));

    [Theory]
    [SimulationSeeds]
    public void SecondaryBlackHoled_OneStream_LosesNoByte(int seed) => Simulation.Run(seed, world => FetchAroundAsync(
        world,
        () => world.SetLinks(world.Host("client"), world.Host("secondary 1"), link => link.BlackHole = true)));

    [Theory]
    [SimulationSeeds]
    public void SecondaryStopped_OneStream_LosesNoByte(int seed) => Simulation.Run(seed, world => FetchAroundAsync(
        world, () => world.Host("secondary 1").Freeze()));

    [Fact]
    public void SameSeed_SecondaryKilled_GivesTheSameRun()
    {
        SimulationTrace Run(int seed) => Simulation.Run(seed, world => FetchAroundAsync(world, () => world.Host("secondary 1").Kill()));

        Assert.Equal(Run(7).Hash, Run(7).Hash);
        Assert.NotEqual(Run(7).Hash, Run(8).Hash);
    }

    [Fact]
    public void TwoStreamsOfOneContent_OneClosed_TheOtherStillGetsIt() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 8 * 1024 * 1024);
        MemoryContent replica = content.Replica();
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", replica);
        world.SetLinks(deployment.ClientHost, world.Host("secondary 1"), link => link.BitsPerSecond = 100_000_000);
        // The primary itself has nothing: a refusal of its secondary would end the stream.
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await session.AddPathAsync(secondary);
            await using KwikStream first = await session.OpenStreamSync();
            await using KwikStream second = await session.OpenStreamSync();
            await first.OfferContentAsync(content.Offer);
            await second.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream first = await session.AcceptStream();
        KwikStream second = await session.AcceptStream();
        Assert.Equal(1, await first.ReadAsync(new byte[1]));
        Assert.Equal(1, await second.ReadAsync(new byte[1]));
        await second.DisposeAsync();

        Assert.Equal(content.Offer.Length - 1, (await first.ReadToEndAsync()).Length);
    });

    [Fact]
    public void ReaderThatStops_MemoryStaysBelowTheWindow() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 12 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(world, deployment, content, [content.Replica()]);
        const int window = 4 * 1024 * 1024;

        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Aggregation = new AggregatorOptions { MaxPendingBytes = window },
        });
        await using KwikStream stream = await session.AcceptStream();
        await world.Delay(TimeSpan.FromSeconds(30));

        Assert.InRange(session.GetAllPaths().Sum(path => path.BytesReceived), window / 2, window);
        Assert.True(content.Is(await stream.ReadToEndAsync()));
    });

    [Fact]
    public void EmptyContent_Read_EndsAtOnce() => Simulation.Run(1, async world =>
    {
        var content = new MemoryContent([]);
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(world, deployment, content, []);
        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();

        Assert.Empty(await stream.ReadToEndAsync());
    });

    [Fact]
    public void NobodyHasTheContent_Read_FailsWithNotFound() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 1000);
        var other = MemoryContent.Random(2, 1000);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(other, session => OfferAsync(session, content.Offer, []));
        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadToEndAsync());
        Assert.Equal(KwikError.NotFound, e.Code);
    });

    [Fact]
    public void StrangeClient_AtASecondary_IsNotAdmitted() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 1000);
        await using var deployment = new SimulatedDeployment(world);
        // This primary's clients are none of the secondary's business: it trusts another key.
        await using var others = new SimulatedDeployment(world);
        SecondaryServer secondary = await others.StartSecondaryAsync("secondary 1", content.Replica());
        KwikException? refused = null;
        await deployment.StartPrimaryAsync(content, async session =>
        {
            refused = await Assert.ThrowsAnyAsync<KwikException>(() => session.AddPathAsync(secondary));
            await OfferAsync(session, content.Offer, []);
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();

        Assert.True(content.Is(await stream.ReadToEndAsync()));
        Assert.Equal(KwikError.AuthenticationFailed, refused?.Code);
        Assert.Single(session.GetAllPaths());
    });

    [Theory]
    [SimulationSeeds]
    public void Request_AnsweredWithAnOffer_GetsTheContent(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, world.Random.Next(3) * 100_000);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(content, async session =>
        {
            await using KwikStream asked = await session.AcceptStream();
            Assert.Equal("file"u8.ToArray(), await asked.ReadToEndAsync());
            await asked.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.OpenStreamSync();
        await stream.WriteAsync("file"u8.ToArray());
        stream.CompleteWrites();

        Assert.Equal(content.Offer, await stream.GetOfferAsync());
        Assert.True(content.Is(await stream.ReadToEndAsync()));
    });

    [Fact]
    public void Stream_EndedWithoutBytesOrOffer_HasNoOffer() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream opened = await session.OpenStreamSync();
            opened.CompleteWrites();
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();

        Assert.Null(await stream.GetOfferAsync());
        Assert.Empty(await stream.ReadToEndAsync());
    });

    [Fact]
    public void ContentThatCanNoLongerBeRead_Read_FailsWithContentMismatch() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 1_000_000);
        content.ChangedAt = 500_000;
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(content, session => OfferAsync(session, content.Offer, []));

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadToEndAsync());
        Assert.Equal(KwikError.ContentMismatch, e.Code);
    });

    /// <summary>Fetches a content from three servers while, at some moment, something happens to one of them.</summary>
    private static async Task FetchAroundAsync(SimulatedWorld world, Action fault)
    {
        var content = MemoryContent.Random(world.Seed, 8 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(world, deployment, content, [content.Replica(), content.Replica()]);

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Task<byte[]> reading = stream.ReadToEndAsync();
        await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(50, 200)));
        fault();

        Assert.True(content.Is(await reading));
    }

    private static async Task StartAsync(
        SimulatedWorld world,
        SimulatedDeployment deployment,
        MemoryContent content,
        MemoryContent[] replicas,
        long? BitsPerSecond = 100_000_000)
    {
        var secondaries = new List<SecondaryServer>();
        for (int i = 0; i < replicas.Length; i++)
        {
            secondaries.Add(await deployment.StartSecondaryAsync($"secondary {i + 1}", replicas[i]));
            world.SetLinks(deployment.ClientHost, world.Host($"secondary {i + 1}"), link => link.BitsPerSecond = BitsPerSecond);
        }

        if (BitsPerSecond is not null)
        {
            world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BitsPerSecond = BitsPerSecond);
        }

        await deployment.StartPrimaryAsync(content, session => OfferAsync(session, content.Offer, secondaries));
    }

    private static async Task OfferAsync(PrimarySession session, ContentOffer offer, IReadOnlyList<SecondaryServer> secondaries)
    {
        foreach (SecondaryServer secondary in secondaries)
        {
            await session.AddPathAsync(secondary);
        }

        await using KwikStream stream = await session.OpenStreamSync();
        await stream.OfferContentAsync(offer);
        await session.Closed;
    }
}
