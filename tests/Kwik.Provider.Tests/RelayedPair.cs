using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>A connection through a relay that is clean until it is shaped.</summary>
internal sealed class RelayedPair : IAsyncDisposable
{
    private readonly QuicListener _listener;

    private RelayedPair(QuicListener listener, UdpRelay relay, QuicConnection client, QuicConnection server)
    {
        _listener = listener;
        Relay = relay;
        Client = client;
        Server = server;
    }

    public UdpRelay Relay { get; }

    public QuicConnection Client { get; }

    public QuicConnection Server { get; }

    /// <summary>Connects; <paramref name="link"/> is there from the first datagram on, in both directions.</summary>
    public static async Task<RelayedPair> StartAsync(
        Action<QuicServerConnectionOptions>? server = null,
        Action<QuicClientConnectionOptions>? client = null,
        LinkOptions? link = null,
        ulong seed = 1)
    {
        QuicListener listener = await Loopback.ListenAsync(server);
        link ??= new();
        UdpRelay relay = UdpRelay.Start(new() { Target = listener.LocalEndPoint, Seed = seed, ToServer = link, ToClient = link });
        (QuicConnection clientSide, QuicConnection serverSide) = await Loopback.ConnectAsync(listener, relay.LocalEndPoint, client);
        return new RelayedPair(listener, relay, clientSide, serverSide);
    }

    public void Shape(LinkOptions link) => (Relay.ToServer, Relay.ToClient) = (link, link);

    /// <summary>So many bytes each way on one stream; every one is checked.</summary>
    public async Task ExchangeAsync(int length)
    {
        (QuicStream local, QuicStream peer) = await Client.OpenPairAsync(Server);
        await using (local)
        await using (peer)
        {
            await Task.WhenAll(
                local.WriteContentAsync(seed: 1, length),
                peer.WriteContentAsync(seed: 2, length),
                local.AssertContentAsync(seed: 2, length),
                peer.AssertContentAsync(seed: 1, length)).Bounded();
        }
    }

    /// <summary>
    /// Content each way on one stream for as long as the script runs, then the end; every byte is checked. How many there
    /// were, both ways together, is the result.
    /// </summary>
    public async Task<long> ExchangeDuringAsync(Func<Task> script)
    {
        (QuicStream local, QuicStream peer) = await Client.OpenPairAsync(Server);
        await using (local)
        await using (peer)
        {
            Task running = script();
            Task<long> up = local.WriteContentUntilAsync(seed: 1, running);
            Task<long> down = peer.WriteContentUntilAsync(seed: 2, running);
            Task<long> arrivedUp = peer.ReadContentAsync(seed: 1);
            Task<long> arrivedDown = local.ReadContentAsync(seed: 2);
            await Task.WhenAll(running, up, down, arrivedUp, arrivedDown); // each step of each is bounded
            Assert.Equal((await up, await down), (await arrivedUp, await arrivedDown));
            return await up + await down;
        }
    }

    public async ValueTask DisposeAsync()
    {
        Shape(new());
        await Client.DisposeAsync().Bounded();
        await Server.DisposeAsync().Bounded();
        await _listener.DisposeAsync().Bounded();
        Relay.Dispose();
    }
}
