using System.Diagnostics.Metrics;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace Kwik.Architecture.Tests;

/// <summary>docs/observability.md lists the instruments, activities and events that there are, and no others.</summary>
public sealed partial class ObservabilityTests
{
    private const string Page = "docs/observability.md";

    [Fact]
    public void Instruments_OfThePage_AreThoseOfTheMeter()
    {
        var defined = new List<string>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, _) =>
            {
                if (instrument.Meter.Name == "Kwik")
                {
                    defined.Add($"{instrument.Name} {KindOf(instrument)} {instrument.Unit}");
                }
            },
        };
        RuntimeHelpers.RunClassConstructor(Repository.Assemblies["Kwik.Session"].GetType("Kwik.Sessions.KwikTelemetry", throwOnError: true)!.TypeHandle);
        listener.Start();

        Assert.Equal(
            defined.Order(),
            Rows(Repository.Read(Page), "instrument").Select(row => $"{row[0]} {row[1]} {row[2]}").Order());
    }

    [Fact]
    public void Activities_OfThePage_AreThoseOfTheCode() => Assert.Equal(
        InCode(SpanName()), Rows(Repository.Read(Page), "activity").Select(row => row[0]).Order());

    [Fact]
    public void Attributes_OfThePage_AreThoseOfTheCode() => Assert.Equal(
        InCode(Attribute()), Rows(Repository.Read(Page), "attribute").Select(row => row[0]).Order());

    [Fact]
    public void Events_OfThePage_AreThoseOfTheCode() => Assert.Equal(
        InCode(Event()), Rows(Repository.Read(Page), "event").Select(row => row[0]).Order());

    [Fact]
    public void Rows_OfATable_AreItsOwn()
    {
        const string Text = "| event | x |\n|---|---|\n| `a_b` | 1 |\n| `c` | |\n\n| attribute | y |\n|---|---|\n| `d` | 2 |\n";

        Assert.Equal(["a_b", "c"], Rows(Text, "event").Select(row => row[0]));
        Assert.Equal(["d"], Rows(Text, "attribute").Select(row => row[0]));
    }

    private static string KindOf(Instrument instrument) => instrument switch
    {
        ObservableUpDownCounter<long> => "up-down counter",
        Histogram<double> => "histogram",
        _ => "counter",
    };

    private static IEnumerable<string> InCode(Regex pattern) => Repository.SourcesOf("Kwik.Session")
        .SelectMany(source => pattern.Matches(source.Text))
        .SelectMany(match => match.Groups.Cast<Group>().Skip(1).Where(group => group.Success).Select(group => group.Value))
        .Distinct()
        .Order();

    // The rows below a head whose first cell is this, cell by cell, without the marks of code.
    private static IEnumerable<string[]> Rows(string text, string head) => text.Split('\n')
        .SkipWhile(line => !line.StartsWith($"| {head} |", StringComparison.Ordinal))
        .Skip(2)
        .TakeWhile(line => line.StartsWith('|'))
        .Select(line => line.Trim('|', ' ').Split('|').Select(cell => cell.Trim(' ', '`')).ToArray());

    [GeneratedRegex("Span\\.Begin\\(\\s*_?[a-z]+, \"(kwik\\.[a-z]+)\"")]
    private static partial Regex SpanName();

    [GeneratedRegex("(?:\\.Set|Set|SetTag)\\(\"((?:kwik|network|error)[a-z.]+)\"")]
    private static partial Regex Attribute();

    [GeneratedRegex("(?:\\b_?[Ww]rite\\(|WriteEvent\\(json, null, |DeliveryStepKind\\.[A-Z][a-z]+ => |isOpen \\? |(?<=isOpen \\? \"[a-z_]+\" : ))\"([a-z]+(?:_[a-z]+)*)\"")]
    private static partial Regex Event();
}
