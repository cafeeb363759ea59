using System.Buffers.Binary;
using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;

namespace Kwik.Cli.Bench.Plain;

/// <summary>Downloads from a <see cref="PlainServer"/>: what Kwik is compared with.</summary>
internal static class PlainClient
{
    // So much that the window never limits: what is measured is the link.
    private const int Window = 16 * 1024 * 1024;
    private const int ReadSize = 256 * 1024;

    /// <summary>One download over a connection of its own; the clock starts when that is there.</summary>
    /// <exception cref="KwikException">The server is gone.</exception>
    public static async Task<TimedDownload> DownloadAsync(IPEndPoint server, KeyHash pin, long bytes, CancellationToken cancellationToken)
    {
        try
        {
            return await DownloadFromAsync(server, pin, bytes, cancellationToken);
        }
        catch (QuicException e)
        {
            throw new KwikException(KwikError.PathLost, KwikErrorSide.Network, $"The plain server at {server} is gone. {e.Message}", e);
        }
    }

    private static async Task<TimedDownload> DownloadFromAsync(
        IPEndPoint server, KeyHash pin, long bytes, CancellationToken cancellationToken)
    {
        await using QuicConnection connection = await QuicConnection.ConnectAsync(
            new QuicClientConnectionOptions
            {
                RemoteEndPoint = server,
                DefaultStreamErrorCode = 1,
                DefaultCloseErrorCode = 0,
                MaxInboundUnidirectionalStreams = 1,
                InitialReceiveWindowSizes = new() { Connection = Window, UnidirectionalStream = Window },
                ClientAuthenticationOptions = new SslClientAuthenticationOptions
                {
                    ApplicationProtocols = [PlainServer.Protocol],
                    TargetHost = "localhost",
                    RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                        certificate is X509Certificate2 presented && KeyHash.OfCertificate(presented) == pin,
                },
            },
            cancellationToken);
        var download = new TimedDownload(TimeProvider.System);
        var request = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64BigEndian(request, bytes);
        await using QuicStream asking = await connection.OpenOutboundStreamAsync(QuicStreamType.Unidirectional, cancellationToken);
        await asking.WriteAsync(request, completeWrites: true, cancellationToken);
        await using QuicStream answer = await connection.AcceptInboundStreamAsync(cancellationToken);
        var buffer = new byte[ReadSize];
        while (await answer.ReadAsync(buffer, cancellationToken) is > 0 and int read)
        {
            download.Arrived(read);
        }

        await connection.CloseAsync(0, cancellationToken);
        return download;
    }
}
