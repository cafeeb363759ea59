using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Limits of what one peer may ask of the other.</summary>
public sealed class ControlLimitTests
{
    [Fact]
    public void Client_ThatFloodsControlFrames_IsClosedWithLimitExceeded() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, session => session.Closed);
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });

        Task<KwikError> end = client.EndAsync();
        await FloodAsync(client, 2000);

        Assert.Equal(KwikError.LimitExceeded, await end);
        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.PrimaryHost.OpenConnections);
    });

    [Fact]
    public void Primary_ThatFloodsControlFrames_EndsTheSessionWithLimitExceeded() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;

        Task<KwikError> end = primary.EndAsync();
        await FloodAsync(primary, 2000);

        Assert.Equal(KwikError.LimitExceeded, await end);
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed);
        Assert.Equal(KwikError.LimitExceeded, e.Code);
    });

    [Fact]
    public void Client_WithAThousandFramesASecond_IsServed() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, session => session.Closed);
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });

        for (int i = 0; i < 100; i++)
        {
            await FloodAsync(client, 99);
            await world.Delay(TimeSpan.FromMilliseconds(100));
        }

        await client.SendAsync(new ControlFrame { Heartbeat = new Heartbeat { Sequence = 77 } });
        while ((await client.UntilAsync(ControlFrame.BodyOneofCase.HeartbeatAck)).HeartbeatAck.Sequence != 77)
        {
        }
    });

    [Fact]
    public void Client_WhoseRangesAreServed_MayAskWithoutEnd() => Simulation.Run(1, async world =>
    {
        const int requests = 5000;
        var content = MemoryContent.Random(1, 1000);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(content, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        ulong streamId = (await client.UntilAsync(ControlFrame.BodyOneofCase.ContentOffer)).ContentOffer.KwikStreamId;
        await (await client.Connection.AcceptStreamAsync(CancellationToken.None)).DisposeAsync();

        TimeSpan began = world.Time.Elapsed;
        for (uint id = 1; id <= requests; id++)
        {
            await client.SendAsync(new ControlFrame
            {
                RangeRequest = new RangeRequest
                {
                    RequestId = id,
                    KwikStreamId = streamId,
                    Root = ByteString.CopyFrom(content.Offer.Root.ToByteArray()),
                    Length = 1,
                },
            });
            if (id % 32 == 0)
            {
                for (int i = 0; i < 32; i++)
                {
                    ITransportStream answer = await client.Connection.AcceptStreamAsync(CancellationToken.None);
                    await answer.ReadToEndAsync();
                    await answer.DisposeAsync();
                }
            }
        }

        Assert.True(requests > 1000 * (world.Time.Elapsed - began).TotalSeconds + 1256, "This was no more than everybody may.");
    });

    [Theory]
    [InlineData(0u, KwikError.MetadataProtocolViolation)]
    [InlineData(65537u, KwikError.MetadataProtocolViolation)]
    public void Server_ThatAllowsNoRangeRequest_IsNotConnectedTo(uint maxRangeRequests, KwikError expected) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Authenticated answer = RawPeer.Answer();
        answer.MaxRangeRequests = maxRangeRequests;
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost, answer);

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => deployment.ConnectAsync());

        Assert.Equal(expected, e.Code);
        await using RawPeer primary = await accepting;
    });

    [Theory]
    [SimulationSeeds]
    public void ManyStreams_OnAServerThatTakesFewRequests_AllArrive(int seed) => Simulation.Run(seed, async world =>
    {
        int limit = world.Random.Next(1, 4);
        MemoryContent[] contents = [.. Enumerable.Range(0, 8).Select(i => MemoryContent.Random(seed + i, 600_000))];
        await using var deployment = new SimulatedDeployment(world);
        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BitsPerSecond = 50_000_000);
        await deployment.StartPrimaryAsync(new Library(contents), async session =>
        {
            var streams = new List<KwikStream>();
            foreach (MemoryContent content in contents)
            {
                KwikStream stream = await session.OpenStreamSync();
                streams.Add(stream);
                await stream.OfferContentAsync(content.Offer);
            }

            await session.Closed;
            foreach (KwikStream stream in streams)
            {
                await stream.DisposeAsync();
            }
        }, options => options with { MaxRangeRequests = limit });

        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Aggregation = new AggregatorOptions { MaxPendingBytes = 128 * 1024 },
        });
        var reading = new List<Task<byte[]>>();
        for (int i = 0; i < contents.Length; i++)
        {
            reading.Add((await session.AcceptStream()).ReadToEndAsync());
        }

        for (int i = 0; i < contents.Length; i++)
        {
            byte[] bytes = await reading[i];
            Assert.Contains(contents, content => content.Is(bytes));
        }
    });

    [Fact]
    public void RangeRefused_WithLimitExceeded_IsAskedAgainWhenThereIsRoom() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 2 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        // It said 64, and takes one.
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Aggregation = new AggregatorOptions { MaxPendingBytes = 4 * 1024 * 1024 },
        });
        await using RawPeer primary = await accepting;
        await using KwikStream stream = await session.OpenStreamSync();
        Task<byte[]> reading = stream.ReadToEndAsync();
        await primary.SendAsync(new ControlFrame { ContentOffer = Offer(stream.Id, content) });

        LeafHashRequest leaves = (await primary.UntilAsync(ControlFrame.BodyOneofCase.LeafHashRequest)).LeafHashRequest;
        await primary.SendAsync(content.Prove(leaves));

        var asked = new Queue<RangeRequest>();
        var ranges = new List<(ulong, ulong)>();
        int refused = 0;
        long served = 0;
        while (served < content.Offer.Length)
        {
            while (asked.Count == 0 || (refused == 0 && asked.Count < 2))
            {
                asked.Enqueue((await primary.UntilAsync(ControlFrame.BodyOneofCase.RangeRequest)).RangeRequest);
            }

            if (refused == 0)
            {
                refused++;
                RangeRequest second = asked.Dequeue();
                await primary.SendAsync(new ControlFrame
                {
                    RangeRefused = new RangeRefused { RequestId = second.RequestId, ErrorCode = (ulong)KwikError.LimitExceeded },
                });
                continue;
            }

            RangeRequest request = asked.Dequeue();
            ranges.Add((request.Offset, request.Length));
            await using IContent? bytes = await content.OpenAsync(content.Offer.Root, CancellationToken.None);
            var data = new byte[request.Length];
            await bytes!.ReadAsync((long)request.Offset, data, CancellationToken.None);
            ITransportStream internalStream = await primary.Connection.OpenStreamAsync(bidirectional: false, CancellationToken.None);
            await using var answer = new SecondaryStream(internalStream, deployment.Pool);
            answer.Answer(stream.Id, (long)request.Offset, (long)request.RequestId);
            await answer.WriteAsync(data);
            await answer.CompleteAsync();
            served += data.Length;
        }

        Assert.Equal(ranges.Count, ranges.Distinct().Count());
        Assert.True(ranges.Count > 2);
    });

    [Fact]
    public void RangeRefused_WithLimitExceededForTheOnlyRequest_TakesTheServerOutOfTheContent() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 1000);
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        await using KwikStream stream = await session.OpenStreamSync();
        await primary.SendAsync(new ControlFrame { ContentOffer = Offer(stream.Id, content) });
        RangeRequest request = (await primary.UntilAsync(ControlFrame.BodyOneofCase.RangeRequest)).RangeRequest;
        await primary.SendAsync(new ControlFrame
        {
            RangeRefused = new RangeRefused { RequestId = request.RequestId, ErrorCode = (ulong)KwikError.LimitExceeded },
        });

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadToEndAsync());
        Assert.Equal(KwikError.LimitExceeded, e.Code);
    });

    [Fact]
    public void Streams_ThatBreakARule_AreCountedInThePath() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        int atPrimary = 0;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await world.Delay(TimeSpan.FromSeconds(1));
            atPrimary = session.GetAllPaths()[0].Violations;
        });
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        for (int i = 0; i < 3; i++)
        {
            ITransportStream strange = await client.Connection.OpenStreamAsync(bidirectional: true, CancellationToken.None);
            await strange.WriteAsync(RawPeer.Header(StreamType.Internal));
        }

        await client.EndAsync();
        Assert.Equal(3, atPrimary);
    });

    [Theory]
    [SimulationSeeds]
    public void Session_DisposedInTheMiddleOfATransfer_HoldsNothingAfterwards(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 8 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", content.Replica());
        world.SetLinks(deployment.ClientHost, world.Host("secondary 1"), link => link.BitsPerSecond = 50_000_000);
        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BitsPerSecond = 50_000_000);
        await deployment.StartPrimaryAsync(content, async session =>
        {
            await session.AddPathAsync(secondary);
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        ClientSession session = await deployment.ConnectAsync();
        await session.AcceptStream();
        await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 500)));
        await session.DisposeAsync();
        await deployment.DisposeAsync();

        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    });

    private static async Task FloodAsync(RawPeer peer, int count)
    {
        byte[] frame = ControlCodec.Encode(new ControlFrame { HeartbeatAck = new HeartbeatAck { Sequence = 1 } });
        byte[] flood = [.. Enumerable.Repeat(frame, count).SelectMany(bytes => bytes)];
        try
        {
            await peer.SendAsync(flood);
        }
        catch (KwikException)
        {
            // The other side had enough before the end.
        }
    }

    internal static Data.Wire.ContentOffer Offer(long streamId, MemoryContent content) => new()
    {
        KwikStreamId = (ulong)streamId,
        Root = ByteString.CopyFrom(content.Offer.Root.ToByteArray()),
        Length = (ulong)content.Offer.Length,
        LeafSize = (uint)content.Offer.LeafSize,
    };

    private sealed class Library(MemoryContent[] contents) : IContentProvider
    {
        public ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken) =>
            contents.Single(content => content.Offer.Root == root).OpenAsync(root, cancellationToken);
    }
}
