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
        { "narrow with a short queue", new() { BitsPerSecond = 40_000_000, QueueBytes = 10_000, Delay = TimeSpan.FromMilliseconds(5) } },
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
        long faults = counters.DroppedByLoss + counters.DroppedByQueue + counters.Duplicated + counters.Reordered + counters.Corrupted;
        Assert.True(faults > 0, $"The link of '{link}' was perfect: {counters}");
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
    public Task Handshake_OverAVeryLossyLink_Succeeds() =>
        AssertHandshakesAsync(20, new() { Loss = 0.15, Reordering = 0.1, Duplication = 0.05 });

    [Fact]
    public Task Handshake_LongHeadersDamaged_SucceedsNevertheless() =>
        AssertHandshakesAsync(10, new() { Corruption = 0.3, CorruptLongHeadersOnly = true });

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

    [Theory]
    [InlineData("the writer resets")]
    [InlineData("the reader stops")]
    [InlineData("the reader disposes")]
    public async Task Abort_BytesUnderWayOverALossyLink_LeavesTheConnectionAndItsCreditIntact(string how)
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(server: o => o.InitialReceiveWindowSizes.Connection = 512 * 1024);
        pair.Shape(new() { Delay = TimeSpan.FromMilliseconds(1), Loss = 0.02, Reordering = 0.05 });

        for (int i = 0; i < 60; i++)
        {
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            await using (local)
            await using (peer)
            {
                Task write = local.WriteForeverAsync();
                await peer.ReadExactlyAsync(new byte[1 + (i * 3_000)]).Bounded();
                switch (how)
                {
                    case "the writer resets":
                        local.Abort(QuicAbortDirection.Write, Code);
                        await Expect.OperationAborted(write);
                        await Expect.StreamAborted(Code, peer.ReadToEndAsync());
                        break;
                    case "the reader stops":
                        peer.Abort(QuicAbortDirection.Read, Code);
                        await Expect.StreamAborted(Code, write);
                        break;
                    default:
                        await peer.DisposeAsync().Bounded();
                        await Expect.StreamAborted(Loopback.ServerStreamCode, write);
                        break;
                }
            }
        }

        pair.Shape(new());
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task BlackHole_BothWays_EndsEveryPendingCallWithinTheIdleTimeout()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(client: o => o.IdleTimeout = TimeSpan.FromSeconds(2));
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
                Assert.True(e.QuicError is QuicError.ConnectionIdle or QuicError.ConnectionTimeout, Expect.Describe(e));
            }

            Assert.InRange(Environment.TickCount64 - start, 1_000, 30_000);
        }
    }

    [Fact]
    public async Task BlackHole_FromTheServer_WritesClosedDoesNotClaimDelivery()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(client: o => o.IdleTimeout = TimeSpan.FromSeconds(2));
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

    [Fact]
    public async Task Peer_GoneWithoutAWord_StatelessResetEndsTheConnectionLongBeforeTheIdleTimeout()
    {
        // RFC 9000, section 10.3. The listener lives, the connection behind it does not, and its close was lost.
        await using RelayedPair pair = await RelayedPair.StartAsync(client: o => o.IdleTimeout = TimeSpan.FromMinutes(5));
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            pair.Shape(new() { BlackHole = true });
            await pair.Server.DisposeAsync().Bounded();
            pair.Shape(new());

            await Assert.ThrowsAsync<QuicException>(local.WriteForeverAsync().Bounded);
        }
    }

    private static async Task AssertHandshakesAsync(int count, LinkOptions link)
    {
        await using EchoServer server = await EchoServer.StartAsync();
        using UdpRelay relay = UdpRelay.Start(new() { Target = server.EndPoint, Seed = 5 });

        for (int i = 0; i < count; i++)
        {
            (relay.ToServer, relay.ToClient) = (link, link);
            await using QuicConnection client = await Loopback.ConnectAsync(relay.LocalEndPoint);
            await using QuicStream stream = await client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded();
            await stream.WriteContentAsync(seed: i, length: 3_000);
            await stream.AssertContentAsync(seed: i, length: 3_000);
            // A close that is lost leaves the server's side to its idle timeout, which is no subject here.
            (relay.ToServer, relay.ToClient) = (new(), new());
        }
    }
}
