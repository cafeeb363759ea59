using System.Diagnostics;

namespace Kwik.Load;

/// <summary>Runs a scenario again and again, and says whether memory stays flat.</summary>
/// <remarks>
/// The first round is not counted: it fills pools and compiles. Of the others, the median of the last third is held against that
/// of the first third.
/// </remarks>
internal static class LoadRun
{
    private const double ManagedGrowth = 0.05;
    private const double ManagedSlack = 1024 * 1024;

    // What the allocators of the runtime and of the C library keep is theirs; it settles, but not at once. System.Net.Quic leaves 32
    // bytes of each stream behind for good, docs/hazards/quic-limits.md: some 60 MB in half an hour of churn.
    private const double ResidentGrowth = 0.10;
    private const double ResidentSlack = 64 * 1024 * 1024;

    // Sockets of connections that still answer stragglers. One that leaked with each connection would be hundreds.
    private const int HandleSlack = 64;

    private static readonly TimeSpan RoundLimit = TimeSpan.FromMinutes(5);

    /// <summary>Runs it.</summary>
    /// <param name="scenario">What is done.</param>
    /// <param name="rounds">The least number of rounds that count.</param>
    /// <param name="duration">Until so much time is over.</param>
    /// <param name="say">Tells people how far it is.</param>
    public static async Task<LoadResult> RunAsync(Scenario scenario, int rounds, TimeSpan duration, Action<string> say)
    {
        await using Rig rig = await Rig.StartAsync(scenario.NeedsReplicas);
        await RoundAsync(rig, scenario);
        var uses = new List<MemoryUse>();
        Figures figures = [];
        long start = Stopwatch.GetTimestamp();
        while (uses.Count < rounds || Stopwatch.GetElapsedTime(start) < duration)
        {
            figures = await RoundAsync(rig, scenario);
            MemoryUse use = await MemoryUse.SettledAsync();
            uses.Add(use);
            say($"{scenario.Name} {uses.Count}: {figures}; left: {MemoryUse.Format(use.Managed)} of objects, "
                + $"{MemoryUse.Format(use.Resident)} resident, {use.Handles} handles");
        }

        return new(scenario.Name, uses.Count, figures, First(uses), Last(uses), IsFlat(First(uses), Last(uses)));
    }

    /// <summary>Whether what is left does not grow.</summary>
    public static bool IsFlat(MemoryUse first, MemoryUse last) =>
        last.Managed <= (first.Managed * (1 + ManagedGrowth)) + ManagedSlack
        && last.Resident <= (first.Resident * (1 + ResidentGrowth)) + ResidentSlack
        && last.Handles <= first.Handles + HandleSlack;

    private static async Task<Figures> RoundAsync(Rig rig, Scenario scenario)
    {
        using var limit = new CancellationTokenSource(RoundLimit);
        try
        {
            Figures figures = await scenario.RunAsync(rig, limit.Token);
            await rig.DrainAsync(limit.Token);
            return figures;
        }
        catch (OperationCanceledException e)
        {
            throw new TimeoutException($"A round of '{scenario.Name}' was not over after {RoundLimit.TotalMinutes:0} minutes.", e);
        }
    }

    private static MemoryUse First(List<MemoryUse> uses) => Median(uses.Take((uses.Count + 2) / 3));

    private static MemoryUse Last(List<MemoryUse> uses) => Median(uses.TakeLast((uses.Count + 2) / 3));

    private static MemoryUse Median(IEnumerable<MemoryUse> uses) => new(
        (long)Figures.Percentile(uses.Select(use => (double)use.Managed), 0.5),
        (long)Figures.Percentile(uses.Select(use => (double)use.Resident), 0.5),
        (int)Figures.Percentile(uses.Select(use => (double)use.Handles), 0.5));
}

/// <summary>What came of a scenario.</summary>
/// <param name="Scenario">Its name.</param>
/// <param name="Rounds">How many counted.</param>
/// <param name="Figures">Of the last round.</param>
/// <param name="First">What was left after rounds of the first third.</param>
/// <param name="Last">What was left after rounds of the last third.</param>
/// <param name="Flat">Whether the second is no more than the first.</param>
internal sealed record LoadResult(string Scenario, int Rounds, Figures Figures, MemoryUse First, MemoryUse Last, bool Flat);
