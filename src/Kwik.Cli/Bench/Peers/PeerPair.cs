using System.Globalization;
using System.Text.Json;
using Kwik.Cli.Output;
using Kwik.Cli.Staging;

namespace Kwik.Cli.Bench.Peers;

/// <summary>A server and its client, each in a process of its own, and what the two cost.</summary>
internal sealed class PeerPair : IAsyncDisposable
{
    private readonly ServerProcess _server;
    private readonly ChildProcess _client;

    private PeerPair(PeerKind kind, ServerProcess server, ChildProcess client) => (Kind, _server, _client) = (kind, server, client);

    public PeerKind Kind { get; }

    /// <summary>The most memory that both have had resident so far, in bytes: the sum of the two, each at its worst.</summary>
    public long PeakMemory => _server.PeakMemory + _client.PeakMemory;

    /// <summary>Starts both.</summary>
    /// <param name="kind">What they speak.</param>
    /// <param name="file">What is served, where the kind is <see cref="PeerKind.Offered"/>.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    public static async Task<PeerPair> StartAsync(PeerKind kind, StagedFile? file, CancellationToken cancellationToken)
    {
        ServerProcess server = await ServerProcess.StartAsync(
            file is null
                ? ["bench", "server", kind.ToString()]
                : ["serve", "--listen", "127.0.0.1:0", "--until-eof", "--shutdown-timeout", "0", "--root", file.Root, "--cache", "none"],
            cancellationToken);
        try
        {
            ChildProcess client = await ChildProcess.StartAsync(
                ["bench", "client", kind.ToString(), server.EndPoint.ToString(), server.Pin.ToString()], cancellationToken);
            return new(kind, server, client);
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>One download over a connection of its own.</summary>
    public async Task<PeerDownloadJson> DownloadAsync(long bytes, CancellationToken cancellationToken) => JsonSerializer.Deserialize(
        await _client.AskAsync(bytes.ToString(CultureInfo.InvariantCulture), cancellationToken), JsonObjects.Default.PeerDownloadJson)!;

    /// <summary>The same, and what it cost.</summary>
    public async Task<SingleRunJson> MeasureAsync(int run, long bytes, CancellationToken cancellationToken)
    {
        (TimeSpan client, TimeSpan server) = (_client.ProcessorTime, _server.ProcessorTime);
        PeerDownloadJson download = await DownloadAsync(bytes, cancellationToken);
        (client, server) = (_client.ProcessorTime - client, _server.ProcessorTime - server);
        return new(
            run,
            SingleBench.Name(Kind),
            download.Bytes,
            Math.Round(download.LastByteSeconds, 3),
            download.BitsPerSecond,
            Math.Round(client.TotalSeconds, 2),
            Math.Round(server.TotalSeconds, 2),
            Math.Round((client + server).TotalSeconds / (download.Bytes / 1e9), 4));
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _server.DisposeAsync();
    }
}
