using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>Clients behind a NAT that forgets them: the server sees another port from one datagram to the next.</summary>
public sealed class RebindingTests
{
    private const int Times = 3;

    private static readonly LinkOptions Broadband = new() { Delay = TimeSpan.FromMilliseconds(5), BitsPerSecond = 20_000_000 };

    public static TheoryData<int, LinkOptions> Transfers => new()
    {
        { 5_000, Broadband },
        { 1_000, Broadband },
        { 1_000, Broadband with { Loss = 0.03 } },
        { 1_000, Broadband with { Loss = 0.1, Reordering = 0.1, Duplication = 0.05 } },
        { 200, Broadband with { Loss = 0.01 } },
    };

    [Theory]
    [MemberData(nameof(Transfers), DisableDiscoveryEnumeration = true)]
    public async Task Rebinding_WhileATransferRuns_AllArrivesBothWays(int everyMilliseconds, LinkOptions link)
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(link: link);

        await pair.ExchangeDuringAsync(async () =>
        {
            var period = TimeSpan.FromMilliseconds(everyMilliseconds);
            for (int i = 0; i < Times; i++)
            {
                await Task.Delay(period);
                pair.Relay.Rebind();
            }

            await Task.Delay(period);
        });

        await pair.ExchangeAsync(100_000);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.1)]
    public async Task Rebinding_WhileIdle_TheNextRequestOfEitherSideIsAnswered(double loss)
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(link: Broadband with { Loss = loss });
        for (int i = 0; i < 10; i++)
        {
            pair.Relay.Rebind();
            await pair.Client.AssertAliveAsync(pair.Server);
            // Where the server has learned the new way, it can ask too.
            await pair.Server.AssertAliveAsync(pair.Client);
        }
    }

    [Fact]
    public async Task Rebinding_TwoClientsOfOneServer_BothGoOn()
    {
        await using RelayedServer server = await RelayedServer.StartAsync(Broadband, Broadband);
        await using QuicConnection first = await Loopback.ConnectAsync(server.EndPoint);
        await using QuicConnection second = await Loopback.ConnectAsync(server.EndPoint);
        // Until the server has confirmed the handshake, clients may not change their address.
        await Task.WhenAll(first.AssertEchoAsync(seed: 1, 1), second.AssertEchoAsync(seed: 2, 1)).Bounded();

        for (int i = 0; i < 5; i++)
        {
            server.Relay.Rebind();
            await Task.WhenAll(first.AssertEchoAsync(seed: i, 100_000), second.AssertEchoAsync(seed: -i, 100_000)).Bounded();
        }
    }

    [Fact]
    public async Task Rebinding_AfterTheFirstFlight_DoesNotKeepTheClientFromConnecting()
    {
        // "The design of QUIC relies on endpoints retaining a stable address for the duration of the handshake" (RFC 9000,
        // section 9): the first attempt may end in a timeout, and Loopback.ConnectAsync makes another then.
        var patience = TimeSpan.FromSeconds(5);
        await using RelayedServer server = await RelayedServer.StartAsync(Broadband, Broadband, o => o.HandshakeTimeout = patience);
        Task<QuicConnection> connecting = Loopback.ConnectAsync(server.EndPoint, o => o.HandshakeTimeout = patience);
        long start = Environment.TickCount64;
        while (server.Relay.ToServerCounters.Forwarded == 0 && !connecting.IsFaulted)
        {
            Assert.True(Environment.TickCount64 - start < Patience.Limit.TotalMilliseconds);
            await Task.Yield();
        }

        server.Relay.Rebind(); // The answer goes to the old port.

        await using QuicConnection client = await connecting;
        await client.AssertEchoAsync(seed: 1, 30_000);
    }
}
