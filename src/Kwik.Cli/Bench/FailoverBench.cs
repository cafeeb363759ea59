using Kwik.Cli.Output;
using Kwik.Cli.Staging;
using Kwik.Sessions;

namespace Kwik.Cli.Bench;

/// <summary>What is measured.</summary>
/// <param name="Runs">Downloads with each kind of fault, which take turns.</param>
/// <param name="Duration">The least that a download takes; the fault comes in its first half.</param>
/// <param name="Outage">How long a fault lasts that ends.</param>
/// <param name="Queue">Of the links.</param>
/// <param name="Kinds">At least one.</param>
internal sealed record FailoverPlan(int Runs, TimeSpan Duration, TimeSpan Outage, TimeSpan Queue, IReadOnlyList<FaultKind> Kinds);

/// <summary>How long the reader of one ordered stream waits when a server fails, and when a server that comes back is used.</summary>
internal static class FailoverBench
{
    private const double GapBarMs = 300;
    private const double BackBarMs = 2000;

    // When the fault comes, as shares of the duration: past the start, and with time left to see the server come back.
    private const double Earliest = 0.1;
    private const double Latest = 0.4;

    private const int Seed = 7;

    /// <summary>Of every link without its queue; and the longest wait in the queue unless another one is asked for.</summary>
    public static readonly TimeSpan RoundTrip = TimeSpan.FromMilliseconds(20);

    private static readonly LinkShape[] Links = [.. Enumerable.Repeat(new LinkShape(100_000_000, RoundTrip), 3)];

    /// <summary>Measures.</summary>
    /// <param name="plan">What.</param>
    /// <param name="say">Tells people how far it is.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    public static async Task<FailoverJson> RunAsync(FailoverPlan plan, Action<string> say, CancellationToken cancellationToken)
    {
        QuicLibrary library = QuicProvider.EnsureLoaded();
        say("starting the servers");
        using StagedFile file = await StagedFile.CreateAsync(
            (long)(Links.Sum(link => link.BitsPerSecond) / 8 * plan.Duration.TotalSeconds), cancellationToken);
        var random = new Random(Seed);
        List<FailoverRunJson> measured = [];
        Stage? stage = null;
        try
        {
            for (int run = 1; run <= plan.Runs * plan.Kinds.Count; run++)
            {
                FaultKind kind = plan.Kinds[(run - 1) % plan.Kinds.Count];
                say($"run {run} of {plan.Runs * plan.Kinds.Count}: {kind.ToString().ToLowerInvariant()}");
                stage ??= await SetUpAsync(file, plan.Queue, cancellationToken);
                FailoverRunJson one = await FailoverRun.RunAsync(
                    run,
                    stage,
                    kind,
                    random.Next(stage.Secondaries.Count),
                    plan.Duration * (Earliest + ((Latest - Earliest) * random.NextDouble())),
                    plan.Outage,
                    TimeSpan.FromMilliseconds(BackBarMs),
                    TimedDownload.Limit(plan.Duration),
                    cancellationToken);
                measured.Add(one);
                if (kind == FaultKind.Kill || one.Error is not null)
                {
                    await stage.DisposeAsync();
                    stage = null;
                }
            }
        }
        finally
        {
            await (stage?.DisposeAsync() ?? ValueTask.CompletedTask);
        }

        return Report(library, plan, measured);
    }

    private static async Task<Stage> SetUpAsync(StagedFile file, TimeSpan queue, CancellationToken cancellationToken)
    {
        Stage stage = await Stage.SetUpAsync(file, [.. Links.Select(link => link with { Queue = queue })], cancellationToken);
        try
        {
            await OfferedFile.WarmAsync(stage, cancellationToken);
            return stage;
        }
        catch
        {
            await stage.DisposeAsync();
            throw;
        }
    }

    private static FailoverJson Report(QuicLibrary library, FailoverPlan plan, List<FailoverRunJson> measured)
    {
        SpreadJson gap = Gap(measured);
        SpreadJson? back = Back(measured);
        long lost = measured.Sum(one => one.LostBytes);
        bool sha256Ok = measured.All(one => one.Sha256Ok);
        return new()
        {
            Provider = LibraryJson.From(library),
            Runs = plan.Runs,
            Seconds = plan.Duration.TotalSeconds,
            OutageSeconds = plan.Outage.TotalSeconds,
            QueueMs = plan.Queue.TotalMilliseconds,
            GapMs = gap,
            BackMs = back,
            LostBytes = lost,
            Sha256Ok = sha256Ok,
            Met = gap.Met && back is null or { Met: true } && lost == 0 && sha256Ok,
            Faults = [.. measured.GroupBy(one => one.Kind).Select(kind => new FaultJson(
                kind.Key,
                Gap(kind),
                Median(kind, one => one.NoticedMs),
                Median(kind, one => one.AskedElsewhereMs),
                Median(kind, one => one.FirstByteMs),
                Back([.. kind])))],
            Measurements = measured,
        };
    }

    private static SpreadJson Gap(IEnumerable<FailoverRunJson> runs) => Spread(runs.Select(run => run.GapMs), GapBarMs, missed: false);

    /// <summary>Null when no fault ended in time to see what comes of it.</summary>
    private static SpreadJson? Back(List<FailoverRunJson> runs) => runs.All(run => run.Back is null)
        ? null
        : Spread(runs.Where(run => run.BackMs is not null).Select(run => run.BackMs!.Value), BackBarMs, runs.Exists(run => run.Back == false));

    private static SpreadJson Spread(IEnumerable<double> values, double bar, bool missed)
    {
        double[] all = [.. values];
        double? p95 = Figures.Percentile(all, 0.95);
        return new(Figures.Percentile(all, 0.5), p95, Figures.Percentile(all, 1), bar, !missed && !(p95 > bar));
    }

    private static double? Median(IEnumerable<FailoverRunJson> runs, Func<FailoverRunJson, double?> value) =>
        Figures.Percentile(runs.Select(value).OfType<double>(), 0.5);
}
