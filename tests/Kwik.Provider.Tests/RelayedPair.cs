using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>A connection through a relay that is clean until it is shaped.</summary>
internal sealed class RelayedPair(QuicListener listener, UdpRelay relay, QuicConnection client, QuicConnection server) : IAsyncDisposable
{
    public UdpRelay Relay => relay;

    public QuicConnection Client => client;

    public QuicConnection Server => server;

    public static async Task<RelayedPair> StartAsync(
        Action<QuicServerConnectionOptions>? server = null,
        Action<QuicClientConnectionOptions>? client = null)
    {
        QuicListener listener = await Loopback.ListenAsync(server);
        UdpRelay relay = UdpRelay.Start(new() { Target = listener.LocalEndPoint, Seed = 1 });
        (QuicConnection clientSide, QuicConnection serverSide) =
            await Loopback.ConnectAsync(listener, relay.LocalEndPoint, client);
        return new RelayedPair(listener, relay, clientSide, serverSide);
    }

    public void Shape(LinkOptions link) => (relay.ToServer, relay.ToClient) = (link, link);

    public async ValueTask DisposeAsync()
    {
        Shape(new());
        await client.DisposeAsync().Bounded();
        await server.DisposeAsync().Bounded();
        await listener.DisposeAsync().Bounded();
        relay.Dispose();
    }
}
