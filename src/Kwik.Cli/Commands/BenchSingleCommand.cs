using System.CommandLine;
using System.Globalization;
using Kwik.Cli.Bench;
using Kwik.Cli.Output;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik bench single</c>: what one stream from one server costs beside plain System.Net.Quic.</summary>
internal static class BenchSingleCommand
{
    public static Command Create() => BenchCommand.Create(
        "single", "One stream from one server: throughput, processor time and memory beside plain streams.", runs: 5, seconds: 5, [], RunAsync, onLinks: false);

    private static async Task<bool> RunAsync(Measuring measuring, CancellationToken cancellationToken)
    {
        SingleJson report = await SingleBench.RunAsync(measuring.Runs, measuring.Duration, measuring.Say, cancellationToken);
        if (measuring.Json)
        {
            CommonOptions.WriteJson(report, JsonObjects.Default.SingleJson);
        }
        else
        {
            Print(report);
        }

        return report.Met;
    }

    private static void Print(SingleJson report)
    {
        OfferedJson offered = report.Offered;
        BenchCommand.Print(
            ["", "throughput", "processor", "memory"],
            [
                ["plain QUIC", ByteSize.FormatRate(report.RawBitsPerSecond), Cpu(report.RawCpuSecondsPerGb), ByteSize.Format(report.RawPeakRssBytes)],
                ["Kwik", ByteSize.FormatRate(report.KwikBitsPerSecond), Cpu(report.KwikCpuSecondsPerGb), ByteSize.Format(report.KwikPeakRssBytes)],
                [
                    "Kwik by plain",
                    $"{BenchCommand.Share(report.Ratio)} ({BenchCommand.Verdict($">= {report.RatioBar}", report.Ratio >= report.RatioBar)})",
                    $"{BenchCommand.Share(report.CpuRatio)} ({BenchCommand.Verdict($"<= {report.CpuBar}", report.CpuRatio <= report.CpuBar)})",
                    $"{BenchCommand.Share(report.PeakRssRatio)} ({BenchCommand.Verdict($"<= {report.PeakRssBar}", report.PeakRssRatio <= report.PeakRssBar)})",
                ],
                ["Kwik, an offered file", ByteSize.FormatRate(offered.BitsPerSecond), Cpu(offered.CpuSecondsPerGb), ByteSize.Format(offered.PeakRssBytes)],
                ["the same by plain", BenchCommand.Share(offered.Ratio), BenchCommand.Share(offered.CpuRatio), ""],
            ]);
    }

    private static string Cpu(double secondsPerGigabyte) => string.Create(CultureInfo.InvariantCulture, $"{secondsPerGigabyte:0.00} s/GB");
}
