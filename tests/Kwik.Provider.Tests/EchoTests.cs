using System.Net.Quic;
using System.Security.Authentication;

namespace Kwik.Provider.Tests;

/// <summary>The plain case: connect, exchange, and know who is who.</summary>
public sealed class EchoTests
{
    [Fact]
    public async Task Connection_Established_BothSidesAgreeOnEndPointsProtocolAndCipher()
    {
        await using Loopback pair = await Loopback.StartAsync();

        Assert.Equal(pair.Listener.LocalEndPoint, pair.Client.RemoteEndPoint);
        Assert.Equal(pair.Listener.LocalEndPoint, pair.Server.LocalEndPoint);
        Assert.Equal(pair.Client.LocalEndPoint, pair.Server.RemoteEndPoint);
        Assert.NotEqual(0, pair.Client.LocalEndPoint.Port);
        Assert.Equal(Loopback.Protocol, pair.Client.NegotiatedApplicationProtocol);
        Assert.Equal(Loopback.Protocol, pair.Server.NegotiatedApplicationProtocol);
        Assert.Equal(SslProtocols.Tls13, pair.Client.SslProtocol);
        Assert.Equal(SslProtocols.Tls13, pair.Server.SslProtocol);
        Assert.Equal(pair.Client.NegotiatedCipherSuite, pair.Server.NegotiatedCipherSuite);
        // The five suites of TLS 1.3 have the numbers 0x1301 to 0x1305.
        Assert.InRange((int)pair.Client.NegotiatedCipherSuite, 0x1301, 0x1305);
        Assert.Equal("localhost", pair.Client.TargetHostName);
        Assert.Equal("localhost", pair.Server.TargetHostName);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1_000)]
    [InlineData(65_536)]
    [InlineData(1_000_000)]
    public async Task Stream_OpenedByTheClient_CarriesBytesBothWays(int length)
    {
        await using Loopback pair = await Loopback.StartAsync();

        await AssertEchoAsync(pair.Client, pair.Server, length);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(1_000_000)]
    public async Task Stream_OpenedByTheServer_CarriesBytesBothWays(int length)
    {
        await using Loopback pair = await Loopback.StartAsync();

        await AssertEchoAsync(pair.Server, pair.Client, length);
    }

    [Fact]
    public async Task Stream_ThousandRoundTrips_ReturnsEveryMessage()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        Task echo = peer.EchoAsync();

        for (int i = 0; i < 1_000; i++)
        {
            await local.WriteContentAsync(seed: i, length: 1_024, completeWrites: false);
            await local.AssertNextAsync(seed: i, length: 1_024);
        }

        local.CompleteWrites();
        await echo.Bounded();
        await local.DisposeAsync().Bounded();
        await peer.DisposeAsync().Bounded();
    }

    [Fact]
    public async Task Streams_OfAllFourKinds_HaveTheIdsOfRfc9000OnBothSides()
    {
        await using Loopback pair = await Loopback.StartAsync();

        await AssertIdsAsync(pair.Client, pair.Server, QuicStreamType.Bidirectional, 0);
        await AssertIdsAsync(pair.Server, pair.Client, QuicStreamType.Bidirectional, 1);
        await AssertIdsAsync(pair.Client, pair.Server, QuicStreamType.Unidirectional, 2);
        await AssertIdsAsync(pair.Server, pair.Client, QuicStreamType.Unidirectional, 3);
    }

    /// <summary>RFC 9000, section 2.1: the ids of one kind are four apart, from the number of the kind on.</summary>
    private static async Task AssertIdsAsync(QuicConnection opener, QuicConnection acceptor, QuicStreamType type, long firstId)
    {
        for (long id = firstId; id < firstId + 12; id += 4)
        {
            (QuicStream local, QuicStream peer) = await opener.OpenPairAsync(acceptor, type);
            await using (local)
            await using (peer)
            {
                Assert.Equal((id, type), (local.Id, local.Type));
                Assert.Equal((id, type), (peer.Id, peer.Type));
                local.CompleteWrites();
                peer.Abort(QuicAbortDirection.Both, 0);
            }
        }
    }

    private static async Task AssertEchoAsync(QuicConnection opener, QuicConnection acceptor, int length)
    {
        await using QuicStream local = await opener.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded();
        Task write = local.WriteContentAsync(seed: length, length);
        await using QuicStream peer = await acceptor.AcceptInboundStreamAsync().Bounded();
        Task echo = peer.EchoAsync();

        await local.AssertContentAsync(seed: length, length);
        await write;
        await echo.Bounded();
    }
}
