using System.Net;
using System.Net.Quic;
using System.Security.Authentication;

namespace Kwik.Provider.Tests;

/// <summary>Accepts every connection and every stream on it, and echoes, until it is disposed.</summary>
internal sealed class EchoServer : IAsyncDisposable
{
    private readonly QuicListener _listener;
    private readonly Task _serving;

    private EchoServer(QuicListener listener)
    {
        _listener = listener;
        _serving = ServeAsync(listener);
    }

    public IPEndPoint EndPoint => _listener.LocalEndPoint;

    public static async Task<EchoServer> StartAsync(
        Action<QuicServerConnectionOptions>? server = null,
        Action<QuicListenerOptions>? listen = null) => new(await Loopback.ListenAsync(server, o =>
        {
            o.ListenBacklog = 512;
            listen?.Invoke(o);
        }));

    /// <summary>Echoes on every stream of one connection until that ends; aborted streams are passed over.</summary>
    public static async Task ServeAsync(QuicConnection connection)
    {
        var streams = new List<Task>();
        try
        {
            while (true)
            {
                streams.Add(EchoAsync(await connection.AcceptInboundStreamAsync()));
                streams.RemoveAll(stream => stream.IsCompletedSuccessfully);
            }
        }
        catch (QuicException e) when (
            e.QuicError is QuicError.ConnectionAborted or QuicError.OperationAborted or QuicError.ConnectionIdle)
        {
            await Task.WhenAll(streams).Bounded();
        }
    }

    /// <summary>Ends the listener first, and waits for the clients to end their connections.</summary>
    public async ValueTask DisposeAsync()
    {
        await _listener.DisposeAsync().Bounded();
        await _serving.Bounded();
    }

    private static async Task ServeAsync(QuicListener listener)
    {
        var connections = new List<Task>();
        while (true)
        {
            try
            {
                connections.Add(ServeAndDisposeAsync(await listener.AcceptConnectionAsync()));
                connections.RemoveAll(connection => connection.IsCompletedSuccessfully);
            }
            catch (ObjectDisposedException)
            {
                await Task.WhenAll(connections).Bounded();
                return;
            }
            catch (Exception e) when (e is AuthenticationException or QuicException or OperationCanceledException)
            {
                // A handshake that failed, or took longer than HandshakeTimeout, is the client's to report.
            }
        }
    }

    private static async Task ServeAndDisposeAsync(QuicConnection connection)
    {
        await using (connection)
        {
            await ServeAsync(connection);
        }
    }

    private static async Task EchoAsync(QuicStream stream)
    {
        await using (stream)
        {
            try
            {
                if (stream.CanWrite)
                {
                    await stream.EchoAsync();
                }
                else
                {
                    await stream.ReadToEndAsync();
                }
            }
            catch (QuicException e) when (
                e.QuicError is QuicError.StreamAborted or QuicError.ConnectionAborted or QuicError.OperationAborted
                    or QuicError.ConnectionIdle)
            {
                // The client's right.
            }
        }
    }
}
