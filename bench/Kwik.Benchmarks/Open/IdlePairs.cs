using System.Net.Quic;
using System.Text.Json;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>
/// The memory of a public stream, Main and Error, on which nothing happens, at each of its ends, beside that of a plain
/// bidirectional QuicStream. Both ends are processes of their own.
/// </summary>
internal static class IdlePairs
{
    private const int Streams = 4000;
    private const int WarmUp = 200;

    public static async Task<int> RunAsync(bool json)
    {
        QuicLibrary library = QuicProvider.EnsureLoaded();
        (double[] kwik, double[] plain) = (await MeasureKwikAsync(), await MeasurePlainAsync());
        var result = new
        {
            kwik_client_managed_bytes = kwik[0],
            kwik_client_resident_bytes = kwik[1],
            kwik_server_managed_bytes = kwik[2],
            kwik_server_resident_bytes = kwik[3],
            plain_client_managed_bytes = plain[0],
            plain_client_resident_bytes = plain[1],
            plain_server_managed_bytes = plain[2],
            plain_server_resident_bytes = plain[3],
            streams = Streams,
            provider = library.Name ?? library.Path,
        };
        Console.WriteLine(json ? JsonSerializer.Serialize(result) : $"""
            bytes for each of {Streams} idle streams   opened it: managed   process   other side: managed   process
            plain bidirectional QuicStream              {plain[0],10:0} {plain[1],9:0}            {plain[2],10:0} {plain[3],9:0}
            Kwik public stream: Main and Error          {kwik[0],10:0} {kwik[1],9:0}            {kwik[2],10:0} {kwik[3],9:0}
            """);
        return 0;
    }

    private static async Task<double[]> MeasureKwikAsync()
    {
        await using ServerProcess server = await ServerProcess.StartAsync("open-server");
        await using ClientSession session = await KwikClient.ConnectAsync(new KwikClientOptions { Primary = server.Kwik, Pins = [server.Pin] });
        return await MeasureAsync(server, async () => await session.OpenStreamSync());
    }

    private static async Task<double[]> MeasurePlainAsync()
    {
        await using ServerProcess server = await ServerProcess.StartAsync("open-server");
        await using QuicConnection connection = await PlainQuic.ConnectAsync(server.Plain, server.Pin);
        double[] measured = await MeasureAsync(
            server,
            async () => await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional));
        await connection.CloseAsync(0);
        return measured;
    }

    /// <summary>Managed and resident bytes for each stream at the client, and the same at the server.</summary>
    private static async Task<double[]> MeasureAsync(ServerProcess server, Func<Task<Stream>> open)
    {
        var streams = new List<Stream>(WarmUp + Streams);
        await OpenAsync(WarmUp);
        (Memory Client, Memory Server) before = await NowAsync();
        await OpenAsync(Streams);
        (Memory Client, Memory Server) after = await NowAsync();
        foreach (Stream stream in streams)
        {
            await stream.DisposeAsync();
        }

        return
        [
            (double)(after.Client.Managed - before.Client.Managed) / Streams,
            (double)(after.Client.Resident - before.Client.Resident) / Streams,
            (double)(after.Server.Managed - before.Server.Managed) / Streams,
            (double)(after.Server.Resident - before.Server.Resident) / Streams,
        ];

        async Task OpenAsync(int count)
        {
            for (int i = 0; i < count; i++)
            {
                Stream stream = await open();
                streams.Add(stream);
                // A stream that nothing is written to is not known to the other side; its echo waits for the end.
                await stream.WriteAsync(new byte[1]);
            }
        }

        async Task<(Memory Client, Memory Server)> NowAsync() => (Memory.Measure(), Memory.Parse(await server.AskAsync("memory")));
    }
}
