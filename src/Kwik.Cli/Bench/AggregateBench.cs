using Kwik.Cli.Bench.Plain;
using Kwik.Cli.Output;
using Kwik.Cli.Staging;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Cli.Bench;

/// <summary>
/// How close one stream from several servers comes to what their links give. Each run measures everything once, one after the
/// other, so that what else the machine does meets all of them; ratios are of one run, and the figures medians of all runs.
/// </summary>
internal sealed class AggregateBench
{
    private const double OrderedBar = 0.95;
    private const double PositionedBar = 0.97;
    private const double SlowServerBar = 0.98;
    private const double DuplicateBar = 0.02;

    private static readonly LinkShape[] Unequal = [Link(300, 10), Link(80, 30), Link(20, 80)];
    private static readonly LinkShape[] Equal = [Link(100, 20), Link(100, 20), Link(10, 20)];

    private readonly TimeSpan _duration;
    private readonly TimeSpan? _queue;
    private readonly Action<string> _say;
    private readonly Stage _unequal;
    private readonly Stage _equal;
    private readonly StagedServer[] _plain;
    private readonly List<MeasurementJson> _measurements = [];

    /// <summary>One download of a file; what each path received, null for plain QUIC.</summary>
    private readonly record struct Measured(TimedDownload Download, long Bytes, List<long>? Sources);

    private AggregateBench(TimeSpan duration, TimeSpan? queue, Action<string> say, Stage unequal, Stage equal, StagedServer[] plain) =>
        (_duration, _queue, _say, _unequal, _equal, _plain) = (duration, queue, say, unequal, equal, plain);

    /// <summary>Measures.</summary>
    /// <param name="runs">How often everything is measured.</param>
    /// <param name="duration">The least that a measurement takes.</param>
    /// <param name="queue">Of the links; null: the relay's default.</param>
    /// <param name="say">Tells people how far it is.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    /// <exception cref="KwikException">A server was not reached, or a download came to nothing.</exception>
    public static async Task<AggregateJson> RunAsync(
        int runs, TimeSpan duration, TimeSpan? queue, Action<string> say, CancellationToken cancellationToken)
    {
        QuicLibrary library = QuicProvider.EnsureLoaded();
        say("starting the servers");
        LinkShape[] links = [.. Unequal.Select(link => link with { Queue = queue })];
        using StagedFile unequalFile = await StagedFile.CreateAsync(BytesIn(duration, Unequal), cancellationToken);
        using StagedFile equalFile = await StagedFile.CreateAsync(BytesIn(duration, Equal), cancellationToken);
        await using Stage unequal = await Stage.SetUpAsync(unequalFile, links, cancellationToken);
        await using Stage equal = await Stage.SetUpAsync(
            equalFile, [.. Equal.Select(link => link with { Queue = queue })], cancellationToken);
        await using StagedServer first = await StartPlainAsync(links[0], cancellationToken);
        await using StagedServer second = await StartPlainAsync(links[1], cancellationToken);
        await using StagedServer third = await StartPlainAsync(links[2], cancellationToken);
        await OfferedFile.WarmAsync(unequal, cancellationToken);
        await OfferedFile.WarmAsync(equal, cancellationToken);
        var bench = new AggregateBench(duration, queue, say, unequal, equal, [first, second, third]);
        await bench.WarmPlainAsync(cancellationToken);
        for (int run = 1; run <= runs; run++)
        {
            await bench.RunOnceAsync(run, runs, cancellationToken);
        }

        return bench.Report(library, runs);
    }

    private static LinkShape Link(int megabits, int roundTripMilliseconds) =>
        new(megabits * 1_000_000L, TimeSpan.FromMilliseconds(roundTripMilliseconds));

    private static Task<StagedServer> StartPlainAsync(LinkShape link, CancellationToken cancellationToken) =>
        StagedServer.StartAsync(["bench", "server", "plain"], link, cancellationToken);

    /// <summary>What these links let through in the duration, headers included.</summary>
    private static long BytesIn(TimeSpan duration, params LinkShape[] links) =>
        (long)(links.Sum(link => link.BitsPerSecond) / 8 * duration.TotalSeconds);

    /// <summary>As the servers of Kwik are.</summary>
    private async Task WarmPlainAsync(CancellationToken cancellationToken)
    {
        TimeSpan duration = _duration < OfferedFile.WarmUp ? _duration : OfferedFile.WarmUp;
        for (int i = 0; i < _plain.Length; i++)
        {
            await FromPlainAsync(_plain[i], BytesIn(duration, Unequal[i]), cancellationToken);
        }
    }

    private async Task RunOnceAsync(int run, int runs, CancellationToken cancellationToken)
    {
        for (int i = 0; i < Unequal.Length; i++)
        {
            (StagedServer server, LinkShape link) = (_plain[i], Unequal[i]);
            await MeasureAsync(PlainName(i), limit => FromPlainAsync(server, BytesIn(_duration, link), limit));
        }

        await MeasureAsync("primary alone", limit => FromKwikAsync(_unequal, 1, positioned: false, limit));
        await MeasureAsync("ordered", limit => FromKwikAsync(_unequal, Unequal.Length, positioned: false, limit));
        await MeasureAsync("positioned", limit => FromKwikAsync(_unequal, Unequal.Length, positioned: true, limit));
        await MeasureAsync("two equal", limit => FromKwikAsync(_equal, Equal.Length - 1, positioned: false, limit));
        await MeasureAsync("two equal and a slow one", limit => FromKwikAsync(_equal, Equal.Length, positioned: false, limit));

        async Task MeasureAsync(string name, Func<CancellationToken, Task<Measured>> measure)
        {
            _say($"run {run} of {runs}: {name}");
            using var limit = new CancellationTokenSource(TimedDownload.Limit(_duration), TimeProvider.System);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
            ProcessorTime? before = ProcessorTime.TryRead();
            try
            {
                Add(run, name, await measure(either.Token), ProcessorTime.BusySince(before));
            }
            catch (OperationCanceledException) when (limit.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
            {
                throw new KwikException(
                    KwikError.Timeout, KwikErrorSide.Network, $"'{name}' was not complete after {TimedDownload.Limit(_duration).TotalSeconds:0} s.");
            }
        }
    }

    private static async Task<Measured> FromPlainAsync(StagedServer server, long bytes, CancellationToken cancellationToken) => new(
        await PlainConnection.DownloadAsync(server.Link.LocalEndPoint, server.Process.Pin, bytes, cancellationToken), bytes, null);

    private static async Task<Measured> FromKwikAsync(Stage stage, int servers, bool positioned, CancellationToken cancellationToken)
    {
        await using ClientSession session = await stage.ConnectAsync(servers, cancellationToken);
        var download = new TimedDownload(TimeProvider.System);
        await using KwikStream stream = await OfferedFile.AskAsync(session, cancellationToken);
        await (positioned
            ? OfferedFile.WriteAsync(stream, stage.PathOf("fetched.bin"), download, cancellationToken)
            : OfferedFile.ReadAsync(stream, download, null, cancellationToken));
        return new(download, stage.File.Length, [.. session.GetAllPaths().Select(path => path.BytesReceived)]);
    }

    private void Add(int run, string name, Measured measured, double? processorBusy)
    {
        (TimedDownload download, long bytes, List<long>? sources) = measured;
        double gap = download.Gaps.Select(gap => gap.Length.TotalMilliseconds).DefaultIfEmpty().Max();
        _measurements.Add(new(
            run,
            name,
            bytes,
            Math.Round(download.LastByte.TotalSeconds, 3),
            Math.Round(download.FirstByte?.TotalMilliseconds ?? 0, 1),
            (long)download.BitsPerSecond,
            (long)download.BitsPerSecondWithStart,
            sources is null ? null : Math.Round((double)Math.Max(0, sources.Sum() - bytes) / bytes, 4),
            sources,
            Math.Round(gap, 1),
            processorBusy));
    }

    private AggregateJson Report(QuicLibrary library, int runs)
    {
        List<AloneJson> alone = [.. Unequal.Select((link, i) => new AloneJson(
            i == 0 ? "primary" : "secondary",
            link.BitsPerSecond,
            link.RoundTrip.TotalMilliseconds,
            Rate(PlainName(i)),
            (long)Median(PlainName(i), one => one.WithStartBitsPerSecond),
            Median(PlainName(i), one => one.FirstByteMs)))];
        TogetherJson ordered = Together("ordered", OrderedBar);
        TogetherJson positioned = Together("positioned", PositionedBar);
        double slow = Ratio("two equal and a slow one", run => Of(run, "two equal"));
        var slowServer = new SlowServerJson(Rate("two equal"), Rate("two equal and a slow one"), slow, SlowServerBar, slow >= SlowServerBar);
        return new()
        {
            Provider = LibraryJson.From(library),
            Runs = runs,
            Seconds = _duration.TotalSeconds,
            QueueMs = _queue?.TotalMilliseconds,
            Sources = alone,
            SumOfSourcesBitsPerSecond = (long)Figures.Median(Enumerable.Range(1, runs).Select(Sum)),
            RawBitsPerSecond = alone[0].RawBitsPerSecond,
            KwikBitsPerSecond = Rate("primary alone"),
            Ratio = Ratio("primary alone", run => Of(run, PlainName(0))),
            Ordered = ordered,
            Positioned = positioned,
            SlowServer = slowServer,
            Met = ordered is { Met: true, DuplicateMet: true } && positioned is { Met: true, DuplicateMet: true } && slowServer.Met,
            Measurements = _measurements,
        };
    }

    private TogetherJson Together(string name, double bar)
    {
        double ofSum = Ratio(name, Sum);
        double duplicates = Math.Round(Median(name, one => one.DuplicateRatio ?? 0), 4);
        return new(
            Rate(name),
            (long)Median(name, one => one.WithStartBitsPerSecond),
            Median(name, one => one.FirstByteMs),
            ofSum,
            bar,
            ofSum >= bar,
            duplicates,
            DuplicateBar,
            duplicates <= DuplicateBar);
    }

    /// <summary>What plain connections got through all links of a run, each alone.</summary>
    private double Sum(int run) => Unequal.Select((_, i) => Of(run, PlainName(i))).Sum();

    private double Of(int run, string name) => _measurements.First(one => one.Run == run && one.Name == name).BitsPerSecond;

    private long Rate(string name) => (long)Median(name, one => one.BitsPerSecond);

    private double Ratio(string name, Func<int, double> whole) =>
        Math.Round(Median(name, one => whole(one.Run) > 0 ? one.BitsPerSecond / whole(one.Run) : 0), 4);

    private double Median(string name, Func<MeasurementJson, double> value) =>
        Figures.Median(_measurements.Where(one => one.Name == name).Select(value));

    private static string PlainName(int link) => link == 0 ? "plain, primary's link" : $"plain, link of secondary {link}";
}
