using System.Net.Quic;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>A client that shows no certificate, at a listener that wants one, over real QUIC.</summary>
public sealed class ClientCertificateTests
{
    [Theory]
    [InlineData(ServerRole.Primary)]
    [InlineData(ServerRole.Secondary)]
    public async Task Client_WithoutACertificate_IsNotAdmitted(ServerRole role)
    {
        using PrimaryKey key = PrimaryKey.Create();
        await using KwikListener listener = await KwikListener.ListenAsync(
            new KwikListenerOptions
            {
                Role = role,
                ListenEndPoint = new System.Net.IPEndPoint(System.Net.IPAddress.Loopback, 0),
                Certificate = TestCertificates.SelfSigned("server"),
                SigningKey = role == ServerRole.Primary ? key : null,
                TrustedPrimaries = [key.PublicKey],
            }).WithinAsync();

        // In TLS 1.3 the client has finished its handshake before the server has seen what it did not send.
        await Assert.ThrowsAsync<AuthenticationException>(async () =>
        {
            await using QuicConnection connection = await QuicConnection.ConnectAsync(new QuicClientConnectionOptions
            {
                RemoteEndPoint = listener.LocalEndPoint,
                DefaultStreamErrorCode = (long)KwikError.Cancelled,
                DefaultCloseErrorCode = (long)KwikError.None,
                MaxInboundBidirectionalStreams = 1,
                ClientAuthenticationOptions = new SslClientAuthenticationOptions
                {
                    ApplicationProtocols = [new SslApplicationProtocol("kwik/1")],
                    TargetHost = "server",
                    RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                        KeyHash.OfCertificate((X509Certificate2)certificate!) == listener.Pin,
                },
            }).WithinAsync();
            await connection.AcceptInboundStreamAsync().WithinAsync();
        });
    }
}
