using System.Net;
using Kwik.Streams;

namespace Kwik.Testing.Tests;

/// <summary>A client and a server in a world, with windows that do not limit anything, and what the tests do with them.</summary>
internal sealed class TestNetwork(SimulatedWorld world)
{
    public SimulatedHost Client { get; } = world.Host("client");

    public SimulatedHost Server { get; } = world.Host("server");

    /// <summary>Carries requests.</summary>
    public SimulatedLink Up => world.Link(Client, Server);

    /// <summary>Carries content.</summary>
    public SimulatedLink Down => world.Link(Server, Client);

    public Task<ConnectedPair> ConnectAsync(TimeSpan? idleTimeout = null)
    {
        TimeSpan idle = idleTimeout ?? TimeSpan.FromSeconds(30);
        var network = new ConformanceNetwork
        {
            Client = Client.Transport,
            Server = Server.Transport,
            ServerAddress = Server.Address,
            Time = world.Time,
        };
        return network.ConnectAsync(
            options => options with { IdleTimeout = idle, StreamWindow = 1 << 28, ConnectionWindow = 1 << 28 },
            options => options with { IdleTimeout = idle, StreamWindow = 1 << 28, ConnectionWindow = 1 << 28 });
    }

    /// <summary>A stream from the server; reads and counts at the client until the end.</summary>
    public static async Task<ITransportStream> OpenDownAsync(ConnectedPair pair) =>
        await pair.Server.OpenStreamAsync(bidirectional: false, CancellationToken.None);

    /// <summary>Writes that many bytes and the end.</summary>
    public static async Task WriteAsync(ITransportStream stream, int count)
    {
        byte[] piece = new byte[64 * 1024];
        for (int rest = count; rest > 0; rest -= piece.Length)
        {
            await stream.WriteAsync(piece.AsMemory(0, Math.Min(rest, piece.Length)), completeWrites: rest <= piece.Length);
        }
    }

    /// <summary>Reads to the end.</summary>
    public static async Task<long> CountAsync(ITransportStream stream)
    {
        byte[] piece = new byte[64 * 1024];
        long total = 0;
        while (await stream.ReadAsync(piece) is int read and > 0)
        {
            total += read;
        }

        return total;
    }
}
