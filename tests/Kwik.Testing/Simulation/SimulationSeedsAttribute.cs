using System.Globalization;
using System.Reflection;
using Xunit;
using Xunit.Sdk;
using Xunit.v3;

namespace Kwik.Testing;

/// <summary>
/// Gives a theory with one <see cref="int"/> parameter the seeds of this test run: 1 to 50, or 1 to
/// <c>KWIK_SEEDS</c>, or <c>KWIK_SEED</c> alone.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SimulationSeedsAttribute : DataAttribute
{
    private const int DefaultCount = 50;

    /// <summary>The seeds of this test run, for a test that goes through them itself.</summary>
    public static IReadOnlyList<int> Seeds => SeedsFrom(
        Environment.GetEnvironmentVariable("KWIK_SEED"), Environment.GetEnvironmentVariable("KWIK_SEEDS"));

    /// <summary>The seeds that the two environment variables ask for.</summary>
    internal static IReadOnlyList<int> SeedsFrom(string? only, string? count)
    {
        if (only is { Length: > 0 })
        {
            return [int.Parse(only, CultureInfo.InvariantCulture)];
        }

        int seeds = count is { Length: > 0 } ? int.Parse(count, CultureInfo.InvariantCulture) : DefaultCount;
        return [.. Enumerable.Range(1, seeds)];
    }

    /// <inheritdoc/>
    public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, DisposalTracker disposalTracker) =>
        new([.. Seeds.Select(seed => new TheoryDataRow<int>(seed))]);

    /// <inheritdoc/>
    public override bool SupportsDiscoveryEnumeration() => true;
}
