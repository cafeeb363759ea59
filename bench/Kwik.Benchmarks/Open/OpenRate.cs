using System.Diagnostics;
using System.Net;
using System.Net.Quic;
using System.Text.Json;
using Kwik.Data;
using Kwik.Relay;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>
/// What a public stream costs that is used once: opened, 1 KiB to another process and back, closed; beside the same on a
/// plain QuicStream, where Kwik has two of them and says how each ends. Bar: 0.6 of the plain rate. And how long the first
/// byte takes to come back through a relay with a delay: opening is to cost no round trip.
/// </summary>
/// <remarks>As in <c>kwik bench latency</c>, many pairs of connections, on each of which the two take turns.</remarks>
internal static class OpenRate
{
    public const int MessageSize = 1024;

    private const int WarmUpPairs = 10;
    private const int Pairs = 8;
    private const int RoundsPerPair = 4;
    private const int OpensPerRound = 1000;
    private const int DelayedOpens = 25;

    private static readonly int[] InFlight = [1, 16];
    private static readonly TimeSpan OneWayDelay = TimeSpan.FromMilliseconds(10);

    public static async Task<int> RunAsync(bool json)
    {
        QuicLibrary library = QuicProvider.EnsureLoaded();
        await using ServerProcess server = await ServerProcess.StartAsync("open-server");
        foreach (int inFlight in InFlight)
        {
            await MeasureAsync(server, WarmUpPairs, inFlight);
            Show(await MeasureAsync(server, Pairs, inFlight), inFlight, library, json);
        }

        await ShowFirstByteAsync(server, json);
        return 0;
    }

    private static async Task<List<(Round Plain, Round Kwik)>> MeasureAsync(ServerProcess server, int pairs, int inFlight)
    {
        var measured = new List<(Round Plain, Round Kwik)>();
        for (int pair = 0; pair < pairs; pair++)
        {
            // The library gives connections to its threads in turn: neither kind shall always be the first.
            QuicConnection? early = pair % 2 == 0 ? await PlainQuic.ConnectAsync(server.Plain, server.Pin) : null;
            await using ClientSession kwik = await KwikClient.ConnectAsync(new KwikClientOptions { Primary = server.Kwik, Pins = [server.Pin] });
            await using QuicConnection plain = early ?? await PlainQuic.ConnectAsync(server.Plain, server.Pin);
            for (int i = 0; i <= RoundsPerPair; i++)
            {
                Round plainRound = await RunAsync(server, inFlight, message => OpenAsync(plain, message));
                Round kwikRound = await RunAsync(server, inFlight, message => OpenAsync(kwik, message));
                if (i > 0)
                {
                    measured.Add((plainRound, kwikRound));
                }
            }

            await plain.CloseAsync(0);
        }

        return measured;
    }

    private static async Task<Round> RunAsync(ServerProcess server, int inFlight, Func<byte[], Task<Stream>> open)
    {
        var times = new double[OpensPerRound];
        int next = -1;
        TimeSpan processor = ProcessorTime(server);
        long begin = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, inFlight).Select(_ => RunOneAsync()));
        TimeSpan elapsed = Stopwatch.GetElapsedTime(begin);
        return new(OpensPerRound / elapsed.TotalSeconds, times, (ProcessorTime(server) - processor).TotalMicroseconds);

        async Task RunOneAsync()
        {
            var message = new byte[MessageSize];
            Random.Shared.NextBytes(message);
            for (int i; (i = Interlocked.Increment(ref next)) < OpensPerRound;)
            {
                long start = Stopwatch.GetTimestamp();
                await EchoAsync(open, message);
                times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            }
        }
    }

    private static async Task EchoAsync(Func<byte[], Task<Stream>> open, byte[] message)
    {
        await using Stream stream = await open(message);
        var answer = new byte[message.Length];
        await stream.ReadExactlyAsync(answer);
        if (!answer.AsSpan().SequenceEqual(message) || await stream.ReadAsync(new byte[1]) != 0)
        {
            throw new InvalidDataException("The echo is not what was sent.");
        }
    }

    /// <summary>Opens a stream and sends on it all that is sent.</summary>
    private static async Task<Stream> OpenAsync(QuicConnection connection, byte[] message)
    {
        QuicStream stream = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional);
        await stream.WriteAsync(message, completeWrites: true);
        return stream;
    }

    private static async Task<Stream> OpenAsync(ClientSession session, byte[] message)
    {
        KwikStream stream = await session.OpenStreamSync();
        await stream.WriteAsync(message);
        stream.CompleteWrites();
        return stream;
    }

    private static TimeSpan ProcessorTime(ServerProcess server)
    {
        using var self = Process.GetCurrentProcess();
        return self.TotalProcessorTime + server.ProcessorTime;
    }

    private static void Show(List<(Round Plain, Round Kwik)> rounds, int inFlight, QuicLibrary library, bool json)
    {
        List<Round> plain = [.. rounds.Select(round => round.Plain)];
        List<Round> kwik = [.. rounds.Select(round => round.Kwik)];
        double[] plainTimes = Times(plain);
        double[] kwikTimes = Times(kwik);
        var result = new
        {
            in_flight = inFlight,
            plain_per_second = Math.Round(Median(plain.Select(round => round.Rate))),
            kwik_per_second = Math.Round(Median(kwik.Select(round => round.Rate))),
            ratio = Math.Round(Median(rounds.Select(round => round.Kwik.Rate / round.Plain.Rate)), 3),
            plain_p50_us = Percentile(plainTimes, 0.50),
            plain_p99_us = Percentile(plainTimes, 0.99),
            kwik_p50_us = Percentile(kwikTimes, 0.50),
            kwik_p99_us = Percentile(kwikTimes, 0.99),
            plain_cpu_us = Math.Round(plain.Average(round => round.ProcessorTime) / OpensPerRound, 1),
            kwik_cpu_us = Math.Round(kwik.Average(round => round.ProcessorTime) / OpensPerRound, 1),
            opens = rounds.Count * OpensPerRound,
            provider = library.Name ?? library.Path,
        };
        Console.WriteLine(json ? JsonSerializer.Serialize(result) : $"""
            open, echo {MessageSize} bytes, close; {inFlight,2} in flight   per second       p50       p99   processors, both ends
            plain System.Net.Quic                      {result.plain_per_second,10:0}   {result.plain_p50_us,7:0.0}   {result.plain_p99_us,7:0.0}   {result.plain_cpu_us,7:0.0}  us
            Kwik                                       {result.kwik_per_second,10:0}   {result.kwik_p50_us,7:0.0}   {result.kwik_p99_us,7:0.0}   {result.kwik_cpu_us,7:0.0}  us
            ratio (goal: 0.6)                          {result.ratio,10:0.000}
            """);
    }

    private static async Task ShowFirstByteAsync(ServerProcess server, bool json)
    {
        var link = new LinkOptions { Delay = OneWayDelay };
        using var plainRelay = UdpRelay.Start(new UdpRelayOptions { Target = server.Plain, ToServer = link, ToClient = link });
        using var kwikRelay = UdpRelay.Start(new UdpRelayOptions { Target = server.Kwik, ToServer = link, ToClient = link });
        await using QuicConnection plain = await PlainQuic.ConnectAsync(plainRelay.LocalEndPoint, server.Pin);
        await using ClientSession kwik = await KwikClient.ConnectAsync(new KwikClientOptions { Primary = kwikRelay.LocalEndPoint, Pins = [server.Pin] });
        var plainTimes = new double[DelayedOpens];
        var kwikTimes = new double[DelayedOpens];
        for (int i = 0; i < DelayedOpens; i++)
        {
            plainTimes[i] = await FirstByteAsync(message => OpenAsync(plain, message));
            kwikTimes[i] = await FirstByteAsync(message => OpenAsync(kwik, message));
        }

        double roundTrip = 2 * OneWayDelay.TotalMilliseconds;
        double plainTime = Median(plainTimes);
        double kwikTime = Median(kwikTimes);
        Console.WriteLine(json
            ? JsonSerializer.Serialize(new { round_trip_ms = roundTrip, plain_first_byte_ms = Math.Round(plainTime, 2), kwik_first_byte_ms = Math.Round(kwikTime, 2) })
            : $"""
            open until the first byte is back, through a round trip of {roundTrip:0} ms
            plain System.Net.Quic                      {plainTime,10:0.0} ms = {plainTime / roundTrip:0.00} round trips
            Kwik                                       {kwikTime,10:0.0} ms = {kwikTime / roundTrip:0.00} round trips
            """);
        await plain.CloseAsync(0);
    }

    /// <summary>Milliseconds from the opening of a stream until the first byte has come back.</summary>
    private static async Task<double> FirstByteAsync(Func<byte[], Task<Stream>> open)
    {
        long start = Stopwatch.GetTimestamp();
        await using Stream stream = await open(new byte[MessageSize]);
        await stream.ReadExactlyAsync(new byte[1]);
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }

    private static double[] Times(List<Round> rounds) => [.. rounds.SelectMany(round => round.Times).Order()];

    private static double Percentile(double[] sorted, double share) =>
        Math.Round(sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))], 1);

    private static double Median(IEnumerable<double> values) => Percentile([.. values.Order()], 0.50, digits: 6);

    private static double Percentile(double[] sorted, double share, int digits) =>
        Math.Round(sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))], digits);

    /// <summary>Opens a second; microseconds of each; microseconds of processor time of both processes.</summary>
    private sealed record Round(double Rate, double[] Times, double ProcessorTime);
}
