using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Kwik.Cli.Bench.Peers;
using Kwik.Data;

namespace Kwik.Cli.Bench.Plain;

/// <summary>A connection with a <see cref="PlainServer"/>: what Kwik is compared with.</summary>
internal sealed class PlainConnection : IPeerConnection
{
    // So much that the window never limits, and as much as Kwik's connections allow.
    private const int Window = 16 * 1024 * 1024;

    private readonly QuicConnection _connection;

    private PlainConnection(QuicConnection connection) => _connection = connection;

    /// <exception cref="KwikException">The server is gone.</exception>
    public static async Task<PlainConnection> ConnectAsync(IPEndPoint server, KeyHash pin, CancellationToken cancellationToken)
    {
        try
        {
            return new(await QuicConnection.ConnectAsync(
                new QuicClientConnectionOptions
                {
                    RemoteEndPoint = server,
                    DefaultStreamErrorCode = 1,
                    DefaultCloseErrorCode = 0,
                    InitialReceiveWindowSizes = new() { Connection = Window, LocallyInitiatedBidirectionalStream = Window },
                    ClientAuthenticationOptions = new SslClientAuthenticationOptions
                    {
                        ApplicationProtocols = [PlainServer.Protocol],
                        TargetHost = "localhost",
                        RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                            certificate is X509Certificate2 presented && KeyHash.OfCertificate(presented) == pin,
                    },
                },
                cancellationToken));
        }
        catch (QuicException e)
        {
            throw new KwikException(KwikError.PathLost, KwikErrorSide.Network, $"The plain server at {server} is gone. {e.Message}", e);
        }
    }

    /// <summary>One download over a connection of its own; the clock starts when that is there.</summary>
    /// <exception cref="KwikException">The server is gone.</exception>
    public static async Task<TimedDownload> DownloadAsync(IPEndPoint server, KeyHash pin, long bytes, CancellationToken cancellationToken)
    {
        await using PlainConnection connection = await ConnectAsync(server, pin, cancellationToken);
        try
        {
            return await PeerProtocol.DownloadAsync(connection, bytes, cancellationToken);
        }
        catch (QuicException e)
        {
            throw new KwikException(KwikError.PathLost, KwikErrorSide.Network, $"The plain server at {server} is gone. {e.Message}", e);
        }
    }

    public async ValueTask<Stream> OpenAsync(CancellationToken cancellationToken) =>
        await _connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional, cancellationToken);

    public void CompleteWrites(Stream stream) => ((QuicStream)stream).CompleteWrites();

    public async ValueTask DisposeAsync()
    {
        await _connection.CloseAsync(0);
        await _connection.DisposeAsync();
    }
}
