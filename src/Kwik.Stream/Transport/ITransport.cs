using System.Net;
using System.Numerics;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;

namespace Kwik.Streams;

/// <summary>Makes connections: System.Net.Quic in the product, the simulated network in tests.</summary>
internal interface ITransport
{
    /// <summary>
    /// Connects, authenticates the server as <paramref name="options"/> say, and presents the client certificate.
    /// Fails with <see cref="KwikError.AuthenticationFailed"/>, <see cref="KwikError.Timeout"/> (nobody answers) or
    /// <see cref="KwikError.PathLost"/> (refused, unreachable).
    /// </summary>
    ValueTask<ITransportConnection> ConnectAsync(TransportConnectOptions options, CancellationToken cancellationToken);

    /// <summary>Binds and listens; fails with a <see cref="KwikException"/> that names the address.</summary>
    ValueTask<ITransportListener> ListenAsync(TransportListenOptions options, CancellationToken cancellationToken);
}

/// <summary>A bound address that accepts authenticated connections.</summary>
internal interface ITransportListener : IAsyncDisposable
{
    /// <summary>The bound address, with the port that was chosen.</summary>
    IPEndPoint LocalEndPoint { get; }

    /// <summary>
    /// The next connection whose handshake succeeded. Handshakes that fail never end the listener, see
    /// <see cref="TransportListenOptions.HandshakeFailed"/>. Fails with <see cref="ObjectDisposedException"/> after disposal.
    /// </summary>
    ValueTask<ITransportConnection> AcceptConnectionAsync(CancellationToken cancellationToken);
}

/// <summary>What both ends of a connection set.</summary>
internal abstract record TransportOptions
{
    private readonly int? _connectionWindow;

    /// <summary>Bidirectional streams that the peer may have open at once.</summary>
    public int InboundBidirectionalStreams { get; init; }

    /// <summary>One-way streams that the peer may have open at once.</summary>
    public int InboundUnidirectionalStreams { get; init; }

    /// <summary>
    /// Bytes in flight to us that a connection may hold, all streams together. Default: so many that the control stream gets
    /// through while every stream stays unread; 16 MiB to 1 GiB, a power of two. Half of the peer's bidirectional streams are
    /// error halves, which carry little: that makes room for those that we open.
    /// </summary>
    public int ConnectionWindow
    {
        get => _connectionWindow ?? (int)BitOperations.RoundUpToPowerOf2((uint)Math.Clamp(
            StreamWindow * (1L + InboundBidirectionalStreams + InboundUnidirectionalStreams), 16 << 20, 1 << 30));
        init => _connectionWindow = value;
    }

    /// <summary>Bytes in flight to us that one stream may hold; the transport may let it grow for a stream that is read fast.</summary>
    public int StreamWindow { get; init; } = 256 * 1024;

    /// <summary>A handshake that takes longer fails.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>A peer of which nothing is heard for this long is gone. Quiet connections are pinged and live on.</summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>How to connect.</summary>
internal sealed record TransportConnectOptions : TransportOptions
{
    /// <summary>Where to.</summary>
    public required IPEndPoint RemoteEndPoint { get; init; }

    /// <summary>The name sent as SNI and, without pins, demanded of the certificate.</summary>
    public required string ServerName { get; init; }

    /// <summary>Keys of which the server must hold one; empty: the chain and the name decide.</summary>
    public IReadOnlyList<KeyHash> Pins { get; init; } = [];

    /// <summary>Roots to trust instead of the system's; null: the system's.</summary>
    public X509Certificate2Collection? TrustedRoots { get; init; }

    /// <summary>Accepts any certificate. Only for loopback addresses; the caller has checked and warned.</summary>
    public bool AcceptAnyServer { get; init; }

    /// <summary>The certificate, with its private key, that names us to the server.</summary>
    public required X509Certificate2 ClientCertificate { get; init; }
}

/// <summary>How to listen.</summary>
internal sealed record TransportListenOptions : TransportOptions
{
    /// <summary>Where; port 0 lets the system choose.</summary>
    public required IPEndPoint LocalEndPoint { get; init; }

    /// <summary>The certificate, with its private key.</summary>
    public required X509Certificate2 ServerCertificate { get; init; }

    /// <summary>Intermediates that are sent with it.</summary>
    public X509Certificate2Collection? Intermediates { get; init; }

    /// <summary>Roots that a client certificate must chain to; null: any certificate will do, its key is what counts.</summary>
    public X509Certificate2Collection? TrustedClientRoots { get; init; }

    /// <summary>Learns of each handshake that failed, one after the other; Internal where it was not the client's or the network's doing.</summary>
    public Action<KwikException>? HandshakeFailed { get; init; }
}
