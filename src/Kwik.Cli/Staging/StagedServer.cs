using Kwik.Relay;

namespace Kwik.Cli.Staging;

/// <summary>What a link does: the same both ways.</summary>
/// <param name="BitsPerSecond">Of UDP payload, each way.</param>
/// <param name="RoundTrip">The sum of both ways, without queues.</param>
/// <param name="Queue">The longest wait for the bottleneck; null: the relay's default, which is bytes.</param>
internal sealed record LinkShape(long BitsPerSecond, TimeSpan RoundTrip, TimeSpan? Queue = null)
{
    /// <summary>One way of it.</summary>
    public LinkOptions Options
    {
        get
        {
            var options = new LinkOptions { BitsPerSecond = BitsPerSecond, Delay = RoundTrip / 2 };
            return Queue is { } queue ? options with { QueueBytes = (long)(BitsPerSecond / 8 * queue.TotalSeconds) } : options;
        }
    }
}

/// <summary>A server in a process of its own, and the link to it, which is another address.</summary>
internal sealed class StagedServer : IAsyncDisposable
{
    private readonly LinkShape _shape;

    private StagedServer(ServerProcess process, LinkShape shape)
    {
        _shape = shape;
        Process = process;
        Link = UdpRelay.Start(new() { Target = process.EndPoint, ToServer = shape.Options, ToClient = shape.Options });
    }

    public ServerProcess Process { get; }

    public UdpRelay Link { get; }

    /// <summary>Starts <c>kwik</c> with these arguments, and the link to it: see <see cref="ServerProcess.StartAsync"/>.</summary>
    public static async Task<StagedServer> StartAsync(IEnumerable<string> arguments, LinkShape link, CancellationToken cancellationToken)
    {
        ServerProcess process = await ServerProcess.StartAsync(arguments, cancellationToken);
        try
        {
            return new(process, link);
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    /// <summary>Swallows everything, both ways, until it is told otherwise.</summary>
    public void SetBlackHole(bool blackHole)
    {
        LinkOptions options = _shape.Options with { BlackHole = blackHole };
        (Link.ToServer, Link.ToClient) = (options, options);
    }

    public async ValueTask DisposeAsync()
    {
        await Process.DisposeAsync();
        Link.Dispose();
    }
}
