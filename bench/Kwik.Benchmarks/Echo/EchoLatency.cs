using System.Diagnostics;
using System.Net.Quic;
using System.Text.Json;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>
/// What Kwik adds to the round trip of a small message: 1 KiB to another process and back over QUIC on loopback, on a plain
/// System.Net.Quic stream and on a KwikStream. Bars: 30 us added at p50, 300 us at p99.
/// </summary>
/// <remarks>
/// On loopback it depends on the processors that four threads happen to run on whether a round trip takes 35 us or 70, for
/// a whole connection at a time. So each pair of connections is used for a few rounds only, in which the two take turns; what
/// is added is the median over all rounds of the difference between the two.
/// </remarks>
internal static class EchoLatency
{
    public const int MessageSize = 1024;

    private const int WarmUpPairs = 4;
    private const int Pairs = 16;
    private const int RoundsPerPair = 4;
    private const int EchoesPerRound = 400;

    public static async Task<int> RunAsync(bool json)
    {
        QuicLibrary library = QuicProvider.EnsureLoaded();
        await using ServerProcess server = await ServerProcess.StartAsync("echo-server");
        await MeasureAsync(server, WarmUpPairs);
        Show(await MeasureAsync(server, Pairs), library, json);
        return 0;
    }

    private static async Task<List<Round>> MeasureAsync(ServerProcess servers, int pairs)
    {
        var measured = new List<Round>();
        for (int pair = 0; pair < pairs; pair++)
        {
            // The library gives connections to its threads in turn: neither kind shall always be the first.
            bool plainFirst = pair % 2 == 0;
            QuicConnection? early = plainFirst ? await PlainQuic.ConnectAsync(servers.Plain, servers.Pin) : null;
            await using ClientSession kwik = await KwikClient.ConnectAsync(new KwikClientOptions { Primary = servers.Kwik, Pins = [servers.Pin] });
            await using QuicConnection plain = early ?? await PlainQuic.ConnectAsync(servers.Plain, servers.Pin);
            await using QuicStream plainStream = await plain.OpenOutboundStreamAsync(QuicStreamType.Bidirectional);
            await using KwikStream kwikStream = await kwik.OpenStreamSync();
            for (int i = 0; i <= RoundsPerPair; i++)
            {
                var round = new Round(await EchoAsync(plainStream, EchoesPerRound), await EchoAsync(kwikStream, EchoesPerRound));
                if (i > 0)
                {
                    measured.Add(round);
                }
            }

            plainStream.CompleteWrites();
            kwikStream.CompleteWrites();
            await Task.WhenAll(ReadEndAsync(plainStream), ReadEndAsync(kwikStream));
        }

        return measured;
    }

    private static async Task ReadEndAsync(Stream stream)
    {
        if (await stream.ReadAsync(new byte[1]) != 0)
        {
            throw new InvalidDataException("More comes back than was sent.");
        }
    }

    /// <summary>The round trip of every message, in microseconds, sorted.</summary>
    private static async Task<double[]> EchoAsync(Stream stream, int count)
    {
        var message = new byte[MessageSize];
        var answer = new byte[MessageSize];
        Random.Shared.NextBytes(message);
        var times = new double[count];
        for (int i = 0; i < count; i++)
        {
            message[0] = (byte)i;
            long start = Stopwatch.GetTimestamp();
            await stream.WriteAsync(message);
            await stream.ReadExactlyAsync(answer);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            if (!answer.AsSpan().SequenceEqual(message))
            {
                throw new InvalidDataException("The echo is not what was sent.");
            }
        }

        Array.Sort(times);
        return times;
    }

    private static void Show(List<Round> rounds, QuicLibrary library, bool json)
    {
        double[] plain = [.. rounds.SelectMany(round => round.Plain).Order()];
        double[] kwik = [.. rounds.SelectMany(round => round.Kwik).Order()];
        var result = new
        {
            raw_p50_us = Percentile(plain, 0.50),
            raw_p99_us = Percentile(plain, 0.99),
            kwik_p50_us = Percentile(kwik, 0.50),
            kwik_p99_us = Percentile(kwik, 0.99),
            added_p50_us = Added(0.50),
            added_p99_us = Added(0.99),
            echoes = plain.Length,
            provider = library.Name ?? library.Path,
        };
        Console.WriteLine(json ? JsonSerializer.Serialize(result) : $"""
            {plain.Length} echoes of {MessageSize} bytes each          p50       p99
            plain System.Net.Quic              {result.raw_p50_us,7:0.0}   {result.raw_p99_us,7:0.0}  us
            Kwik                               {result.kwik_p50_us,7:0.0}   {result.kwik_p99_us,7:0.0}  us
            added (allowed: 30, 300)           {result.added_p50_us,7:0.0}   {result.added_p99_us,7:0.0}  us
            """);

        double Added(double share) => Percentile(
            [.. rounds.Select(round => Percentile(round.Kwik, share) - Percentile(round.Plain, share)).Order()], 0.50);
    }

    private static double Percentile(double[] sorted, double share) =>
        Math.Round(sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))], 1);

    /// <summary>Round trips in microseconds, sorted.</summary>
    private sealed record Round(double[] Plain, double[] Kwik);
}
