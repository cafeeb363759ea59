using System.Net.Quic;

namespace Kwik.RawQuic;

/// <summary>All workloads on the library of this process, one after the other. Each gives figures under stable names.</summary>
internal static class Measurement
{
    private const int Connections = 20;
    private const int RequestsAtOnce = 100;
    private const int IdleConnections = 500;
    private const int IdleStreams = 5_000;
    private const int Echoes = 5_000;

    // Long enough for the compiler's second tier and for the congestion window.
    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(1);

    /// <param name="duration">Of each of the three throughputs.</param>
    public static async Task<SortedDictionary<string, double>> RunAsync(TimeSpan duration)
    {
        var figures = new SortedDictionary<string, double>();
        // Memory first, while nothing has grown yet.
        await MeasureMemoryAsync(figures);
        await using ServerProcess server = await ServerProcess.StartAsync();
        await using QuicConnection connection = await RawClient.ConnectAsync(server.Address);

        await RawClient.WriteBulkAsync(connection, WarmUp);
        Rate bulk = await Rate.OfAsync(server, () => RawClient.WriteBulkAsync(connection, duration));
        figures["bulk_bits_per_second"] = 8 * bulk.PerSecond;
        figures["bulk_cpu_seconds_per_gb"] = 1e9 * bulk.CpuEach;

        await RawClient.EchoAsync(connection, Echoes / 5);
        double[] echoes = await RawClient.EchoAsync(connection, Echoes);
        figures["echo_p50_us"] = Percentile(echoes, 0.50);
        figures["echo_p99_us"] = Percentile(echoes, 0.99);

        await RawClient.RequestAsync(connection, RequestsAtOnce, WarmUp);
        Rate requests = await Rate.OfAsync(server, () => RawClient.RequestAsync(connection, RequestsAtOnce, duration));
        figures["requests_per_second"] = requests.PerSecond;
        figures["request_cpu_us"] = 1e6 * requests.CpuEach;

        QuicConnection[] many = await ConnectAsync(server, Connections);
        await WriteOnAllAsync(many, WarmUp);
        Rate all = await Rate.OfAsync(server, () => WriteOnAllAsync(many, duration));
        figures["connections_bits_per_second"] = 8 * all.PerSecond;
        figures["connections_cpu_seconds_per_gb"] = 1e9 * all.CpuEach;
        await CloseAsync(many);
        return figures;
    }

    /// <summary>What a connection, and a stream of one connection, takes at each end while nothing happens on it; with its objects in .NET.</summary>
    private static async Task MeasureMemoryAsync(SortedDictionary<string, double> figures)
    {
        await using ServerProcess server = await ServerProcess.StartAsync();
        // What the first ones bring about is not theirs.
        QuicConnection[] first = await ConnectAsync(server, 10);
        (long client, long serving) = (Wire.ResidentBytes(), await server.ResidentBytesAsync());
        QuicConnection[] connections = await ConnectAsync(server, IdleConnections);
        figures["idle_connection_client_bytes"] = (double)(Wire.ResidentBytes() - client) / IdleConnections;
        figures["idle_connection_server_bytes"] = (double)(await server.ResidentBytesAsync() - serving) / IdleConnections;

        var streams = new List<QuicStream>();
        (client, serving) = (Wire.ResidentBytes(), await server.ResidentBytesAsync());
        for (int i = 0; i < IdleStreams; i++)
        {
            streams.Add(await RawClient.OpenIdleAsync(first[0]));
        }

        figures["idle_stream_client_bytes"] = (double)(Wire.ResidentBytes() - client) / IdleStreams;
        figures["idle_stream_server_bytes"] = (double)(await server.ResidentBytesAsync() - serving) / IdleStreams;
        foreach (QuicStream stream in streams)
        {
            await stream.DisposeAsync();
        }

        await CloseAsync([.. first, .. connections]);
    }

    private static async Task<QuicConnection[]> ConnectAsync(ServerProcess server, int count)
    {
        var connections = new QuicConnection[count];
        for (int i = 0; i < count; i++)
        {
            connections[i] = await RawClient.ConnectAsync(server.Address);
        }

        return connections;
    }

    private static async Task<long> WriteOnAllAsync(QuicConnection[] connections, TimeSpan duration) =>
        (await Task.WhenAll(connections.Select(connection => RawClient.WriteBulkAsync(connection, duration)))).Sum();

    private static async Task CloseAsync(QuicConnection[] connections)
    {
        foreach (QuicConnection connection in connections)
        {
            await connection.CloseAsync(0);
            await connection.DisposeAsync();
        }
    }

    private static double Percentile(double[] sorted, double share) =>
        sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))];
}
