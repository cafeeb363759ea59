using System.Globalization;

namespace Kwik.Benchmarks;

/// <summary>What one transfer came to.</summary>
/// <param name="Elapsed">It took.</param>
/// <param name="Possible">It would have taken at best.</param>
/// <param name="Length">Bytes of the content.</param>
/// <param name="DuplicateBytes">Bytes that servers sent beyond those.</param>
/// <param name="LongestGap">Time in which the reader got nothing, after its first bytes.</param>
/// <param name="InOrder">False: the reader took any piece.</param>
/// <param name="HasFaults">Servers changed their rates, died and came back.</param>
/// <param name="Case">What it was, in words.</param>
internal sealed record DeliveryOutcome(
    TimeSpan Elapsed, TimeSpan Possible, long Length, long DuplicateBytes, TimeSpan LongestGap, bool InOrder, bool HasFaults, string Case)
{
    /// <summary>1 is the fluid bound.</summary>
    public double Efficiency => Possible / Elapsed;

    public double DuplicateRatio => (double)DuplicateBytes / Length;

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Efficiency:0.000} {Elapsed.TotalSeconds:0.0} s of {Possible.TotalSeconds:0.0} s, gap {LongestGap.TotalMilliseconds:0} ms, "
        + $"twice {DuplicateRatio:0.0%}; {Case}");
}

/// <summary>What some transfers came to.</summary>
internal sealed record DeliverySummary(
    int Cases,
    double Median,
    double P5,
    double Lowest,
    double LongestGapP50Ms,
    double LongestGapP95Ms,
    double DuplicateRatio,
    double WorstDuplicateRatio,
    double WorstDuplicateRatioWithoutFaults)
{
    public const double LowestMedian = 0.95;
    public const double LowestP5 = 0.85;
    public const double MostDuplicates = 0.02;

    public static DeliverySummary Of(IReadOnlyCollection<DeliveryOutcome> outcomes)
    {
        double[] efficiency = [.. outcomes.Select(outcome => outcome.Efficiency).Order()];
        double[] gaps = [.. outcomes.Select(outcome => outcome.LongestGap.TotalMilliseconds).Order()];
        return new(
            outcomes.Count,
            At(efficiency, 0.5),
            At(efficiency, 0.05),
            At(efficiency, 0),
            At(gaps, 0.5),
            At(gaps, 0.95),
            outcomes.Sum(outcome => (double)outcome.DuplicateBytes) / Math.Max(1, outcomes.Sum(outcome => (double)outcome.Length)),
            outcomes.Select(outcome => outcome.DuplicateRatio).DefaultIfEmpty().Max(),
            outcomes.Where(outcome => !outcome.HasFaults).Select(outcome => outcome.DuplicateRatio).DefaultIfEmpty().Max());
    }

    public bool MeetsBars => Median >= LowestMedian && P5 >= LowestP5 && WorstDuplicateRatioWithoutFaults <= MostDuplicates;

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{Cases} cases, achieved / possible: median {Median:0.000}, 5th percentile {P5:0.000}, lowest {Lowest:0.000}; longest gap: median "
        + $"{LongestGapP50Ms:0} ms, 95th percentile {LongestGapP95Ms:0} ms; sent twice {DuplicateRatio:0.00%}, worst {WorstDuplicateRatio:0.00%}");

    private static double At(double[] sorted, double share) => sorted.Length == 0 ? 0 : sorted[(int)(share * (sorted.Length - 1))];
}
