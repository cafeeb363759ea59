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
    /// The client is plain QUIC and patient: it sends a ping each second and would wait ten minutes for an answer. Only a
    /// stateless reset can end its connection within the bound of the test.
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
