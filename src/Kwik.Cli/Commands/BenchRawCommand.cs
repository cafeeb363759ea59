using System.CommandLine;
using System.Globalization;
using Kwik.Cli.Bench;
using Kwik.Cli.Output;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik bench raw</c>: plain System.Net.Quic by itself.</summary>
internal static class BenchRawCommand
{
    public static Command Create() => BenchCommand.Create(
        "raw", "Plain System.Net.Quic by itself, without Kwik: what this machine and its QUIC library give.", runs: 5, seconds: 2, [], RunAsync, onLinks: false);

    private static async Task<bool> RunAsync(Measuring measuring, CancellationToken cancellationToken)
    {
        RawJson report = await RawBench.RunAsync(measuring.Runs, measuring.Duration, measuring.Say, cancellationToken);
        if (measuring.Json)
        {
            CommonOptions.WriteJson(report, JsonObjects.Default.RawJson);
        }
        else
        {
            BenchCommand.Print(
                ["plain QUIC", ""],
                [
                    ["one stream, 64 KiB writes", ByteSize.FormatRate(report.RawBitsPerSecond)],
                    ["processor, both ends", string.Create(CultureInfo.InvariantCulture, $"{report.RawCpuSecondsPerGb:0.00} s/GB")],
                    ["memory, both ends", ByteSize.Format(report.RawPeakRssBytes)],
                    ["1 KiB there and back", $"p50 {BenchLatencyCommand.Time(report.RawP50Us)}, p99 {BenchLatencyCommand.Time(report.RawP99Us)}"],
                    ["connect", BenchLatencyCommand.Time(report.RawConnectP50Us)],
                    ["streams, one after the other", string.Create(CultureInfo.InvariantCulture, $"{report.RawStreamsPerSecond:0}/s")],
                ]);
        }

        // There is no bar to miss.
        return true;
    }
}
