using System.Net.Quic;
using System.Net.Security;

namespace Kwik.Provider.Tests;

/// <summary>Cipher suites as each side demands them.</summary>
public sealed class CipherTests
{
    private static readonly TlsCipherSuite[] Suites =
    [
        TlsCipherSuite.TLS_AES_128_GCM_SHA256,
        TlsCipherSuite.TLS_AES_256_GCM_SHA384,
        TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256,
    ];

    public static TheoryData<TlsCipherSuite> Each => [.. Suites];

    public static TheoryData<TlsCipherSuite, TlsCipherSuite> Different
    {
        get
        {
            var pairs = new TheoryData<TlsCipherSuite, TlsCipherSuite>();
            foreach (TlsCipherSuite server in Suites)
            {
                foreach (TlsCipherSuite client in Suites.Where(client => client != server))
                {
                    pairs.Add(server, client);
                }
            }

            return pairs;
        }
    }

    [Theory]
    [MemberData(nameof(Each))]
    public async Task Connect_SuiteDemandedByEitherSideOrBoth_IsNegotiatedAndReported(TlsCipherSuite suite)
    {
        foreach ((bool byServer, bool byClient) in new[] { (true, false), (false, true), (true, true) })
        {
            await using Loopback pair = await Loopback.StartAsync(
                server: o => o.ServerAuthenticationOptions.CipherSuitesPolicy = byServer ? new([suite]) : null,
                client: o => o.ClientAuthenticationOptions.CipherSuitesPolicy = byClient ? new([suite]) : null);

            Assert.Equal(suite, pair.Client.NegotiatedCipherSuite);
            Assert.Equal(suite, pair.Server.NegotiatedCipherSuite);
            // Bulk both ways: every suite seals and opens many packets.
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            await using (local)
            await using (peer)
            {
                await Task.WhenAll(
                    local.WriteContentAsync(seed: 1, length: 500_000),
                    peer.WriteContentAsync(seed: 2, length: 500_000),
                    local.AssertContentAsync(seed: 2, length: 500_000),
                    peer.AssertContentAsync(seed: 1, length: 500_000)).Bounded();
            }
        }
    }

    [Theory]
    [MemberData(nameof(Different))]
    public async Task Connect_NoSuiteInCommon_ThrowsOnBothSides(TlsCipherSuite ofServer, TlsCipherSuite ofClient)
    {
        await using QuicListener listener = await Loopback.ListenAsync(
            server: o => o.ServerAuthenticationOptions.CipherSuitesPolicy = new([ofServer]));
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        // The one TLS alert that MsQuic has a status of its own for, which System.Net.Quic does not count to authentication.
        await Expect.Quic(QuicError.InternalError, null, QuicConnection.ConnectAsync(Loopback.ClientOptions(
            listener.LocalEndPoint,
            o => o.ClientAuthenticationOptions.CipherSuitesPolicy = new([ofClient]))).AsTask());
        await Expect.Quic(QuicError.InternalError, null, accept);
    }

    [Fact]
    public async Task Connect_OneSuiteInCommonOfSeveral_IsNegotiated()
    {
        await using Loopback pair = await Loopback.StartAsync(
            server: o => o.ServerAuthenticationOptions.CipherSuitesPolicy = new([Suites[0], Suites[1]]),
            client: o => o.ClientAuthenticationOptions.CipherSuitesPolicy = new([Suites[1], Suites[2]]));

        Assert.Equal(Suites[1], pair.Client.NegotiatedCipherSuite);
        Assert.Equal(Suites[1], pair.Server.NegotiatedCipherSuite);
    }
}
