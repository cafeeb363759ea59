using System.CommandLine;
using System.Globalization;
using Kwik.Cli.Bench;
using Kwik.Cli.Output;
using Spectre.Console;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik bench</c>: measurements, each with what must hold.</summary>
internal static class BenchCommand
{
    private static readonly Option<bool> JsonOption = CommonOptions.Json("the measurements");

    public static Command Create() => new("bench", "Measure, beside plain System.Net.Quic, and say whether what must hold does.")
    {
        BenchRawCommand.Create(),
        BenchSingleCommand.Create(),
        BenchLatencyCommand.Create(),
        BenchAggregateCommand.Create(),
        BenchFailoverCommand.Create(),
        BenchPeerCommands.CreateServer(),
        BenchPeerCommands.CreateClient(),
    };

    /// <summary>A measurement, with the options that all have.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="description">For people.</param>
    /// <param name="runs">Default of <c>--runs</c>.</param>
    /// <param name="seconds">Default of <c>--seconds</c>.</param>
    /// <param name="more">Options of its own.</param>
    /// <param name="run">Measures, prints, and tells whether every bar holds.</param>
    /// <param name="onLinks">Whether it is on shaped links, which have a queue.</param>
    public static Command Create(
        string name,
        string description,
        int runs,
        double seconds,
        IEnumerable<Option> more,
        Func<Measuring, CancellationToken, Task<bool>> run,
        bool onLinks = true)
    {
        var runsOption = new Option<int>("--runs")
        {
            Description = "How often everything is measured: 1 to 1000.",
            DefaultValueFactory = _ => runs,
        };
        var secondsOption = new Option<double>("--seconds")
        {
            Description = "The least that one measurement takes: 0.1 to 600.",
            DefaultValueFactory = _ => seconds,
        };
        var queueOption = new Option<double?>("--queue")
        {
            Description = "Milliseconds that a datagram waits at most for the bottleneck of a link: 1 to 10000. Default: 1 MiB of datagrams, for failover 20.",
        };
        var command = new Command(name, description) { runsOption, secondsOption, JsonOption };
        foreach (Option option in onLinks ? [queueOption, .. more] : more)
        {
            command.Add(option);
        }

        command.SetAction(async (parsed, cancellationToken) =>
        {
            var measuring = new Measuring(
                name,
                parsed,
                parsed.GetValue(runsOption),
                Seconds(parsed, secondsOption),
                parsed.GetValue(queueOption) is { } queue ? Queue(queue) : null,
                parsed.GetValue(JsonOption));
            if (measuring.Runs is < 1 or > 1000)
            {
                throw new UsageException("--runs is 1 to 1000.");
            }

            return (int)(await run(measuring, cancellationToken) ? ExitCode.Ok : ExitCode.TooSlow);
        });
        return command;
    }

    /// <summary>The value of an option in seconds.</summary>
    /// <exception cref="UsageException">It is out of range.</exception>
    public static TimeSpan Seconds(ParseResult parsed, Option<double> option) => parsed.GetValue(option) is >= 0.1 and <= 600 and var seconds
        ? TimeSpan.FromSeconds(seconds)
        : throw new UsageException($"{option.Name} is 0.1 to 600.");

    private static TimeSpan Queue(double milliseconds) => milliseconds is >= 1 and <= 10_000
        ? TimeSpan.FromMilliseconds(milliseconds)
        : throw new UsageException("--queue is 1 to 10000.");

    /// <summary>Prints a table on standard output.</summary>
    public static void Print(IEnumerable<string> columns, IEnumerable<string[]> rows)
    {
        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumns([.. columns]);
        foreach (string[] row in rows)
        {
            table.AddRow(row);
        }

        Terminal.Output().Write(table);
    }

    /// <summary>What must hold, and whether it does.</summary>
    public static string Verdict(string bar, bool met) => met ? $"{bar} [green]met[/]" : $"{bar} [red]missed[/]";

    public static string Share(double value) => value.ToString("0.000", CultureInfo.InvariantCulture);
}

/// <summary>One call of a measurement.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Parsed">For options of its own.</param>
/// <param name="Runs">How often everything is measured.</param>
/// <param name="Duration">The least that one download takes.</param>
/// <param name="Queue">Of the links; null: the default.</param>
/// <param name="Json">How to print.</param>
internal sealed record Measuring(string Name, ParseResult Parsed, int Runs, TimeSpan Duration, TimeSpan? Queue, bool Json)
{
    /// <summary>Tells people how far it is.</summary>
    public void Say(string message) => Console.Error.WriteLine($"kwik bench {Name}: {message}");
}
