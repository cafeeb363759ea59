using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading.Channels;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>What strangers do to a listener with the handshake, over real QUIC.</summary>
public sealed class QuicTransportListenerTests
{
    private static readonly IPEndPoint AnyPort = new(IPAddress.Loopback, 0);

    /// <summary>A certificate may say where its issuer's is found, and by default .NET goes there: wherever a stranger sends this server.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Accept_OfACertificateThatNamesItsIssuersAddress_DoesNotGoThere(bool withRoots)
    {
        using var issuer = new TcpListener(AnyPort);
        issuer.Start();
        await using ITransportListener listener = await ListenAsync(
            TestCertificates.SelfSigned("server"), withRoots ? [TestCertificates.Root] : null);
        Task<ITransportConnection> accepting = listener.AcceptConnectionAsync(CancellationToken.None).AsTask();

        await using ITransportConnection client = await ConnectAsync(
            listener, TestCertificates.Issued("client", $"http://{issuer.LocalEndpoint}/issuer.cer")).WithinAsync();

        if (withRoots)
        {
            // Its own side of the handshake was over before.
            KwikException e = await Assert.ThrowsAsync<KwikException>(() => client.AcceptStreamAsync(CancellationToken.None).WithinAsync());
            Assert.Equal(KwikError.AuthenticationFailed, e.Code);
        }
        else
        {
            await using ITransportConnection accepted = await accepting.WithinAsync();
        }

        Assert.False(issuer.Pending());
    }

    /// <summary>What System.Net.Quic hands over of a handshake can be any exception, and says nothing of the next one.</summary>
    [Fact]
    public async Task Accept_AfterAHandshakeThatFailedUnexpectedly_GoesOn()
    {
        var certificate = new X509Certificate2(TestCertificates.SelfSigned("server"));
        var failures = Channel.CreateUnbounded<KwikException>();
        await using ITransportListener listener = await ListenAsync(
            certificate, clientRoots: null, failure => Assert.True(failures.Writer.TryWrite(failure)));
        Task<ITransportConnection> accepting = listener.AcceptConnectionAsync(CancellationToken.None).AsTask();
        // From now on every handshake ends in a CryptographicException.
        certificate.Dispose();

        for (int client = 0; client < 3; client++)
        {
            await Assert.ThrowsAsync<KwikException>(() => ConnectAsync(listener, TestCertificates.SelfSigned("client")).WithinAsync());
            KwikException failure = await failures.Reader.ReadAsync().WithinAsync();
            Assert.Equal(KwikError.Internal, failure.Code);
            Assert.IsType<CryptographicException>(failure.InnerException);
        }

        Assert.False(accepting.IsCompleted);
        await listener.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => accepting.WithinAsync());
    }

    /// <summary>So it is with what looking at a server's certificate throws: whoever connects expects a KwikException.</summary>
    [Fact]
    public async Task Connect_WhereTheHandshakeFailsUnexpectedly_IsAKwikException()
    {
        await using ITransportListener listener = await ListenAsync(TestCertificates.SelfSigned("server"), clientRoots: null);
        var root = new X509Certificate2(TestCertificates.SelfSigned("root"));
        // With it no chain can be built.
        root.Dispose();

        KwikException e = await Assert.ThrowsAsync<KwikException>(
            () => ConnectAsync(listener, TestCertificates.SelfSigned("client"), [root]).WithinAsync());
        Assert.Equal(KwikError.Internal, e.Code);
        Assert.IsType<CryptographicException>(e.InnerException);
    }

    private static async Task<ITransportListener> ListenAsync(
        X509Certificate2 certificate, X509Certificate2Collection? clientRoots, Action<KwikException>? handshakeFailed = null) =>
        await QuicTransport.Instance.ListenAsync(
            new() { LocalEndPoint = AnyPort, ServerCertificate = certificate, TrustedClientRoots = clientRoots, HandshakeFailed = handshakeFailed },
            CancellationToken.None);

    private static async Task<ITransportConnection> ConnectAsync(
        ITransportListener listener, X509Certificate2 certificate, X509Certificate2Collection? roots = null) =>
        await QuicTransport.Instance.ConnectAsync(
            new()
            {
                RemoteEndPoint = listener.LocalEndPoint,
                ServerName = "server",
                ClientCertificate = certificate,
                TrustedRoots = roots,
                AcceptAnyServer = true,
                InboundBidirectionalStreams = 1,
            },
            CancellationToken.None);
}
