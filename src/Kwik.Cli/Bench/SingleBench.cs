using System.Globalization;
using System.Text.Json;
using Kwik.Cli.Bench.Peers;
using Kwik.Cli.Output;
using Kwik.Cli.Staging;
using Kwik.Sessions;

namespace Kwik.Cli.Bench;

/// <summary>
/// One stream from one server, straight over loopback: throughput, processor time and memory of Kwik beside plain
/// System.Net.Quic. Every client and every server is a process of its own, so that what each costs is known; one of them works at
/// a time.
/// </summary>
internal static class SingleBench
{
    /// <summary>Least throughput, Kwik's by plain's.</summary>
    public const double RatioBar = 0.97;

    /// <summary>Most processor time for each byte, Kwik's by plain's.</summary>
    public const double CpuBar = 1.10;

    /// <summary>Most memory at any time, Kwik's by plain's.</summary>
    public const double MemoryBar = 1.20;

    // Of the first download: the compilers are through with everything, and the rate is known.
    private const long WarmUpBytes = 1_000_000_000;

    // The offered file, which is on the disk, and read from memory after the first time.
    private const long LargestFile = 1_000_000_000;

    /// <summary>Measures.</summary>
    /// <param name="runs">Downloads of each kind, in turn.</param>
    /// <param name="duration">About how long one takes, at the rate of plain streams.</param>
    /// <param name="say">Tells people how far it is.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    public static async Task<SingleJson> RunAsync(int runs, TimeSpan duration, Action<string> say, CancellationToken cancellationToken)
    {
        QuicLibrary library = QuicProvider.EnsureLoaded();
        say("starting servers and clients");
        long warm = Math.Max((long)(WarmUpBytes * Math.Min(1, duration.TotalSeconds)), 1_000_000);
        await using PeerPair plain = await PeerPair.StartAsync(PeerKind.Plain, null, cancellationToken);
        await using PeerPair kwik = await PeerPair.StartAsync(PeerKind.Kwik, null, cancellationToken);
        long bytes = (long)((await plain.DownloadAsync(warm, cancellationToken)).BitsPerSecond / 8 * duration.TotalSeconds);
        await kwik.DownloadAsync(warm, cancellationToken);
        using StagedFile file = await StagedFile.CreateAsync(Math.Min(bytes, LargestFile), cancellationToken);
        await using PeerPair offered = await PeerPair.StartAsync(PeerKind.Offered, file, cancellationToken);
        await offered.DownloadAsync(file.Length, cancellationToken);

        var measured = new List<SingleRunJson>();
        for (int run = 1; run <= runs; run++)
        {
            // Whoever is first in a run has the machine as the last one has left it.
            PeerPair[] order = run % 2 == 1 ? [plain, kwik, offered] : [kwik, plain, offered];
            foreach (PeerPair pair in order)
            {
                say(string.Create(CultureInfo.InvariantCulture, $"run {run} of {runs}: {Name(pair.Kind)}"));
                measured.Add(await pair.MeasureAsync(run, pair == offered ? file.Length : bytes, cancellationToken));
            }
        }

        return Report(library, runs, duration, measured, plain.PeakMemory, kwik.PeakMemory, offered.PeakMemory);
    }

    /// <summary>As it is called in the report.</summary>
    public static string Name(PeerKind kind) => kind.ToString().ToLowerInvariant();

    private static SingleJson Report(
        QuicLibrary library, int runs, TimeSpan duration, List<SingleRunJson> measured, long plainPeak, long kwikPeak, long offeredPeak)
    {
        double ratio = Ratio(PeerKind.Kwik, run => run.BitsPerSecond);
        double cpu = Ratio(PeerKind.Kwik, run => run.CpuSecondsPerGb);
        double memory = Math.Round((double)kwikPeak / plainPeak, 3);
        return new()
        {
            Provider = LibraryJson.From(library),
            Runs = runs,
            Seconds = duration.TotalSeconds,
            RawBitsPerSecond = (long)Median(PeerKind.Plain, run => run.BitsPerSecond),
            KwikBitsPerSecond = (long)Median(PeerKind.Kwik, run => run.BitsPerSecond),
            Ratio = ratio,
            RatioBar = RatioBar,
            RawCpuSecondsPerGb = Median(PeerKind.Plain, run => run.CpuSecondsPerGb),
            KwikCpuSecondsPerGb = Median(PeerKind.Kwik, run => run.CpuSecondsPerGb),
            CpuRatio = cpu,
            CpuBar = CpuBar,
            RawPeakRssBytes = plainPeak,
            KwikPeakRssBytes = kwikPeak,
            PeakRssRatio = memory,
            PeakRssBar = MemoryBar,
            Offered = new(
                (long)Median(PeerKind.Offered, run => run.BitsPerSecond),
                Ratio(PeerKind.Offered, run => run.BitsPerSecond),
                Median(PeerKind.Offered, run => run.CpuSecondsPerGb),
                Ratio(PeerKind.Offered, run => run.CpuSecondsPerGb),
                offeredPeak),
            Met = ratio >= RatioBar && cpu <= CpuBar && memory <= MemoryBar,
            Measurements = measured,
        };

        IEnumerable<SingleRunJson> Of(PeerKind kind) => measured.Where(run => run.Name == Name(kind));

        double Median(PeerKind kind, Func<SingleRunJson, double> value) => Math.Round(Figures.Median(Of(kind).Select(value)), 4);

        // Of the two of one run, which the machine treated most alike.
        double Ratio(PeerKind kind, Func<SingleRunJson, double> value) => Math.Round(
            Figures.Median(Of(kind).Select(run => value(run) / value(Of(PeerKind.Plain).First(plain => plain.Run == run.Run)))), 4);
    }
}
