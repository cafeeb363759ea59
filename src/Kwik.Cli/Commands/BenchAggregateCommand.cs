using System.CommandLine;
using System.Globalization;
using Kwik.Cli.Bench;
using Kwik.Cli.Output;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik bench aggregate</c>: one stream from unequal servers, beside what each of them gives alone.</summary>
internal static class BenchAggregateCommand
{
    public static Command Create() => BenchCommand.Create(
        "aggregate", "One stream from three unequal servers, beside what each gives alone.", runs: 5, seconds: 15, [], RunAsync);

    private static async Task<bool> RunAsync(Measuring measuring, CancellationToken cancellationToken)
    {
        AggregateJson report = await AggregateBench.RunAsync(
            measuring.Runs, measuring.Duration, measuring.Queue, measuring.Say, cancellationToken);
        if (measuring.Json)
        {
            CommonOptions.WriteJson(report, JsonObjects.Default.AggregateJson);
        }
        else
        {
            Print(report);
        }

        return report.Met;
    }

    private static void Print(AggregateJson report)
    {
        List<string[]> rows = [];
        foreach (AloneJson source in report.Sources)
        {
            string link = string.Create(CultureInfo.InvariantCulture, $"{ByteSize.FormatRate(source.LinkBitsPerSecond)}, {source.LinkRttMs:0} ms");
            rows.Add([
                $"plain QUIC, {source.Role}, {link}",
                ByteSize.FormatRate(source.RawBitsPerSecond),
                ByteSize.FormatRate(source.RawWithStartBitsPerSecond),
                Milliseconds(source.RawFirstByteMs),
                "",
                "",
            ]);
        }

        rows.Add(["sum of these", ByteSize.FormatRate(report.SumOfSourcesBitsPerSecond), "", "", "", ""]);
        rows.Add(["Kwik, primary alone", ByteSize.FormatRate(report.KwikBitsPerSecond), "", "", BenchCommand.Share(report.Ratio), ""]);
        rows.Add(Row("Kwik, all, in order", report.Ordered));
        rows.Add(Row("Kwik, all, to a file", report.Positioned));
        SlowServerJson slow = report.SlowServer;
        rows.Add(["Kwik, two equal servers", ByteSize.FormatRate(slow.WithoutBitsPerSecond), "", "", "", ""]);
        rows.Add([
            "and one 10 times slower",
            ByteSize.FormatRate(slow.WithBitsPerSecond),
            "",
            "",
            $"{BenchCommand.Share(slow.Ratio)} ({BenchCommand.Verdict($">= {slow.Bar}", slow.Met)})",
            "",
        ]);
        BenchCommand.Print(["", "rate", "with start", "first byte", "of sum, or ratio", "twice"], rows);
    }

    private static string[] Row(string name, TogetherJson together) =>
    [
        name,
        ByteSize.FormatRate(together.BitsPerSecond),
        ByteSize.FormatRate(together.WithStartBitsPerSecond),
        Milliseconds(together.FirstByteMs),
        $"{BenchCommand.Share(together.OfSum)} ({BenchCommand.Verdict($">= {together.Bar}", together.Met)})",
        $"{BenchCommand.Share(together.DuplicateRatio)} ({BenchCommand.Verdict($"<= {together.DuplicateBar}", together.DuplicateMet)})",
    ];

    private static string Milliseconds(double value) => string.Create(CultureInfo.InvariantCulture, $"{value:0} ms");
}
