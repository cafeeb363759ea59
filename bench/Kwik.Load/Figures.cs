using System.Globalization;

namespace Kwik.Load;

/// <summary>What a round of a scenario found, by name; names end with their unit.</summary>
internal sealed class Figures : Dictionary<string, double>
{
    /// <summary>Nearest rank; 0 of nothing.</summary>
    public static double Percentile(IEnumerable<double> values, double share)
    {
        double[] sorted = [.. values.Order()];
        return sorted.Length == 0 ? 0 : sorted[Math.Max(0, (int)Math.Ceiling(share * sorted.Length) - 1)];
    }

    public override string ToString() =>
        string.Join(", ", this.Select(figure => string.Create(CultureInfo.InvariantCulture, $"{figure.Key} {figure.Value:0.##}")));
}
