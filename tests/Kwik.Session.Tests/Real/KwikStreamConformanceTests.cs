using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>A public stream is a <see cref="Stream"/> like any other, over real QUIC too. All tests share one session.</summary>
public sealed class KwikStreamConformanceTests(KwikStreamConformanceTests.ConnectedSessions sessions)
    : StreamConformanceTests, IClassFixture<KwikStreamConformanceTests.ConnectedSessions>
{
    protected override int Capacity => 4 * 1024 * 1024;

    protected override async Task RunAsync(Func<KwikStream, KwikStream, Task> test)
    {
        await RunAsync(test, sessions.Client.OpenStreamSync(), sessions.Primary.AcceptStream());
        await RunAsync(test, sessions.Primary.OpenStreamSync(), sessions.Client.AcceptStream());
    }

    private static async Task RunAsync(
        Func<KwikStream, KwikStream, Task> test, Task<KwikStream> opening, Task<KwikStream> accepting)
    {
        KwikStream near = await opening.WithinAsync();
        KwikStream far = await accepting.WithinAsync();
        Assert.Equal(near.Id, far.Id);
        try
        {
            await test(near, far).WithinAsync(TestTimeouts.Scenario);
        }
        finally
        {
            await Task.WhenAll(near.DisposeAsync().AsTask(), far.DisposeAsync().AsTask()).WithinAsync();
        }
    }

    /// <summary>Both sides of one session on loopback, with windows that are soon full.</summary>
    public sealed class ConnectedSessions : IAsyncLifetime
    {
        private static readonly AggregatorOptions Narrow = new() { MaxPendingBytes = 128 * 1024 };

        private readonly PrimaryKey _signingKey = PrimaryKey.Create();
        private KwikListener? _listener;
        private ClientSession? _client;
        private PrimarySession? _primary;

        public ClientSession Client => _client!;

        public PrimarySession Primary => _primary!;

        public async ValueTask InitializeAsync()
        {
            _listener = await KwikListener.ListenAsync(new KwikListenerOptions
            {
                Role = ServerRole.Primary,
                ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
                Certificate = TestCertificates.SelfSigned("server"),
                SigningKey = _signingKey,
                Aggregation = Narrow,
            }).WithinAsync();
            Task<ServerSession> accepting = _listener.AcceptSessionAsync();
            _client = await KwikClient.ConnectAsync(new KwikClientOptions
            {
                Primary = _listener.LocalEndPoint,
                Pins = [_listener.Pin],
                Aggregation = Narrow,
            }).WithinAsync();
            _primary = (PrimarySession)await accepting.WithinAsync();
        }

        public async ValueTask DisposeAsync()
        {
            await Client.DisposeAsync().WithinAsync();
            await Primary.DisposeAsync().WithinAsync();
            await _listener!.DisposeAsync().WithinAsync();
            _signingKey.Dispose();
        }
    }
}
