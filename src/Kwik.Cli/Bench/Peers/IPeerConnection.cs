using System.Net;
using Kwik.Cli.Bench.Plain;
using Kwik.Data;

namespace Kwik.Cli.Bench.Peers;

/// <summary>What is compared.</summary>
internal enum PeerKind
{
    /// <summary>Streams of System.Net.Quic.</summary>
    Plain,

    /// <summary>Public streams that the primary's application writes.</summary>
    Kwik,

    /// <summary>A file that a primary offers: every leaf is hashed by both.</summary>
    Offered,
}

/// <summary>A client's connection, or session, with a server of the comparisons.</summary>
internal interface IPeerConnection : IAsyncDisposable
{
    /// <summary>A new stream both ways, on which <see cref="PeerProtocol"/> is spoken.</summary>
    ValueTask<Stream> OpenAsync(CancellationToken cancellationToken);

    /// <summary>The end of what this side writes on one of its streams.</summary>
    void CompleteWrites(Stream stream);
}

/// <summary>Ways to connect.</summary>
internal static class PeerConnection
{
    /// <summary>Connects to a server of that kind.</summary>
    /// <exception cref="KwikException">The server is gone.</exception>
    public static async Task<IPeerConnection> ConnectAsync(PeerKind kind, IPEndPoint server, KeyHash pin, CancellationToken cancellationToken) =>
        kind == PeerKind.Plain
            ? await PlainConnection.ConnectAsync(server, pin, cancellationToken)
            : await KwikConnection.ConnectAsync(server, pin, cancellationToken);
}
