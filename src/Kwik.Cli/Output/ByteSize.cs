using System.Globalization;

namespace Kwik.Cli.Output;

/// <summary>
/// Sizes, rates and times, read and written: sizes in bytes with binary units, rates of links in bits with decimal ones, as
/// disks and links are labelled.
/// </summary>
internal static class ByteSize
{
    private static readonly (string Suffix, long Factor)[] Units =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("kB", 1_000), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
        ("K", 1L << 10), ("M", 1L << 20), ("G", 1L << 30), ("B", 1), ("", 1),
    ];

    // Of a bit an eighth: rates are kept in bytes.
    private static readonly (string Suffix, decimal Factor)[] BitUnits =
    [
        ("kbit", 1_000 / 8m), ("Mbit", 1_000_000 / 8m), ("Gbit", 1_000_000_000 / 8m), ("bit", 1 / 8m),
    ];

    private static readonly (string Suffix, double Factor)[] RateUnits = [("kbit/s", 1e3), ("Mbit/s", 1e6), ("Gbit/s", 1e9), ("Tbit/s", 1e12)];

    /// <summary>Reads a number with an optional unit: 1500, 64KiB, 1.5GiB, 256MiB, 1GB.</summary>
    public static bool TryParse(string text, out long bytes)
    {
        (string suffix, long factor) = Units.First(unit => text.EndsWith(unit.Suffix, StringComparison.Ordinal));
        return TryMultiply(text[..^suffix.Length], factor, out bytes);
    }

    /// <summary>
    /// Reads a rate, which has a unit: bits (10Mbit/s, 500kbit/s) or bytes (2MiB/s, 1.5MB/s); "/s" may be left out. What is neither,
    /// such as 10M or 10Mb, is refused: half of the people would mean the other.
    /// </summary>
    public static bool TryParseRate(string text, out long bytesPerSecond)
    {
        string amount = text.EndsWith("/s", StringComparison.Ordinal) ? text[..^2] : text;
        foreach ((string suffix, decimal factor) in BitUnits)
        {
            if (amount.EndsWith(suffix, StringComparison.OrdinalIgnoreCase))
            {
                return TryMultiply(amount[..^suffix.Length], factor, out bytesPerSecond);
            }
        }

        bytesPerSecond = 0;
        return amount.EndsWith('B') && TryParse(amount, out bytesPerSecond);
    }

    /// <summary>For people: 17 B, 64.0 KiB, 256.0 MiB.</summary>
    public static string Format(long bytes)
    {
        (string suffix, long factor) = Units.Take(4).LastOrDefault(unit => bytes >= unit.Factor, ("B", 1));
        return factor == 1 ? $"{bytes} B" : string.Create(CultureInfo.InvariantCulture, $"{(double)bytes / factor:0.0} {suffix}");
    }

    /// <summary>For people: 870 bit/s, 149.8 Mbit/s.</summary>
    public static string FormatRate(double bitsPerSecond)
    {
        // What would be written as 1000.0 of a unit is 1.0 of the next.
        (string suffix, double factor) = RateUnits.LastOrDefault(unit => bitsPerSecond >= unit.Factor * 0.99995, ("bit/s", 1));
        return factor == 1
            ? string.Create(CultureInfo.InvariantCulture, $"{bitsPerSecond:0} bit/s")
            : string.Create(CultureInfo.InvariantCulture, $"{bitsPerSecond / factor:0.0} {suffix}");
    }

    /// <summary>For people, rounded up: 1 s, 59 s, 3 min 20 s, 2 h 05 min, 3 d 4 h.</summary>
    public static string FormatTime(TimeSpan time)
    {
        var rounded = TimeSpan.FromSeconds(Math.Ceiling(time.TotalSeconds));
        return rounded switch
        {
            { TotalMinutes: < 1 } => $"{rounded.Seconds} s",
            { TotalHours: < 1 } => $"{rounded.Minutes} min {rounded.Seconds:00} s",
            { TotalDays: < 1 } => $"{rounded.Hours} h {rounded.Minutes:00} min",
            _ => $"{rounded.Days} d {rounded.Hours} h",
        };
    }

    private static bool TryMultiply(string number, decimal factor, out long product)
    {
        product = 0;
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value)
            || value > long.MaxValue / factor)
        {
            return false;
        }

        product = (long)(value * factor);
        return true;
    }
}
