using System.Globalization;

namespace Kwik.Benchmarks;

/// <summary>What a process holds.</summary>
/// <param name="Managed">Bytes of objects that are alive.</param>
/// <param name="Resident">Bytes of the process that are in memory, those of native libraries included.</param>
internal sealed record Memory(long Managed, long Resident)
{
    /// <summary>Of this process, after a full collection.</summary>
    public static Memory Measure()
    {
        for (int i = 0; i < 3; i++)
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            GC.WaitForPendingFinalizers();
        }

        return new(GC.GetTotalMemory(forceFullCollection: true), Environment.WorkingSet);
    }

    public static Memory Parse(string text)
    {
        string[] parts = text.Split(' ');
        return new(long.Parse(parts[0], CultureInfo.InvariantCulture), long.Parse(parts[1], CultureInfo.InvariantCulture));
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Managed} {Resident}");
}
