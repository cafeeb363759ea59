using System.CommandLine;
using System.Globalization;
using Kwik.Cli.Bench;
using Kwik.Cli.Output;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik bench failover</c>: what a reader notices when a server fails, and when the server is used again.</summary>
internal static class BenchFailoverCommand
{
    private static readonly Option<FaultKind[]> Kind = new("--kind")
    {
        Description = "What happens to a server; may be repeated. Default: all, in turn.",
        DefaultValueFactory = _ => Enum.GetValues<FaultKind>(),
        HelpName = "kill|stop|blackhole",
    };

    private static readonly Option<double> Outage = new("--outage")
    {
        Description = "Seconds that a server is stopped, or its link a black hole: 0.1 to 600.",
        DefaultValueFactory = _ => 3,
    };

    public static Command Create() => BenchCommand.Create(
        "failover",
        "One stream from three servers, of which one is killed, stopped or cut off.",
        runs: 20,
        seconds: 8,
        [Kind, Outage],
        RunAsync);

    private static async Task<bool> RunAsync(Measuring measuring, CancellationToken cancellationToken)
    {
        var plan = new FailoverPlan(
            measuring.Runs,
            measuring.Duration,
            BenchCommand.Seconds(measuring.Parsed, Outage),
            measuring.Queue ?? FailoverBench.RoundTrip,
            [.. measuring.Parsed.GetRequiredValue(Kind).Distinct()]);
        FailoverJson report = await FailoverBench.RunAsync(plan, measuring.Say, cancellationToken);
        if (measuring.Json)
        {
            CommonOptions.WriteJson(report, JsonObjects.Default.FailoverJson);
        }
        else
        {
            Print(report);
        }

        return report.Met;
    }

    private static void Print(FailoverJson report)
    {
        BenchCommand.Print(
            ["", "longest gap: p50", "p95", "max", "noticed", "asked elsewhere", "first byte", "used again: p95"],
            [
                .. report.Faults.Select(fault => Row(fault.Kind, fault.GapMs, fault, fault.BackMs)),
                Row("all", report.GapMs, null, report.BackMs),
            ]);
        Console.Out.WriteLine(
            $"{report.LostBytes} bytes lost, SHA-256 {(report.Sha256Ok ? "equal" : "different")} in {report.Measurements.Count} runs");
    }

    private static string[] Row(string name, SpreadJson gap, FaultJson? fault, SpreadJson? back) =>
    [
        name,
        Milliseconds(gap.P50),
        BenchCommand.Verdict($"{Milliseconds(gap.P95)} <= {gap.Bar:0}", gap.Met),
        Milliseconds(gap.Max),
        Milliseconds(fault?.NoticedP50Ms),
        Milliseconds(fault?.AskedElsewhereP50Ms),
        Milliseconds(fault?.FirstByteP50Ms),
        back is null ? "" : BenchCommand.Verdict($"{Milliseconds(back.P95)} <= {back.Bar:0}", back.Met),
    ];

    private static string Milliseconds(double? value) =>
        value is null ? "" : string.Create(CultureInfo.InvariantCulture, $"{value:0} ms");
}
