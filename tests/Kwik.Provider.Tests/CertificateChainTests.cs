using System.Net.Quic;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>Chains of every kind of key, on both sides, whole and broken, short and longer than a first flight may be.</summary>
public sealed class CertificateChainTests
{
    /// <summary>What a server may send at most to an address that is not validated: three times the client's datagram.</summary>
    private const int FirstFlight = 3 * 1_472;

    public static TheoryData<KeyKind, KeyKind, int> Chains => new()
    {
        { KeyKind.Rsa2048, KeyKind.Rsa2048, 1 },
        { KeyKind.Rsa2048, KeyKind.EcdsaP384, 2 },
        { KeyKind.Rsa3072, KeyKind.Rsa2048, 2 },
        { KeyKind.Rsa4096, KeyKind.EcdsaP256, 1 },
        { KeyKind.EcdsaP256, KeyKind.Rsa3072, 1 },
        { KeyKind.EcdsaP256, KeyKind.EcdsaP256, 2 },
        { KeyKind.EcdsaP384, KeyKind.EcdsaP384, 0 },
        { KeyKind.EcdsaP384, KeyKind.EcdsaP384, 2 },
        { KeyKind.EcdsaP521, KeyKind.EcdsaP521, 0 },
        { KeyKind.EcdsaP521, KeyKind.EcdsaP521, 2 },
    };

    [Theory]
    [MemberData(nameof(Chains))]
    public async Task Connect_ServerAndClientWithChains_EachSeesTheOthersWholeChain(KeyKind leafs, KeyKind authorities, int intermediates)
    {
        var authority = new CertificateAuthority(authorities, intermediates);
        using X509Certificate2 serverLeaf = authority.MakeLeaf(leafs);
        // System.Net.Quic compares the client's certificate with the name that the client asked for.
        using X509Certificate2 clientLeaf = authority.MakeLeaf(leafs);
        var seen = new TaskCompletionSource<string[]>(TaskCreationOptions.RunContinuationsAsynchronously);

        await using Loopback pair = await Loopback.StartAsync(
            server: o =>
            {
                Present(serverLeaf, authority.Intermediates)(o);
                o.ServerAuthenticationOptions.ClientCertificateRequired = true;
                o.ServerAuthenticationOptions.CertificateChainPolicy = authority.Trust();
                o.ServerAuthenticationOptions.RemoteCertificateValidationCallback = (_, _, chain, errors) =>
                {
                    seen.TrySetResult([.. chain!.ChainElements.Select(element => element.Certificate.Thumbprint)]);
                    return errors == SslPolicyErrors.None;
                };
            },
            client: o =>
            {
                o.ClientAuthenticationOptions.CertificateChainPolicy = authority.Trust();
                o.ClientAuthenticationOptions.ClientCertificateContext =
                    SslStreamCertificateContext.Create(clientLeaf, authority.Intermediates, offline: true);
            });

        string[] expected = [clientLeaf.Thumbprint, .. authority.Intermediates.Select(c => c.Thumbprint), authority.Root.Thumbprint];
        Assert.Equal(expected, await seen.Task.Bounded());
        Assert.Equal(serverLeaf, pair.Client.RemoteCertificate);
        Assert.Equal(clientLeaf, pair.Server.RemoteCertificate);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Theory]
    [InlineData("the leaf's issuer is missing")]
    [InlineData("the upper intermediate is missing")]
    [InlineData("all are missing")]
    [InlineData("the leaf's issuer has expired")]
    [InlineData("the root is another of the same name")]
    [InlineData("the leaf is for another name")]
    public async Task Connect_BrokenChainOfTheServer_ThrowsAuthenticationException(string fault)
    {
        var authority = new CertificateAuthority(KeyKind.EcdsaP256, intermediates: 2, expired: fault == "the leaf's issuer has expired");
        X509Certificate2Collection sent = fault switch
        {
            "the leaf's issuer is missing" => [authority.Intermediates[1]],
            "the upper intermediate is missing" => [authority.Intermediates[0]],
            "all are missing" => [],
            _ => authority.Intermediates,
        };
        X509ChainPolicy trust = fault == "the root is another of the same name"
            ? new CertificateAuthority(KeyKind.EcdsaP256, intermediates: 0).Trust()
            : authority.Trust();
        using X509Certificate2 leaf =
            fault == "the leaf is for another name" ? authority.MakeLeaf(KeyKind.EcdsaP256, "other.example") : authority.MakeLeaf(KeyKind.EcdsaP256);
        await using QuicListener listener = await Loopback.ListenAsync(Present(leaf, sent));
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        await Assert.ThrowsAsync<AuthenticationException>(() => QuicConnection.ConnectAsync(Loopback.ClientOptions(
            listener.LocalEndPoint, o => o.ClientAuthenticationOptions.CertificateChainPolicy = trust)).Bounded());

        await Assert.ThrowsAsync<AuthenticationException>(accept.Bounded);
    }

    [Fact]
    public async Task Connect_ClientSendsNoIntermediate_ServerRejects()
    {
        var authority = new CertificateAuthority(KeyKind.EcdsaP256, intermediates: 1);
        using X509Certificate2 leaf = authority.MakeLeaf(KeyKind.EcdsaP256);
        await using QuicListener listener = await Loopback.ListenAsync(o =>
        {
            o.ServerAuthenticationOptions.ClientCertificateRequired = true;
            o.ServerAuthenticationOptions.CertificateChainPolicy = authority.Trust();
        });
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        // A client in TLS 1.3 may be done before the server decides, and then learns of it in its first wait.
        await Assert.ThrowsAsync<AuthenticationException>(async () =>
        {
            await using QuicConnection connection = await QuicConnection.ConnectAsync(Loopback.ClientOptions(
                listener.LocalEndPoint,
                o => o.ClientAuthenticationOptions.ClientCertificateContext = SslStreamCertificateContext.Create(leaf, [], offline: true))).Bounded();
            await connection.AcceptInboundStreamAsync().Bounded();
        });

        await Assert.ThrowsAsync<AuthenticationException>(accept.Bounded);
    }

    [Theory]
    [InlineData(0.0)]
    [InlineData(0.05)]
    public async Task Connect_ChainsLongerThanAFirstFlight_SucceedOverALink(double loss)
    {
        var authority = new CertificateAuthority(KeyKind.Rsa2048, intermediates: 2);
        // As many names as the certificates of large sites have.
        string[] names = ["localhost", .. Enumerable.Range(0, 120).Select(i => $"name-{i}.of.a.large.site.example")];
        using X509Certificate2 serverLeaf = authority.MakeLeaf(KeyKind.Rsa2048, names);
        using X509Certificate2 clientLeaf = authority.MakeLeaf(KeyKind.Rsa2048, names);
        Assert.True(serverLeaf.RawData.Length + authority.Intermediates.Sum(c => c.RawData.Length) > FirstFlight);
        await using QuicListener listener = await Loopback.ListenAsync(o =>
        {
            Present(serverLeaf, authority.Intermediates)(o);
            o.ServerAuthenticationOptions.ClientCertificateRequired = true;
            o.ServerAuthenticationOptions.CertificateChainPolicy = authority.Trust();
        });
        var link = new LinkOptions { Delay = TimeSpan.FromMilliseconds(2), Loss = loss };
        using UdpRelay relay = UdpRelay.Start(new() { Target = listener.LocalEndPoint, Seed = 7, ToServer = link, ToClient = link });

        for (int i = 0; i < 8; i++)
        {
            (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener, relay.LocalEndPoint, o =>
            {
                o.ClientAuthenticationOptions.CertificateChainPolicy = authority.Trust();
                o.ClientAuthenticationOptions.ClientCertificateContext =
                    SslStreamCertificateContext.Create(clientLeaf, authority.Intermediates, offline: true);
            });
            await using (client)
            await using (server)
            {
                Assert.Equal(clientLeaf, server.RemoteCertificate);
                await client.AssertAliveAsync(server);
            }
        }

        Assert.Equal(loss > 0, relay.ToClientCounters.DroppedByLoss + relay.ToServerCounters.DroppedByLoss > 0);
    }

    private static Action<QuicServerConnectionOptions> Present(X509Certificate2 leaf, X509Certificate2Collection intermediates)
    {
        SslStreamCertificateContext context = SslStreamCertificateContext.Create(leaf, intermediates, offline: true);
        return o => o.ServerAuthenticationOptions.ServerCertificateContext = context;
    }
}
