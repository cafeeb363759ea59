using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Kwik.Cli.Bench.Peers;

namespace Kwik.Cli.Bench.Plain;

/// <summary>System.Net.Quic without Kwik: speaks <see cref="PeerProtocol"/> with one client, and on one stream, after the other.</summary>
internal sealed class PlainServer : IPeerServer
{
    private readonly QuicListener _listener;

    private PlainServer(QuicListener listener) => _listener = listener;

    public static SslApplicationProtocol Protocol { get; } = new("plain");

    public IPEndPoint EndPoint => _listener.LocalEndPoint;

    /// <summary>Listens on loopback, on a port that the system chooses.</summary>
    public static async Task<PlainServer> ListenAsync(X509Certificate2 certificate, CancellationToken cancellationToken) =>
        new(await QuicListener.ListenAsync(
            new QuicListenerOptions
            {
                ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
                ApplicationProtocols = [Protocol],
                ConnectionOptionsCallback = (_, _, _) => ValueTask.FromResult(new QuicServerConnectionOptions
                {
                    DefaultStreamErrorCode = 1,
                    DefaultCloseErrorCode = 1,
                    MaxInboundBidirectionalStreams = 16,
                    ServerAuthenticationOptions = new SslServerAuthenticationOptions
                    {
                        ApplicationProtocols = [Protocol],
                        ServerCertificate = certificate,
                    },
                }),
            },
            cancellationToken));

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await using QuicConnection connection = await _listener.AcceptConnectionAsync(cancellationToken);
                while (true)
                {
                    await using QuicStream stream = await connection.AcceptInboundStreamAsync(cancellationToken);
                    await PeerProtocol.AnswerAsync(stream, cancellationToken);
                    stream.CompleteWrites();
                    await stream.WritesClosed.WaitAsync(cancellationToken);
                }
            }
            catch (Exception e) when (e is QuicException or EndOfStreamException)
            {
                // The client has left, or never really came; the next may.
            }
        }
    }

    public ValueTask DisposeAsync() => _listener.DisposeAsync();
}
