using System.Globalization;

namespace Kwik.Cli.Bench;

/// <summary>What the processors of the machine have done so far, for whomever, in units of the kernel's.</summary>
internal readonly record struct ProcessorTime(long Busy, long All)
{
    private const string Source = "/proc/stat";

    /// <summary>Null where the system does not tell.</summary>
    public static ProcessorTime? TryRead()
    {
        if (!File.Exists(Source))
        {
            return null;
        }

        // "cpu user nice system idle iowait irq softirq steal guest ...", of which guest is part of user.
        long[] times = [.. File.ReadLines(Source).First()
            .Split(' ', StringSplitOptions.RemoveEmptyEntries).Skip(1).Take(8).Select(time => long.Parse(time, CultureInfo.InvariantCulture))];
        return new(times.Sum() - times[3] - times[4], times.Sum());
    }

    /// <summary>The share of all processors that was busy since then: 0 to 1; null when it is not known.</summary>
    public static double? BusySince(ProcessorTime? then) =>
        then is { } from && TryRead() is { } to && to.All > from.All ? Math.Round((double)(to.Busy - from.Busy) / (to.All - from.All), 3) : null;
}
