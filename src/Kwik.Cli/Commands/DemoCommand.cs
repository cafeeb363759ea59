using System.CommandLine;
using System.Globalization;
using Kwik.Cli.Output;
using Kwik.Cli.Staging;
using Kwik.Sessions;
using Kwik.Transfer;
using Spectre.Console;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik demo</c>: one file from one server, from several, and from several of which one dies.</summary>
internal static class DemoCommand
{
    // The share of the file that has arrived when a secondary is killed.
    private const double KillAt = 0.4;
    private const int MaxSecondaries = 7;
    private const int WidthOfPipes = 120;

    // Three of these are less than two cores do beside servers and links, so that the links are what limits.
    private const long LinkRate = 100_000_000;

    // For a secondary more, so that no two links are alike.
    private static readonly TimeSpan LinkRoundTrip = TimeSpan.FromMilliseconds(10);

    // Often enough that a small file is not whole before the demo has noticed where it stands.
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromMilliseconds(20);

    private static readonly Option<long> Size = new("--size")
    {
        Description = "Size of the file, for instance 64MiB; at least 1MiB.",
        DefaultValueFactory = _ => 128L * 1024 * 1024,
        CustomParser = result =>
        {
            if (ByteSize.TryParse(result.Tokens[0].Value, out long bytes) && bytes >= 1024 * 1024)
            {
                return bytes;
            }

            result.AddError($"'{result.Tokens[0].Value}' is no size of 1MiB or more.");
            return 0;
        },
        HelpName = "SIZE",
    };

    private static readonly Option<int> Secondaries = new("--secondaries")
    {
        Description = $"Secondary servers, 1 to {MaxSecondaries}.",
        DefaultValueFactory = _ => 2,
    };

    private static readonly Option<bool> Json = CommonOptions.Json("the measurements");
    private static readonly Option<ProgressStyle> Progress = CommonOptions.Progress();

    public static Command Create()
    {
        var command = new Command("demo", "Fetch a file from one server, from several, and from several of which one is killed.")
        {
            Size, Secondaries, Json, Progress,
        };
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        long size = parsed.GetValue(Size);
        int secondaries = parsed.GetValue(Secondaries);
        if (secondaries is < 1 or > MaxSecondaries)
        {
            throw new UsageException($"--secondaries is 1 to {MaxSecondaries}.");
        }

        ProgressStyle style = parsed.GetValue(Progress);
        QuicProvider.EnsureLoaded();
        Say(style, $"making a file of {ByteSize.Format(size)} and starting 1 primary and {secondaries} secondary servers, "
            + $"each behind a link of {ByteSize.FormatRate(LinkRate)}");
        using StagedFile file = await StagedFile.CreateAsync(size, cancellationToken);
        LinkShape[] links = [.. Enumerable.Range(1, 1 + secondaries).Select(i => new LinkShape(LinkRate, LinkRoundTrip * i))];
        await using Stage stage = await Stage.SetUpAsync(file, links, cancellationToken);
        DownloadResult alone = await FetchAsync(stage, "primary alone", 1, style, null, cancellationToken);
        DownloadResult all = await FetchAsync(stage, "all servers", links.Length, style, null, cancellationToken);
        long? killedAt = null;
        DownloadResult killed = await FetchAsync(stage, "one killed", links.Length, style, KillOnTheWay, cancellationToken);
        DemoJson report = Report(file, alone, all, killed, killedAt);
        if (parsed.GetValue(Json))
        {
            CommonOptions.WriteJson(report, JsonObjects.Default.DemoJson);
        }
        else
        {
            Print(report);
        }

        return (int)(report.Verified ? ExitCode.Ok : ExitCode.Verification);

        void KillOnTheWay(DownloadProgress progress)
        {
            if (killedAt is null && progress.Bytes >= progress.Length * KillAt)
            {
                killedAt = progress.Bytes;
                stage.Secondaries[^1].Process.Kill();
            }
        }
    }

    /// <summary>
    /// Fetches the file once, over a session of its own. The clock starts when the session has all its paths.
    /// </summary>
    /// <param name="stage">The servers.</param>
    /// <param name="title">For people.</param>
    /// <param name="paths">Servers to use, the primary included.</param>
    /// <param name="style">How to show it.</param>
    /// <param name="observe">Sees every progress; null: nobody does.</param>
    /// <param name="cancellationToken">Gives the fetch up.</param>
    private static async Task<DownloadResult> FetchAsync(
        Stage stage, string title, int paths, ProgressStyle style, Action<DownloadProgress>? observe, CancellationToken cancellationToken)
    {
        string target = stage.PathOf("fetched.bin");
        await using ClientSession session = await stage.ConnectAsync(paths, cancellationToken);
        DownloadResult result = await ProgressView.RunAsync(
            style,
            title,
            shown => FileClient.DownloadAsync(
                session,
                StagedFile.Name,
                target,
                new() { Progress = new Observed(shown, observe), ProgressInterval = ProgressInterval },
                cancellationToken));
        File.Delete(target);
        return result;
    }

    private static DemoJson Report(StagedFile file, DownloadResult alone, DownloadResult all, DownloadResult killed, long? killedAt)
    {
        DownloadResult[] results = [alone, all, killed];
        return new(
            results.All(result => result.Verified && result.Sha256 == file.Sha256),
            all.Sha256,
            file.Sha256,
            all.Bytes,
            Math.Round(alone.Elapsed / all.Elapsed, 2),
            killedAt,
            killed.Stalls.Count == 0 ? 0 : Math.Round(killed.Stalls.Max().TotalMilliseconds, 1),
            [FetchJson.From(alone, "alone"), FetchJson.From(all, "all"), FetchJson.From(killed, "killed")]);
    }

    private static void Print(DemoJson report)
    {
        // In a file or a pipe there is nobody to see colours, and no window to fit into.
        bool isTerminal = !Console.IsOutputRedirected;
        IAnsiConsole console = AnsiConsole.Create(new() { Ansi = isTerminal ? AnsiSupport.Detect : AnsiSupport.No });
        console.Profile.Width = isTerminal ? console.Profile.Width : WidthOfPipes;

        var table = new Table { Border = TableBorder.Rounded };
        table.AddColumns("", "time", "rate", "from the servers", "twice", "longest stall", "SHA-256");
        foreach (FetchJson run in report.Runs)
        {
            table.AddRow(
                run.Name switch { "alone" => "primary alone", "all" => "all servers", _ => "one killed" },
                string.Create(CultureInfo.InvariantCulture, $"{run.Seconds:0.00} s"),
                ByteSize.FormatRate(run.BitsPerSecond),
                Shares(run),
                ByteSize.Format(run.DuplicateBytes),
                run.StallsMs.Count == 0 ? "under 100 ms" : string.Create(CultureInfo.InvariantCulture, $"{run.StallsMs.Max():0} ms"),
                run.Sha256 == report.SourceSha256 ? "[green]equal[/]" : "[red]different[/]");
        }

        console.Write(table);
        Console.Out.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{report.SpeedUp:0.00} times as fast from all servers; SHA-256 of the file {report.SourceSha256}"));
    }

    private static string Shares(FetchJson run)
    {
        double whole = Math.Max(1, run.Sources.Sum(source => source.Bytes));
        return string.Join(" + ", run.Sources.Select(
            source => string.Create(CultureInfo.InvariantCulture, $"{source.Bytes / whole:0%}")));
    }

    private static void Say(ProgressStyle style, string message)
    {
        if (style is not ProgressStyle.None)
        {
            Console.Error.WriteLine($"kwik demo: {message}");
        }
    }

    /// <summary>Shows progress, and lets somebody act on it.</summary>
    private sealed class Observed(IProgress<DownloadProgress>? shown, Action<DownloadProgress>? observe) : IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value)
        {
            observe?.Invoke(value);
            shown?.Report(value);
        }
    }
}
