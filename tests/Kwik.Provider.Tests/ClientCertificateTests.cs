using System.Net.Quic;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.Provider.Tests;

/// <summary>The client's certificate: asked for or not, sent or not, accepted or not.</summary>
public sealed class ClientCertificateTests
{
    [Fact]
    public async Task Connect_AskedAndSent_ServerSeesIt()
    {
        await using Loopback pair = await Loopback.StartAsync(server: AskAndTrustRoot, client: Send(Certificates.Client));

        Assert.Equal(Certificates.Client, pair.Server.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connect_AskedAndSentWithIntermediate_ServerBuildsTheChain()
    {
        await using Loopback pair = await Loopback.StartAsync(
            server: AskAndTrustRoot,
            client: o => o.ClientAuthenticationOptions.ClientCertificateContext =
                SslStreamCertificateContext.Create(Certificates.ClientBelowIntermediate, [Certificates.Intermediate], offline: true));

        Assert.Equal(Certificates.ClientBelowIntermediate, pair.Server.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connect_AskedAndSelfSigned_ServersCallbackSeesItAndDecides()
    {
        using X509Certificate2 selfSigned = Certificates.MakeSelfSigned("CN=somebody");
        await using Loopback pair = await Loopback.StartAsync(
            server: o =>
            {
                AskAndTrustRoot(o);
                o.ServerAuthenticationOptions.RemoteCertificateValidationCallback = (_, certificate, _, errors) =>
                    certificate!.Equals(selfSigned) && errors == SslPolicyErrors.RemoteCertificateChainErrors;
            },
            client: Send(selfSigned));

        Assert.Equal(selfSigned, pair.Server.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connect_AskedAndNoneSent_ServersCallbackSeesNoneAndDecides()
    {
        var seen = new TaskCompletionSource<(bool, SslPolicyErrors)>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using Loopback pair = await Loopback.StartAsync(server: o =>
        {
            AskAndTrustRoot(o);
            o.ServerAuthenticationOptions.RemoteCertificateValidationCallback = (_, certificate, _, errors) =>
                seen.TrySetResult((certificate is null, errors));
        });

        Assert.Equal((true, SslPolicyErrors.RemoteCertificateNotAvailable), await seen.Task.Bounded());
        Assert.Null(pair.Server.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public Task Connect_AskedAndNoneSent_ServerRejects() => AssertRejectedAsync(AskAndTrustRoot, client: null);

    [Fact]
    public Task Connect_AskedAndSelfSigned_ServerRejects() =>
        AssertRejectedAsync(AskAndTrustRoot, Send(Certificates.MakeSelfSigned("CN=somebody")));

    [Fact]
    public Task Connect_CallbackOfTheServerReturnsFalse_ServerRejects() => AssertRejectedAsync(
        o =>
        {
            AskAndTrustRoot(o);
            o.ServerAuthenticationOptions.RemoteCertificateValidationCallback = (_, _, _, _) => false;
        },
        Send(Certificates.Client));

    [Fact]
    public async Task Connect_NotAskedButOffered_ServerSeesNone()
    {
        await using Loopback pair = await Loopback.StartAsync(client: Send(Certificates.Client));

        Assert.Null(pair.Server.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connect_ManyClientsWithTheirOwnCertificates_ServerSeesEachItsOwn()
    {
        await using QuicListener listener = await Loopback.ListenAsync(server: o =>
        {
            AskAndTrustRoot(o);
            o.ServerAuthenticationOptions.RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate is not null;
        });

        for (int i = 0; i < 20; i++)
        {
            using X509Certificate2 own = Certificates.MakeSelfSigned($"CN=client {i}");
            (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener, Send(own));
            await using (client)
            await using (server)
            {
                Assert.Equal(own, server.RemoteCertificate);
            }
        }
    }

    private static void AskAndTrustRoot(QuicServerConnectionOptions options)
    {
        options.ServerAuthenticationOptions.ClientCertificateRequired = true;
        options.ServerAuthenticationOptions.CertificateChainPolicy = Certificates.TrustRoot();
    }

    private static Action<QuicClientConnectionOptions> Send(X509Certificate2 certificate) =>
        options => options.ClientAuthenticationOptions.ClientCertificates = [certificate];

    /// <summary>
    /// The server turns the client away. In TLS 1.3 the client has finished its handshake by then: it learns of it in
    /// ConnectAsync or in the first call that waits, as the same exception.
    /// </summary>
    private static async Task AssertRejectedAsync(
        Action<QuicServerConnectionOptions> server,
        Action<QuicClientConnectionOptions>? client)
    {
        await using QuicListener listener = await Loopback.ListenAsync(server);
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        await Assert.ThrowsAsync<AuthenticationException>(async () =>
        {
            await using QuicConnection connection =
                await QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint, client)).Bounded();
            await connection.AcceptInboundStreamAsync().Bounded();
        });

        await Assert.ThrowsAsync<AuthenticationException>(accept.Bounded);
    }
}
