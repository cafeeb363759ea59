using System.Net;
using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// One authenticated connection to one peer: the whole of what Kwik needs from a network. Implemented on
/// System.Net.Quic by Kwik.Session, and on virtual time by the tests.
/// </summary>
/// <remarks>
/// Safe for concurrent use. Every failure is a <see cref="KwikException"/>; only a caller's own token gives
/// <see cref="OperationCanceledException"/>. After the connection ended, every pending and later call fails with the
/// reason of the end.
/// </remarks>
internal interface ITransportConnection : IAsyncDisposable
{
    /// <summary>The peer's address.</summary>
    IPEndPoint RemoteEndPoint { get; }

    /// <summary>Our own address.</summary>
    IPEndPoint LocalEndPoint { get; }

    /// <summary>The key that the peer proved to hold in the handshake; every Kwik peer presents a certificate.</summary>
    KeyHash PeerKey { get; }

    /// <summary>
    /// Opens a stream, waiting while the peer's limit is reached; calls that wait are served in their order. The peer
    /// learns of it with the first byte written.
    /// </summary>
    ValueTask<ITransportStream> OpenStreamAsync(bool bidirectional, CancellationToken cancellationToken);

    /// <summary>The next stream that the peer opened, in the order of arrival.</summary>
    ValueTask<ITransportStream> AcceptStreamAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Ends the connection for both sides. The peer sees <paramref name="code"/>; what it has not read yet is lost.
    /// Idempotent: the first code wins.
    /// </summary>
    ValueTask CloseAsync(KwikError code);
}
