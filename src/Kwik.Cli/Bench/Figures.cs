namespace Kwik.Cli.Bench;

/// <summary>What is said of several measurements.</summary>
internal static class Figures
{
    /// <summary>The one in the middle; the mean of two where there is none; 0 of nothing.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? 0 : (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>The smallest value that at least such a share of all do not exceed (nearest rank); null of nothing.</summary>
    public static double? Percentile(IEnumerable<double> values, double share)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? null : sorted[Math.Max(0, (int)Math.Ceiling(share * sorted.Length) - 1)];
    }
}
