using System.Diagnostics;
using System.Globalization;
using System.Net;
using Kwik.Cli.Bench.Peers;
using Kwik.Cli.Output;
using Kwik.Cli.Staging;
using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Cli.Bench;

/// <summary>Plain System.Net.Quic by itself: what this machine and its QUIC library give, without a bar.</summary>
internal static class RawBench
{
    private const int Echoes = 2000;
    private const int Connects = 50;
    private const int Streams = 1000;
    private const long WarmUpBytes = 500_000_000;

    /// <summary>Measures.</summary>
    /// <param name="runs">How often everything is measured.</param>
    /// <param name="duration">About how long one download takes.</param>
    /// <param name="say">Tells people how far it is.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    public static async Task<RawJson> RunAsync(int runs, TimeSpan duration, Action<string> say, CancellationToken cancellationToken)
    {
        QuicLibrary library = QuicProvider.EnsureLoaded();
        say("starting server and client");
        await using PeerPair pair = await PeerPair.StartAsync(PeerKind.Plain, null, cancellationToken);
        long warm = Math.Max((long)(WarmUpBytes * Math.Min(1, duration.TotalSeconds)), 1_000_000);
        long bytes = (long)((await pair.DownloadAsync(warm, cancellationToken)).BitsPerSecond / 8 * duration.TotalSeconds);
        await using ServerProcess server = await ServerProcess.StartAsync(["bench", "server", "plain"], cancellationToken);
        await StreamsPerSecondAsync(server.EndPoint, server.Pin, cancellationToken);

        List<SingleRunJson> downloads = [];
        List<double> echoes = [], connects = [], streams = [];
        for (int run = 1; run <= runs; run++)
        {
            say(string.Create(CultureInfo.InvariantCulture, $"run {run} of {runs}"));
            downloads.Add(await pair.MeasureAsync(run, bytes, cancellationToken));
            echoes.AddRange(await EchoesAsync(server.EndPoint, server.Pin, cancellationToken));
            connects.AddRange(await ConnectsAsync(server.EndPoint, server.Pin, cancellationToken));
            streams.Add(await StreamsPerSecondAsync(server.EndPoint, server.Pin, cancellationToken));
        }

        return new(
            LibraryJson.From(library),
            runs,
            duration.TotalSeconds,
            (long)Figures.Median(downloads.Select(run => (double)run.BitsPerSecond)),
            Math.Round(Figures.Median(downloads.Select(run => run.CpuSecondsPerGb)), 4),
            pair.PeakMemory,
            Math.Round(Figures.Percentile(echoes, 0.50) ?? 0, 1),
            Math.Round(Figures.Percentile(echoes, 0.99) ?? 0, 1),
            Math.Round(Figures.Median(connects), 1),
            Math.Round(Figures.Median(streams)),
            downloads);
    }

    private static async Task<double[]> EchoesAsync(IPEndPoint server, KeyHash pin, CancellationToken cancellationToken)
    {
        await using IPeerConnection connection = await PeerConnection.ConnectAsync(PeerKind.Plain, server, pin, cancellationToken);
        await using Stream stream = await PeerProtocol.AskAsync(connection, PeerProtocol.Echo, cancellationToken);
        double[] times = await LatencyBench.EchoAsync(stream, Echoes, cancellationToken);
        connection.CompleteWrites(stream);
        await PeerProtocol.ReadEndAsync(stream, cancellationToken);
        return times;
    }

    /// <summary>Handshakes one after the other, each in microseconds.</summary>
    private static async Task<double[]> ConnectsAsync(IPEndPoint server, KeyHash pin, CancellationToken cancellationToken)
    {
        var times = new double[Connects];
        for (int i = 0; i < Connects; i++)
        {
            long start = Stopwatch.GetTimestamp();
            await using IPeerConnection connection = await PeerConnection.ConnectAsync(PeerKind.Plain, server, pin, cancellationToken);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        return times;
    }

    /// <summary>Streams opened, used for an answer of 1 KiB and closed, one after the other.</summary>
    private static async Task<double> StreamsPerSecondAsync(IPEndPoint server, KeyHash pin, CancellationToken cancellationToken)
    {
        await using IPeerConnection connection = await PeerConnection.ConnectAsync(PeerKind.Plain, server, pin, cancellationToken);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Streams; i++)
        {
            await PeerProtocol.DownloadAsync(connection, PeerProtocol.MessageSize, cancellationToken);
        }

        return Streams / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }
}
