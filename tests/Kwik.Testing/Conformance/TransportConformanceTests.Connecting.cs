using System.Net;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Streams;
using Xunit;
using static Kwik.Testing.ConformanceNetwork;

namespace Kwik.Testing;

/// <summary>Listening, connecting, and who is who.</summary>
public abstract partial class TransportConformanceTests
{
    [Fact]
    public Task Connect_Succeeds_BothSidesKnowAddressesAndKeys() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        Assert.NotEqual(0, pair.Listener.LocalEndPoint.Port);
        Assert.Equal(pair.Listener.LocalEndPoint, pair.Client.RemoteEndPoint);
        Assert.Equal(pair.Client.RemoteEndPoint, pair.Server.LocalEndPoint);
        Assert.Equal(pair.Client.LocalEndPoint, pair.Server.RemoteEndPoint);
        Assert.Equal(KeyHash.OfCertificate(TestCertificates.SelfSigned("server.test")), pair.Client.PeerKey);
        Assert.Equal(KeyHash.OfCertificate(TestCertificates.SelfSigned("client.test")), pair.Server.PeerKey);
    });

    [Fact]
    public Task Listen_OnAnAddressInUse_FailsAndNamesIt() => RunAsync(async network =>
    {
        await using ITransportListener first = await network.Server.ListenAsync(network.ListenOptions, CancellationToken.None);
        TransportListenOptions same = network.ListenOptions with { LocalEndPoint = first.LocalEndPoint };
        KwikException failure = await FailureAsync(ListenAsync());
        Assert.Equal(KwikErrorSide.Local, failure.Side);
        Assert.Contains(first.LocalEndPoint.ToString(), failure.Message, StringComparison.Ordinal);

        async Task ListenAsync() => await network.Server.ListenAsync(same, CancellationToken.None);
    });

    [Fact]
    public Task Listen_AfterDisposal_TheAddressIsFreeAgain() => RunAsync(async network =>
    {
        ITransportListener first = await network.Server.ListenAsync(network.ListenOptions, CancellationToken.None);
        IPEndPoint address = first.LocalEndPoint;
        await first.DisposeAsync();
        await using ConnectedPair pair = await network.ConnectAsync(listen: options => options with { LocalEndPoint = address });
        Assert.Equal(address, pair.Client.RemoteEndPoint);
    });

    [Fact]
    public Task Connect_WithOneOfTwoPins_Succeeds() => RunAsync(async network =>
    {
        KeyHash other = KeyHash.OfCertificate(TestCertificates.SelfSigned("other.test"));
        await using ConnectedPair pair = await network.ConnectAsync(
            options => options with { Pins = [other, options.Pins[0]], ServerName = "pins-decide.test" });
    });

    [Fact]
    public Task Connect_WithAWrongPin_FailsAndTheListenerServesOn() => RunAsync(async network =>
    {
        await using ITransportListener listener = await network.Server.ListenAsync(network.ListenOptions, CancellationToken.None);
        TransportConnectOptions right = ConnectOptions(listener.LocalEndPoint);
        TransportConnectOptions wrong = right with { Pins = [KeyHash.OfCertificate(TestCertificates.SelfSigned("other.test"))] };
        for (int attempt = 0; attempt < 3; attempt++)
        {
            Assert.Equal(KwikError.AuthenticationFailed, (await FailureAsync(Connect(network, wrong))).Code);
        }

        await using ITransportConnection client = await network.Client.ConnectAsync(right, CancellationToken.None);
        await using ITransportConnection server = await listener.AcceptConnectionAsync(CancellationToken.None);
        Assert.Equal(client.LocalEndPoint, server.RemoteEndPoint);
    });

    [Fact]
    public Task Connect_ByChainAndName_Succeeds() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(
            options => options with { Pins = [], TrustedRoots = [TestCertificates.Root] }, ListenWithChain);
        Assert.Equal(KeyHash.OfCertificate(TestCertificates.Issued("server.test")), pair.Client.PeerKey);
    });

    [Fact]
    public Task Connect_ByChainToAnotherName_Fails() =>
        FailsAuthentication(options => options with { ServerName = "elsewhere.test" }, ListenWithChain);

    [Fact]
    public Task Connect_ByChainUnderAnotherRoot_Fails() =>
        FailsAuthentication(options => options with { TrustedRoots = [TestCertificates.OtherRoot] }, ListenWithChain);

    [Fact]
    public Task Connect_ByChainWithTheMachinesRoots_Fails() =>
        FailsAuthentication(options => options with { TrustedRoots = null }, ListenWithChain);

    [Fact]
    public Task Connect_ByChainToASelfSignedServer_Fails() => FailsAuthentication(options => options, options => options);

    [Fact]
    public Task Connect_ByChainToAnExpiredServer_Fails() => FailsAuthentication(
        options => options,
        options => ListenWithChain(options) with
        {
            ServerCertificate = TestCertificates.Issued(
                "server.test", new DateTimeOffset(2021, 1, 1, 0, 0, 0, TimeSpan.Zero), new DateTimeOffset(2022, 1, 1, 0, 0, 0, TimeSpan.Zero)),
        });

    [Fact]
    public Task Connect_AcceptingAnyServer_Succeeds() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(
            options => options with { Pins = [], AcceptAnyServer = true, ServerName = "whoever.test" });
        Assert.Equal(KeyHash.OfCertificate(TestCertificates.SelfSigned("server.test")), pair.Client.PeerKey);
    });

    [Fact]
    public Task Connect_AsATrustedClient_Succeeds() => RunAsync(async network =>
    {
        X509Certificate2 known = TestCertificates.Issued("known.test");
        await using ConnectedPair pair = await network.ConnectAsync(
            options => options with { ClientCertificate = known },
            options => options with { TrustedClientRoots = [TestCertificates.Root, TestCertificates.Intermediate] });
        Assert.Equal(KeyHash.OfCertificate(known), pair.Server.PeerKey);
    });

    [Fact]
    public Task Connect_AsAnUntrustedClient_FailsByTheFirstUse() => RunAsync(async network =>
    {
        TransportListenOptions options = network.ListenOptions with { TrustedClientRoots = [TestCertificates.Root] };
        await using ITransportListener listener = await network.Server.ListenAsync(options, CancellationToken.None);
        KwikException failure = await FailureAsync(ConnectAndUse());
        Assert.Equal((KwikError.AuthenticationFailed, KwikErrorSide.Remote), (failure.Code, failure.Side));

        // TLS 1.3 lets the client finish before the server has seen its certificate.
        async Task ConnectAndUse()
        {
            await using ITransportConnection client =
                await network.Client.ConnectAsync(ConnectOptions(listener.LocalEndPoint), CancellationToken.None);
            await client.AcceptStreamAsync(CancellationToken.None);
        }
    });

    [Fact]
    public Task Connect_ToAPortWithoutListener_Fails() => RunAsync(async network =>
    {
        ITransportListener listener = await network.Server.ListenAsync(network.ListenOptions, CancellationToken.None);
        TransportConnectOptions options = ConnectOptions(listener.LocalEndPoint) with { HandshakeTimeout = TimeSpan.FromSeconds(2) };
        await listener.DisposeAsync();
        KwikException failure = await FailureAsync(Connect(network, options));
        Assert.Contains(failure.Code, new[] { KwikError.PathLost, KwikError.Timeout });
        Assert.Equal(KwikErrorSide.Network, failure.Side);
    });

    [Fact]
    public Task Connect_ToSilence_FailsAfterTheHandshakeTimeout() => RunAsync(async network =>
    {
        Assert.SkipWhen(network.Silence is null, "This network has no address that is silent.");
        TransportConnectOptions options =
            ConnectOptions(network.Silence!) with { HandshakeTimeout = TimeSpan.FromSeconds(1) };
        long start = network.Time.GetTimestamp();
        await ExpectAsync(KwikError.Timeout, KwikErrorSide.Network, Connect(network, options));
        Assert.InRange(network.Time.GetElapsedTime(start).TotalSeconds, 0.9, 5);
    });

    [Fact]
    public Task Connect_Cancelled_ThrowsWithTheCallersToken() => RunAsync(async network =>
    {
        Assert.SkipWhen(network.Silence is null, "This network has no address that is silent.");
        using var cancellation = new CancellationTokenSource(TimeSpan.FromMilliseconds(200), network.Time);
        await ExpectCancelledAsync(
            Connect(network, ConnectOptions(network.Silence!), cancellation.Token), cancellation.Token);
        await ExpectCancelledAsync(
            Connect(network, ConnectOptions(network.Silence!), cancellation.Token), cancellation.Token);
    });

    [Fact]
    public Task AcceptConnection_Cancelled_LeavesTheNextOneToOthers() => RunAsync(async network =>
    {
        await using ITransportListener listener = await network.Server.ListenAsync(network.ListenOptions, CancellationToken.None);
        using var cancellation = new CancellationTokenSource();
        Task<ITransportConnection> cancelled = listener.AcceptConnectionAsync(cancellation.Token).AsTask();
        cancellation.Cancel();
        await ExpectCancelledAsync(cancelled, cancellation.Token);
        await using ITransportConnection client =
            await network.Client.ConnectAsync(ConnectOptions(listener.LocalEndPoint), CancellationToken.None);
        await using ITransportConnection server = await listener.AcceptConnectionAsync(CancellationToken.None);
        Assert.Equal(client.LocalEndPoint, server.RemoteEndPoint);
    });

    [Fact]
    public Task Listener_Disposed_FailsAcceptsAndLeavesConnectionsAlone() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        Task<ITransportConnection> pending = pair.Listener.AcceptConnectionAsync(CancellationToken.None).AsTask();
        await pair.Listener.DisposeAsync();
        await pair.Listener.DisposeAsync();
        await ExpectDisposed(pending);
        await ExpectDisposed(Accept());
        await pair.OpenAsync();

        async Task Accept() => await pair.Listener.AcceptConnectionAsync(CancellationToken.None);

        static async Task ExpectDisposed(Task task)
        {
            try
            {
                await task;
            }
            catch (ObjectDisposedException)
            {
                return;
            }

            Assert.Fail("The listener accepted after its disposal.");
        }
    });

    [Fact]
    public Task Connect_ManyAtOnce_EachIsAcceptedOnce() => RunAsync(async network =>
    {
        await using ITransportListener listener = await network.Server.ListenAsync(network.ListenOptions, CancellationToken.None);
        TransportConnectOptions options = ConnectOptions(listener.LocalEndPoint);
        Task<ITransportConnection>[] connects = [.. Enumerable.Range(0, 20).Select(_ => Connect(network, options))];
        var accepted = new List<ITransportConnection>();
        foreach (Task<ITransportConnection> connect in connects)
        {
            await connect;
            accepted.Add(await listener.AcceptConnectionAsync(CancellationToken.None));
        }

        Assert.Equal(
            connects.Select(connect => connect.Result.LocalEndPoint.Port).Order(),
            accepted.Select(connection => connection.RemoteEndPoint.Port).Order());
        foreach (ITransportConnection connection in connects.Select(connect => connect.Result).Concat(accepted))
        {
            await connection.DisposeAsync();
        }
    });

    private static TransportListenOptions ListenWithChain(TransportListenOptions options) => options with
    {
        ServerCertificate = TestCertificates.Issued("server.test"),
        Intermediates = [TestCertificates.Intermediate],
    };

    private static async Task<ITransportConnection> Connect(
        ConformanceNetwork network, TransportConnectOptions options, CancellationToken cancellationToken = default) =>
        await network.Client.ConnectAsync(options, cancellationToken);

    private Task FailsAuthentication(
        Func<TransportConnectOptions, TransportConnectOptions> connect,
        Func<TransportListenOptions, TransportListenOptions> listen) => RunAsync(async network =>
    {
        await using ITransportListener listener = await network.Server.ListenAsync(listen(network.ListenOptions), CancellationToken.None);
        TransportConnectOptions byChain =
            ConnectOptions(listener.LocalEndPoint) with { Pins = [], TrustedRoots = [TestCertificates.Root] };
        Assert.Equal(KwikError.AuthenticationFailed, (await FailureAsync(Connect(network, connect(byChain)))).Code);
    });
}
