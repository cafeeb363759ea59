using System.Net;

namespace Kwik.Cli.Bench.Peers;

/// <summary>A server of the comparisons.</summary>
internal interface IPeerServer : IAsyncDisposable
{
    IPEndPoint EndPoint { get; }

    /// <summary>Serves until it is cancelled; throws then.</summary>
    Task RunAsync(CancellationToken cancellationToken);
}
