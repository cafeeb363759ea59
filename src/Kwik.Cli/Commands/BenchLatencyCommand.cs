using System.CommandLine;
using System.Globalization;
using Kwik.Cli.Bench;
using Kwik.Cli.Output;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik bench latency</c>: what Kwik adds to the round trip of 1 KiB.</summary>
internal static class BenchLatencyCommand
{
    private static readonly Option<int> Connections = new("--connections")
    {
        Description = "Pairs of connections that are measured: 1 to 1000.",
        DefaultValueFactory = _ => 16,
    };

    private static readonly Option<int> Echoes = new("--echoes")
    {
        Description = "Messages on each connection in each of its four rounds: 10 to 100000.",
        DefaultValueFactory = _ => 400,
    };

    private static readonly Option<bool> JsonOption = CommonOptions.Json("the measurements");

    public static Command Create()
    {
        var command = new Command("latency", "What Kwik adds to the round trip of 1 KiB, beside plain streams.") { Connections, Echoes, JsonOption };
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        (int connections, int echoes) = (parsed.GetValue(Connections), parsed.GetValue(Echoes));
        if (connections is < 1 or > 1000)
        {
            throw new UsageException("--connections is 1 to 1000.");
        }

        if (echoes is < 10 or > 100_000)
        {
            throw new UsageException("--echoes is 10 to 100000.");
        }

        var measuring = new Measuring("latency", parsed, connections, TimeSpan.Zero, null, parsed.GetValue(JsonOption));
        LatencyJson report = await LatencyBench.RunAsync(connections, echoes, measuring.Say, cancellationToken);
        if (measuring.Json)
        {
            CommonOptions.WriteJson(report, JsonObjects.Default.LatencyJson);
        }
        else
        {
            BenchCommand.Print(
                ["1 KiB there and back", "p50", "p99"],
                [
                    ["plain QUIC", Time(report.RawP50Us), Time(report.RawP99Us)],
                    ["Kwik", Time(report.KwikP50Us), Time(report.KwikP99Us)],
                    ["added", Bar(report.AddedP50Us, report.AddedP50Bar), Bar(report.AddedP99Us, report.AddedP99Bar)],
                ]);
        }

        return (int)(report.Met ? ExitCode.Ok : ExitCode.TooSlow);
    }

    private static string Bar(double value, double bar) => $"{Time(value)} ({BenchCommand.Verdict($"<= {bar}", value <= bar)})";

    /// <summary>Microseconds, for people.</summary>
    public static string Time(double microseconds) => string.Create(CultureInfo.InvariantCulture, $"{microseconds:0.0} us");
}
