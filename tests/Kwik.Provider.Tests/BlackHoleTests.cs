using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>Links that swallow everything, for good or for a while.</summary>
public sealed class BlackHoleTests
{
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

    [Theory]
    [InlineData(5, 2)]
    [InlineData(2, 5)]
    public async Task BlackHole_AgainAndAgainWhileATransferRuns_AllArrives(int secondsOpen, int secondsBlack)
    {
        const int Times = 2;
        await using RelayedPair pair = await RelayedPair.StartAsync(
            server: o => o.IdleTimeout = Patience.Limit,
            client: o => o.IdleTimeout = Patience.Limit);
        LinkOptions open = new() { Delay = TimeSpan.FromMilliseconds(5), BitsPerSecond = 20_000_000 };

        long bytes = await pair.ExchangeDuringAsync(async () =>
        {
            for (int i = 0; i < Times; i++)
            {
                pair.Shape(open);
                await Task.Delay(TimeSpan.FromSeconds(secondsOpen));
                pair.Shape(open with { BlackHole = true });
                await Task.Delay(TimeSpan.FromSeconds(secondsBlack));
            }

            pair.Shape(open);
        });

        Assert.True(pair.Relay.ToServerCounters.DroppedByBlackHole > 0 && pair.Relay.ToClientCounters.DroppedByBlackHole > 0);
        TestContext.Current.TestOutputHelper?.WriteLine($"{bytes:N0} bytes in {Times * (secondsOpen + secondsBlack)} s");
    }

    [Fact]
    public async Task Peer_GoneAndItsCloseLost_EndsTheConnectionLongBeforeTheIdleTimeout()
    {
        // The listener lives, the connection behind it does not, and its close was lost: it is repeated for a while, and what comes later
        // is answered with a stateless reset (RFC 9000, sections 10.2.1 and 10.3).
        await using RelayedPair pair = await RelayedPair.StartAsync(
            server: o => o.IdleTimeout = TimeSpan.FromMinutes(5),
            client: o => o.IdleTimeout = TimeSpan.FromMinutes(5));
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            pair.Shape(new() { BlackHole = true });
            await pair.Server.DisposeAsync().Bounded();
            pair.Shape(new());

            QuicException ended = await Assert.ThrowsAsync<QuicException>(local.WriteForeverAsync().Bounded);
            Assert.False(ended.QuicError is QuicError.ConnectionIdle or QuicError.ConnectionTimeout);
        }
    }
}
