using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>Links that lose, reorder, repeat, damage and swallow datagrams.</summary>
public sealed class LossTests
{
    private const long Code = 99;

    public static TheoryData<string, LinkOptions> BadLinks => new()
    {
        { "loss", new() { Delay = TimeSpan.FromMilliseconds(2), Loss = 0.03 } },
        { "loss in bursts", new() { Delay = TimeSpan.FromMilliseconds(2), Loss = 0.05, LossBurst = 4 } },
        { "reordering", new() { Delay = TimeSpan.FromMilliseconds(2), Reordering = 0.2, ReorderingDelay = TimeSpan.FromMilliseconds(5) } },
        { "duplication", new() { Duplication = 0.3 } },
        { "damage", new() { Delay = TimeSpan.FromMilliseconds(2), Corruption = 0.02 } },
        { "narrow with a short queue", new() { BitsPerSecond = 40_000_000, QueueBytes = 40_000, Delay = TimeSpan.FromMilliseconds(5) } },
        {
            "all of it",
            new()
            {
                Delay = TimeSpan.FromMilliseconds(3),
                Jitter = TimeSpan.FromMilliseconds(3),
                Loss = 0.02,
                LossBurst = 2,
                Reordering = 0.05,
                Duplication = 0.05,
                Corruption = 0.01,
            }
        },
    };

    [Theory]
    [MemberData(nameof(BadLinks), DisableDiscoveryEnumeration = true)]
    public async Task Bulk_OverABadLink_ArrivesWholeBothWays(string link, LinkOptions options)
    {
        const int Length = 1_500_000;
        await using RelayedPair pair = await RelayedPair.StartAsync();
        pair.Shape(options);
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            await Task.WhenAll(
                local.WriteContentAsync(seed: 1, Length),
                peer.WriteContentAsync(seed: 2, Length),
                local.AssertContentAsync(seed: 2, Length),
                peer.AssertContentAsync(seed: 1, Length)).Bounded();
        }

        LinkCounters counters = pair.Relay.ToServerCounters;
        Assert.True(counters.Forwarded < counters.Received + counters.Duplicated || counters.Duplicated + counters.Reordered + counters.Corrupted > 0, $"The link '{link}' did nothing: {counters}");
    }

    [Fact]
    public async Task Streams_ManySmallOnesOverALossyLink_AllArriveWhole()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync();
        pair.Shape(new() { Loss = 0.05, Reordering = 0.05 });

        await Task.WhenAll(Enumerable.Range(0, 20).Select(async lane =>
        {
            for (int i = 0; i < 20; i++)
            {
                await using QuicStream writer = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();
                await writer.WriteContentAsync(seed: writer.Id, length: 2_000);
                await using QuicStream reader = await pair.Server.AcceptInboundStreamAsync().Bounded();
                await reader.AssertContentAsync(seed: reader.Id, length: 2_000);
            }
        })).Bounded();
    }

    [Fact]
    public async Task Handshake_OverAVeryLossyLink_Succeeds()
    {
        await using EchoServer server = await EchoServer.StartAsync();
        var link = new LinkOptions { Loss = 0.15, Reordering = 0.1, Duplication = 0.05 };
        using UdpRelay relay = UdpRelay.Start(new() { Target = server.EndPoint, Seed = 5, ToServer = link, ToClient = link });

        for (int i = 0; i < 20; i++)
        {
            await using QuicConnection client = await Loopback.ConnectAsync(relay.LocalEndPoint);
            await using QuicStream stream = await client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded();
            await stream.WriteContentAsync(seed: i, length: 3_000);
            await stream.AssertContentAsync(seed: i, length: 3_000);
        }
    }

    [Fact]
    public async Task Handshake_LongHeadersDamaged_SucceedsNevertheless()
    {
        await using EchoServer server = await EchoServer.StartAsync();
        var link = new LinkOptions { Corruption = 0.3, CorruptLongHeadersOnly = true };
        using UdpRelay relay = UdpRelay.Start(new() { Target = server.EndPoint, Seed = 6, ToServer = link, ToClient = link });

        for (int i = 0; i < 10; i++)
        {
            await using QuicConnection client = await Loopback.ConnectAsync(relay.LocalEndPoint);
            await using QuicStream stream = await client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded();
            await stream.WriteContentAsync(seed: i, length: 3_000);
            await stream.AssertContentAsync(seed: i, length: 3_000);
        }
    }

    [Fact]
    public async Task Abort_OverALossyLink_CodesArriveOnEveryStream()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync();
        pair.Shape(new() { Loss = 0.1 });

        for (int i = 0; i < 50; i++)
        {
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            await using (local)
            await using (peer)
            {
                local.Abort(QuicAbortDirection.Both, Code + i);

                await Expect.StreamAborted(Code + i, peer.ReadToEndAsync());
                await Expect.StreamAborted(Code + i, peer.WriteForeverAsync());
            }
        }
    }

    [Fact]
    public async Task BlackHole_BothWays_EndsEveryPendingCallWithinTheIdleTimeout()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(o => o.IdleTimeout = TimeSpan.FromSeconds(2));
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            pair.Shape(new() { BlackHole = true });
            long start = Environment.TickCount64;
            Task[] calls =
            [
                local.WriteForeverAsync(),
                local.ReadAsync(new byte[1]).AsTask(),
                peer.ReadAsync(new byte[1]).AsTask(),
                pair.Client.AcceptInboundStreamAsync().AsTask(),
                pair.Server.AcceptInboundStreamAsync().AsTask(),
            ];

            foreach (Task call in calls)
            {
                QuicException e = await Assert.ThrowsAsync<QuicException>(call.Bounded);
                Assert.True(e.QuicError is QuicError.ConnectionIdle or QuicError.ConnectionTimeout, $"{e}");
            }

            Assert.InRange(Environment.TickCount64 - start, 1_000, 30_000);
        }
    }

    [Fact]
    public async Task BlackHole_FromTheServer_WritesClosedDoesNotClaimDelivery()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(o => o.IdleTimeout = TimeSpan.FromSeconds(2));
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            // The bytes arrive, their acknowledgement does not.
            pair.Relay.ToClient = new() { BlackHole = true };
            await local.WriteContentAsync(seed: 1, length: 1_000);
            await peer.AssertContentAsync(seed: 1, length: 1_000);

            await Assert.ThrowsAsync<QuicException>(local.WritesClosed.Bounded);
        }
    }

    [Fact]
    public async Task BlackHole_ShorterThanTheIdleTimeout_IsOvercome()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            pair.Shape(new() { BlackHole = true });
            Task write = local.WriteContentAsync(seed: 1, length: 500_000);
            // Another connection idles to its end: two seconds, without a sleep.
            await using (Loopback clock = await Loopback.StartAsync(client: o => o.IdleTimeout = TimeSpan.FromSeconds(2)))
            {
                await Assert.ThrowsAsync<QuicException>(() => clock.Client.AcceptInboundStreamAsync().Bounded());
            }

            pair.Shape(new());

            await peer.AssertContentAsync(seed: 1, length: 500_000);
            await write;
        }
    }

    /// <summary>A connection through a relay that is clean until it is shaped.</summary>
    private sealed class RelayedPair(QuicListener listener, UdpRelay relay, QuicConnection client, QuicConnection server) : IAsyncDisposable
    {
        public UdpRelay Relay => relay;

        public QuicConnection Client => client;

        public QuicConnection Server => server;

        public static async Task<RelayedPair> StartAsync(Action<QuicClientConnectionOptions>? options = null)
        {
            QuicListener listener = await Loopback.ListenAsync();
            UdpRelay relay = UdpRelay.Start(new() { Target = listener.LocalEndPoint, Seed = 1 });
            (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener, relay.LocalEndPoint, options);
            return new RelayedPair(listener, relay, client, server);
        }

        public void Shape(LinkOptions link) => (relay.ToServer, relay.ToClient) = (link, link);

        public async ValueTask DisposeAsync()
        {
            relay.ToServer = relay.ToClient = new();
            await client.DisposeAsync().Bounded();
            await server.DisposeAsync().Bounded();
            await listener.DisposeAsync().Bounded();
            relay.Dispose();
        }
    }
}
