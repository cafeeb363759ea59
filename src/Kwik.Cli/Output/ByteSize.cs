using System.Globalization;

namespace Kwik.Cli.Output;

/// <summary>Amounts of bytes, read and written.</summary>
internal static class ByteSize
{
    private static readonly (string Suffix, long Factor)[] Units =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("kB", 1_000), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
        ("K", 1L << 10), ("M", 1L << 20), ("G", 1L << 30), ("B", 1), ("", 1),
    ];

    /// <summary>Reads a whole number with an optional unit: 1500, 64KiB, 256MiB, 1GB.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        (string suffix, long factor) = Units.First(unit => text.EndsWith(unit.Suffix, StringComparison.Ordinal));
        bytes = 0;
        if (!long.TryParse(text.AsSpan(0, text.Length - suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long number)
            || number > long.MaxValue / factor)
        {
            return false;
        }

        bytes = number * factor;
        return true;
    }

    /// <summary>For people: 17 B, 64.0 KiB, 256.0 MiB.</summary>
    public static string Format(long bytes)
    {
        (string suffix, long factor) = Units.Take(4).LastOrDefault(unit => bytes >= unit.Factor, ("B", 1));
        return factor == 1 ? $"{bytes} B" : string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / factor:0.0} {suffix}");
    }

    /// <summary>For people: 149.8 Mbit/s.</summary>
    public static string FormatRate(double bitsPerSecond) =>
        string.Create(CultureInfo.InvariantCulture, $"{bitsPerSecond / 1e6:0.0} Mbit/s");
}
