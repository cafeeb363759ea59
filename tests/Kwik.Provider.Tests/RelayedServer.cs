using System.Net;
using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>
/// An <see cref="EchoServer"/> behind a relay. It ends before the relay does, so that the closes of its clients, which must
/// be disposed first, still arrive: a close that is lost leaves the server's side to its idle timeout.
/// </summary>
internal sealed class RelayedServer : IAsyncDisposable
{
    private readonly EchoServer _server;

    private RelayedServer(EchoServer server, UdpRelay relay)
    {
        _server = server;
        Relay = relay;
    }

    public UdpRelay Relay { get; }

    /// <summary>For clients.</summary>
    public IPEndPoint EndPoint => Relay.LocalEndPoint;

    public static async Task<RelayedServer> StartAsync(
        LinkOptions toServer,
        LinkOptions toClient,
        Action<QuicServerConnectionOptions>? server = null)
    {
        EchoServer echo = await EchoServer.StartAsync(server);
        return new(echo, UdpRelay.Start(new() { Target = echo.EndPoint, Seed = 5, ToServer = toServer, ToClient = toClient }));
    }

    public void Shape(LinkOptions link) => (Relay.ToServer, Relay.ToClient) = (link, link);

    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        Relay.Dispose();
    }
}
