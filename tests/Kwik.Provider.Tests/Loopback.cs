using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Kwik.Provider.Tests;

/// <summary>A listener on loopback and one connection to it, both ends in hand.</summary>
internal sealed class Loopback : IAsyncDisposable
{
    /// <summary>The default codes of the four kinds, all different, so that a test knows which one it sees.</summary>
    public const long ServerStreamCode = 0x51;
    public const long ServerCloseCode = 0x52;
    public const long ClientStreamCode = 0x61;
    public const long ClientCloseCode = 0x62;

    /// <summary>The largest code that a QUIC frame can carry: 2^62 - 1.</summary>
    public const long LargestCode = (1L << 62) - 1;

    public static readonly SslApplicationProtocol Protocol = new("kwik-suite");

    private Loopback(QuicListener listener, QuicConnection client, QuicConnection server)
    {
        Listener = listener;
        Client = client;
        Server = server;
    }

    public QuicListener Listener { get; }

    public QuicConnection Client { get; }

    public QuicConnection Server { get; }

    /// <summary>Listens and connects, with the options as the caller changes them.</summary>
    public static async Task<Loopback> StartAsync(
        Action<QuicServerConnectionOptions>? server = null,
        Action<QuicClientConnectionOptions>? client = null,
        IPEndPoint? listenEndPoint = null)
    {
        QuicListener listener = await ListenAsync(server, listen: o => o.ListenEndPoint = listenEndPoint ?? o.ListenEndPoint);
        (QuicConnection clientSide, QuicConnection serverSide) = await ConnectAsync(listener, client);
        return new Loopback(listener, clientSide, serverSide);
    }

    public static Task<QuicListener> ListenAsync(
        Action<QuicServerConnectionOptions>? server = null,
        Action<QuicListenerOptions>? listen = null)
    {
        var options = new QuicListenerOptions
        {
            ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            ApplicationProtocols = [Protocol],
            ConnectionOptionsCallback = (_, _, _) => ValueTask.FromResult(ServerOptions(server)),
        };
        listen?.Invoke(options);
        return QuicListener.ListenAsync(options).Bounded();
    }

    /// <summary>
    /// Connects to a listener and accepts there. Tries again when it is refused or gets no answer, as a client on a busy
    /// machine would: an MsQuic that falls behind turns handshakes away.
    /// </summary>
    public static Task<(QuicConnection Client, QuicConnection Server)> ConnectAsync(
        QuicListener listener,
        Action<QuicClientConnectionOptions>? client = null) => ConnectAsync(listener, listener.LocalEndPoint, client);

    public static async Task<(QuicConnection Client, QuicConnection Server)> ConnectAsync(
        QuicListener listener,
        EndPoint remote,
        Action<QuicClientConnectionOptions>? client = null)
    {
        QuicConnection connected = await ConnectAsync(remote, client);
        // Behind a relay the server sees the relay's port.
        bool direct = remote is not IPEndPoint { Port: int port } || port == listener.LocalEndPoint.Port;
        return (connected, await AcceptFromAsync(listener, direct ? connected.LocalEndPoint.Port : null).Bounded());
    }

    /// <summary>The client's half; as above, with the same retries.</summary>
    public static async Task<QuicConnection> ConnectAsync(EndPoint remote, Action<QuicClientConnectionOptions>? client = null)
    {
        const int Attempts = 5;
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                return await QuicConnection.ConnectAsync(ClientOptions(remote, client)).Bounded();
            }
            catch (QuicException e) when (
                attempt < Attempts && e.QuicError is QuicError.ConnectionRefused or QuicError.ConnectionTimeout)
            {
                // Counted above: the last one is the test's.
            }
        }
    }

    public static QuicServerConnectionOptions ServerOptions(Action<QuicServerConnectionOptions>? change = null)
    {
        var options = new QuicServerConnectionOptions
        {
            DefaultStreamErrorCode = ServerStreamCode,
            DefaultCloseErrorCode = ServerCloseCode,
            MaxInboundBidirectionalStreams = 100,
            MaxInboundUnidirectionalStreams = 100,
            ServerAuthenticationOptions = new SslServerAuthenticationOptions
            {
                ApplicationProtocols = [Protocol],
                ServerCertificate = Certificates.Server,
            },
        };
        change?.Invoke(options);
        return options;
    }

    public static QuicClientConnectionOptions ClientOptions(EndPoint remote, Action<QuicClientConnectionOptions>? change = null)
    {
        var options = new QuicClientConnectionOptions
        {
            RemoteEndPoint = remote,
            DefaultStreamErrorCode = ClientStreamCode,
            DefaultCloseErrorCode = ClientCloseCode,
            MaxInboundBidirectionalStreams = 100,
            MaxInboundUnidirectionalStreams = 100,
            ClientAuthenticationOptions = new SslClientAuthenticationOptions
            {
                ApplicationProtocols = [Protocol],
                TargetHost = "localhost",
                CertificateChainPolicy = Certificates.TrustRoot(),
            },
        };
        change?.Invoke(options);
        return options;
    }

    /// <summary>
    /// A UDP port of 127.0.0.1 that nobody has, for servers that clients try before they are there. It lies below the ports
    /// that the kernel gives to clients: else it gives this very one to some client in a few hundred, which then talks to
    /// itself and keeps the server from its port.
    /// </summary>
    public static int FreePort()
    {
        const int First = 10_000, End = 32_000;
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        while (true)
        {
            try
            {
                socket.Bind(new IPEndPoint(IPAddress.Loopback, Random.Shared.Next(First, End)));
                return ((IPEndPoint)socket.LocalEndPoint!).Port;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
                // Another one of the 22,000.
            }
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync().Bounded();
        await Server.DisposeAsync().Bounded();
        await Listener.DisposeAsync().Bounded();
    }

    /// <summary>Accepts until the connection of this client comes; an attempt that it gave up may stand before it.</summary>
    private static async Task<QuicConnection> AcceptFromAsync(QuicListener listener, int? clientPort)
    {
        while (true)
        {
            try
            {
                QuicConnection accepted = await listener.AcceptConnectionAsync();
                if (clientPort is null || accepted.RemoteEndPoint.Port == clientPort)
                {
                    return accepted;
                }

                await accepted.DisposeAsync();
            }
            catch (Exception e) when (
                e is AuthenticationException or QuicException { QuicError: not QuicError.OperationAborted })
            {
                // The other end of an attempt that failed at the client too, where it was tried again.
            }
        }
    }
}
