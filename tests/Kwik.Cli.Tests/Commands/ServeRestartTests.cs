using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Kwik.Sessions;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Commands;

/// <summary>A server that is killed and started again.</summary>
public sealed class ServeRestartTests : IDisposable
{
    private readonly TemporaryDirectory _served = new();
    private readonly TemporaryDirectory _here = new();

    public void Dispose()
    {
        _served.Dispose();
        _here.Dispose();
    }

    /// <summary>
    /// The client is plain QUIC and patient: it sends a ping each second and waits for an answer for as long as the server said that
    /// it would be there, 30 s. Only a stateless reset can end its connection before.
    /// </summary>
    [Fact]
    public async Task Serve_KilledAndStartedAgainWithItsCertificate_EndsItsOldConnectionsAtOnce()
    {
        QuicProvider.EnsureLoaded();
        (await KwikProcess.RunAsync(_here.Path, "cert", "-o", "c.pem", "--name", "localhost")).AssertSuccess();
        string[] identity = ["--cert", _here["c.pem"], "--key", _here["c.key"]];
        IPEndPoint endPoint;
        QuicConnection connection;
        await using (ServeProcess first = await ServeProcess.StartAsync(_served.Path, identity))
        {
            endPoint = first.EndPoint;
            connection = await ConnectAsync(endPoint).WithinAsync();
            await WaitUntilConfirmedAsync(connection);
            await first.Process.SignalAsync("KILL");
            await first.Process.EndAsync();
        }

        await using (connection)
        {
            await using ServeProcess second = await ServeProcess.StartAtAsync(endPoint, _served.Path, identity);

            // Streams of the server are accepted until the connection ends: it opens its control stream.
            QuicException ended = await Assert.ThrowsAsync<QuicException>(async () =>
            {
                while (true)
                {
                    await (await connection.AcceptInboundStreamAsync().WithinAsync()).DisposeAsync();
                }
            });

            Assert.NotEqual(QuicError.ConnectionIdle, ended.QuicError);
            Assert.NotEqual(QuicError.ConnectionTimeout, ended.QuicError);
        }
    }

    /// <summary>
    /// Until the server has acknowledged data, so that its side of the handshake is over too. Before, a client repeats the end of the
    /// handshake and soon pings no more (RFC 9002, 6.2.1), and to that a server that knows nothing of it is silent.
    /// </summary>
    private static async Task WaitUntilConfirmedAsync(QuicConnection connection)
    {
        // The first stream is the session's control, for whose Hello the server waits; it does not look at the second before. So the
        // first stays open, until the connection ends.
        QuicStream control = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).WithinAsync();
        await control.WriteAsync(new byte[1]).WithinAsync();
        QuicStream acknowledged = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).WithinAsync();
        await acknowledged.WriteAsync(new byte[1], completeWrites: true).WithinAsync();
        await acknowledged.WritesClosed.WithinAsync();
    }

    private async Task<QuicConnection> ConnectAsync(IPEndPoint server)
    {
        X509Certificate2 identity = KwikCertificate.CreateSelfSigned(["client"], TimeSpan.FromDays(1), TimeProvider.System.GetUtcNow());
        return await QuicConnection.ConnectAsync(new QuicClientConnectionOptions
        {
            RemoteEndPoint = server,
            DefaultCloseErrorCode = 0,
            DefaultStreamErrorCode = 0,
            IdleTimeout = TimeSpan.FromMinutes(10),
            KeepAliveInterval = TimeSpan.FromSeconds(1),
            MaxInboundBidirectionalStreams = 10,
            MaxInboundUnidirectionalStreams = 10,
            ClientAuthenticationOptions = new SslClientAuthenticationOptions
            {
                ApplicationProtocols = [new SslApplicationProtocol("kwik/1")],
                TargetHost = "localhost",
                LocalCertificateSelectionCallback = (_, _, _, _, _) => identity,
                CertificateChainPolicy = new X509ChainPolicy
                {
                    TrustMode = X509ChainTrustMode.CustomRootTrust,
                    CustomTrustStore = { X509CertificateLoader.LoadCertificateFromFile(_here["c.pem"]) },
                    RevocationMode = X509RevocationMode.NoCheck,
                },
            },
        });
    }
}
