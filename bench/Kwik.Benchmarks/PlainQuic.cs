using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>System.Net.Quic without Kwik, on loopback: what Kwik is compared with.</summary>
internal static class PlainQuic
{
    private static readonly SslApplicationProtocol Protocol = new("plain");

    public static ValueTask<QuicListener> ListenAsync(X509Certificate2 certificate) => QuicListener.ListenAsync(new QuicListenerOptions
    {
        ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
        ApplicationProtocols = [Protocol],
        ConnectionOptionsCallback = (_, _, _) => ValueTask.FromResult(new QuicServerConnectionOptions
        {
            DefaultStreamErrorCode = 1,
            DefaultCloseErrorCode = 1,
            MaxInboundUnidirectionalStreams = 64,
            MaxInboundBidirectionalStreams = 10_000,
            ServerAuthenticationOptions = new SslServerAuthenticationOptions
            {
                ApplicationProtocols = [Protocol],
                ServerCertificate = certificate,
            },
        }),
    });

    /// <summary>Connects to a server whose certificate has this key.</summary>
    public static ValueTask<QuicConnection> ConnectAsync(IPEndPoint server, KeyHash pin) => QuicConnection.ConnectAsync(new QuicClientConnectionOptions
    {
        RemoteEndPoint = server,
        DefaultStreamErrorCode = 1,
        DefaultCloseErrorCode = 0,
        ClientAuthenticationOptions = new SslClientAuthenticationOptions
        {
            ApplicationProtocols = [Protocol],
            TargetHost = "localhost",
            RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is X509Certificate2 c && KeyHash.OfCertificate(c) == pin,
        },
    });
}
