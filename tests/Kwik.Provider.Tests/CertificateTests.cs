using System.Net.Quic;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.Provider.Tests;

/// <summary>The server's certificate: what the client is shown, and what it accepts.</summary>
public sealed class CertificateTests
{
    [Fact]
    public async Task Connect_LeafBelowTheTrustedRoot_Succeeds()
    {
        await using Loopback pair = await Loopback.StartAsync();

        Assert.Equal(Certificates.Server, pair.Client.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connect_IntermediateSentWithTheLeaf_Succeeds()
    {
        await using Loopback pair = await Loopback.StartAsync(server: PresentChain);

        Assert.Equal(Certificates.ServerBelowIntermediate, pair.Client.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connect_IntermediateSentWithTheLeaf_CallbackSeesTheWholeChain()
    {
        var seen = new TaskCompletionSource<(SslPolicyErrors, string[])>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using Loopback pair = await Loopback.StartAsync(
            server: PresentChain,
            client: o => o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, _, chain, errors) =>
            {
                seen.TrySetResult((errors, [.. chain!.ChainElements.Select(element => element.Certificate.Thumbprint)]));
                return true;
            });

        (SslPolicyErrors errors, string[] thumbprints) = await seen.Task.Bounded();
        Assert.Equal(SslPolicyErrors.None, errors);
        Assert.Equal(
            [Certificates.ServerBelowIntermediate.Thumbprint, Certificates.Intermediate.Thumbprint, Certificates.Root.Thumbprint],
            thumbprints);
    }

    [Fact]
    public Task Connect_IntermediateMissing_ThrowsAuthenticationException() => AssertRejectedAsync(
        server: o => o.ServerAuthenticationOptions.ServerCertificate = Certificates.ServerBelowIntermediate);

    [Fact]
    public Task Connect_SelfSigned_ThrowsAuthenticationException() => AssertRejectedAsync(
        server: o => o.ServerAuthenticationOptions.ServerCertificate = Certificates.MakeSelfSigned("CN=localhost"));

    [Fact]
    public Task Connect_Expired_ThrowsAuthenticationException() => AssertRejectedAsync(
        server: o => o.ServerAuthenticationOptions.ServerCertificate = Certificates.MakeExpired());

    [Fact]
    public Task Connect_OtherHostName_ThrowsAuthenticationException() => AssertRejectedAsync(
        client: o => o.ClientAuthenticationOptions.TargetHost = "other.example");

    [Fact]
    public Task Connect_CallbackReturnsFalse_ThrowsAuthenticationException() => AssertRejectedAsync(
        client: o => o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, _, _, _) => false);

    [Fact]
    public async Task Connect_OtherHostNameAndCallbackThatAccepts_SucceedsAndCallbackSawTheMismatch()
    {
        var seen = new TaskCompletionSource<SslPolicyErrors>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using Loopback pair = await Loopback.StartAsync(client: o =>
        {
            o.ClientAuthenticationOptions.TargetHost = "other.example";
            o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, _, _, errors) => seen.TrySetResult(errors);
        });

        Assert.Equal(SslPolicyErrors.RemoteCertificateNameMismatch, await seen.Task.Bounded());
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connect_SelfSignedAndCallbackThatAccepts_SucceedsAndCallbackSawTheChainError()
    {
        using X509Certificate2 selfSigned = Certificates.MakeSelfSigned("CN=localhost");
        var seen = new TaskCompletionSource<SslPolicyErrors>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using Loopback pair = await Loopback.StartAsync(
            server: o => o.ServerAuthenticationOptions.ServerCertificate = selfSigned,
            client: o => o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, _, _, errors) => seen.TrySetResult(errors));

        Assert.Equal(SslPolicyErrors.RemoteCertificateChainErrors, await seen.Task.Bounded());
        Assert.Equal(selfSigned, pair.Client.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connect_CallbackTakesItsTime_WaitsWithoutHoldingUpOtherConnections()
    {
        await using QuicListener listener = await Loopback.ListenAsync();
        using var entered = new SemaphoreSlim(0);
        using var release = new SemaphoreSlim(0);
        Task<QuicConnection> slow = Loopback.ConnectAsync(
            listener.LocalEndPoint,
            o => o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, _, _, _) =>
            {
                entered.Release();
                return release.Wait(Patience.Limit);
            });
        await entered.WaitAsync().Bounded();

        (QuicConnection other, QuicConnection otherServer) = await Loopback.ConnectAsync(listener);
        await using (other)
        await using (otherServer)
        {
            await other.AssertAliveAsync(otherServer);
            Assert.False(slow.IsCompleted);
        }

        release.Release();
        await using QuicConnection client = await slow.Bounded();
        await using QuicConnection server = await listener.AcceptConnectionAsync().Bounded();
        await client.AssertAliveAsync(server);
    }

    [Fact]
    public async Task Connect_LongRsaChain_Succeeds()
    {
        // More than three times the client's first flight: the server must wait for the client's address to be validated.
        using X509Certificate2 leaf = Certificates.MakeRsa();
        X509Certificate2Collection more = [.. Enumerable.Range(0, 6).Select(_ => Certificates.MakeRsa())];
        await using Loopback pair = await Loopback.StartAsync(server: o =>
            o.ServerAuthenticationOptions.ServerCertificateContext = SslStreamCertificateContext.Create(leaf, more, offline: true));

        Assert.Equal(leaf, pair.Client.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    private static void PresentChain(QuicServerConnectionOptions options) =>
        options.ServerAuthenticationOptions.ServerCertificateContext =
            SslStreamCertificateContext.Create(Certificates.ServerBelowIntermediate, [Certificates.Intermediate], offline: true);

    /// <summary>The client turns the server away; the server learns that much, and serves the next one.</summary>
    private static async Task AssertRejectedAsync(
        Action<QuicServerConnectionOptions>? server = null,
        Action<QuicClientConnectionOptions>? client = null)
    {
        await using QuicListener listener = await Loopback.ListenAsync(server);
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        await Assert.ThrowsAsync<AuthenticationException>(() =>
            QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint, client)).Bounded());
        await Assert.ThrowsAsync<AuthenticationException>(accept.Bounded);

        (QuicConnection next, QuicConnection nextServer) = await Loopback.ConnectAsync(
            listener, o => o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, presented, _, _) => presented is not null);
        await using (next)
        await using (nextServer)
        {
            await next.AssertAliveAsync(nextServer);
        }
    }
}
