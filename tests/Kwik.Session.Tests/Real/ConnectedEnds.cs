using System.Net;
using Kwik.Data;
using Kwik.Relay;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>A client and a primary that have met on loopback, directly or through a relay, with windows that are soon full.</summary>
internal sealed class ConnectedEnds : IAsyncDisposable
{
    private readonly PrimaryKey _signingKey;
    private readonly KwikListener _listener;

    private ConnectedEnds(PrimaryKey signingKey, KwikListener listener)
    {
        _signingKey = signingKey;
        _listener = listener;
    }

    public required ClientSession Client { get; init; }

    public required PrimarySession Primary { get; init; }

    /// <summary>The client's connection to the primary, below its session.</summary>
    public required ITransportConnection Connection { get; init; }

    /// <summary>Between them; null where there is none.</summary>
    public UdpRelay? Relay { get; private init; }

    /// <summary>Connects them; with a delay one way each, through a relay.</summary>
    public static async Task<ConnectedEnds> ConnectAsync(TimeSpan? delay = null, int maxStreams = 128)
    {
        var narrow = new AggregatorOptions { MaxPendingBytes = 64 * 1024 };
        PrimaryKey signingKey = PrimaryKey.Create();
        KwikListener listener = await KwikListener.ListenAsync(new KwikListenerOptions
        {
            Role = ServerRole.Primary,
            ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            Certificate = TestCertificates.SelfSigned("server"),
            SigningKey = signingKey,
            Aggregation = narrow,
            MaxPublicStreams = maxStreams,
        }).WithinAsync();
        UdpRelay? relay = delay is { } time
            ? UdpRelay.Start(new()
            {
                Target = listener.LocalEndPoint,
                ToServer = new() { Delay = time },
                ToClient = new() { Delay = time },
            })
            : null;
        Task<ServerSession> accepting = listener.AcceptSessionAsync();
        var transport = new RememberingTransport();
        ClientSession client = await KwikClient.ConnectAsync(
            new KwikClientOptions
            {
                Primary = relay?.LocalEndPoint ?? listener.LocalEndPoint,
                Pins = [listener.Pin],
                Aggregation = narrow,
                MaxPublicStreams = maxStreams,
            },
            SessionEnvironment.System with { Transport = transport },
            CancellationToken.None).WithinAsync();
        return new ConnectedEnds(signingKey, listener)
        {
            Client = client,
            Primary = (PrimarySession)await accepting.WithinAsync(),
            Connection = transport.Last!,
            Relay = relay,
        };
    }

    /// <summary>A new public stream, both its ends.</summary>
    public async Task<(KwikStream Outbound, KwikStream Inbound)> OpenAsync(bool byClient)
    {
        Task<KwikStream> opening = byClient ? Client.OpenStreamSync() : Primary.OpenStreamSync();
        KwikStream inbound = await (byClient ? Primary.AcceptStream() : Client.AcceptStream()).WithinAsync();
        return (await opening.WithinAsync(), inbound);
    }

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync().WithinAsync();
        await Primary.DisposeAsync().WithinAsync();
        await _listener.DisposeAsync().WithinAsync();
        Relay?.Dispose();
        _signingKey.Dispose();
    }

    private sealed class RememberingTransport : ITransport
    {
        public ITransportConnection? Last { get; private set; }

        public async ValueTask<ITransportConnection> ConnectAsync(TransportConnectOptions options, CancellationToken cancellationToken) =>
            Last = await QuicTransport.Instance.ConnectAsync(options, cancellationToken);

        public ValueTask<ITransportListener> ListenAsync(TransportListenOptions options, CancellationToken cancellationToken) =>
            QuicTransport.Instance.ListenAsync(options, cancellationToken);
    }
}
