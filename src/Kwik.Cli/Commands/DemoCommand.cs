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

    // What the closing table is wide, with a frame.
    private const int NarrowTerminal = 66;

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
        long? killedAt = null;
        DownloadResult alone = await FetchAsync(stage, "primary alone", 1, style, null, RemarkOn, cancellationToken);
        DownloadResult all = await FetchAsync(stage, "all servers", links.Length, style, null, RemarkOn, cancellationToken);
        DownloadResult killed = await FetchAsync(stage, "one killed", links.Length, style, KillOnTheWay, RemarkOn, cancellationToken);
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
                if (!ProgressView.HasBars(style))
                {
                    Say(style, $"killed secondary {secondaries} when {ByteSize.Format(progress.Bytes)} had arrived");
                }
            }
        }

        string? RemarkOn(PathInfo path) =>
            killedAt is { } bytes && Equals(path.EndPoint, stage.Secondaries[^1].Link.LocalEndPoint)
            ? $"killed at {bytes * 100 / size} %"
            : ProgressView.RemarkOnState(path);
    }

    /// <summary>
    /// Fetches the file once, over a session of its own. The clock starts when the session has all its paths.
    /// </summary>
    /// <param name="stage">The servers.</param>
    /// <param name="title">For people.</param>
    /// <param name="paths">Servers to use, the primary included.</param>
    /// <param name="style">How to show it.</param>
    /// <param name="observe">Sees every progress; null: nobody does.</param>
    /// <param name="remark">What is said of a server beside its bar.</param>
    /// <param name="cancellationToken">Gives the fetch up.</param>
    private static async Task<DownloadResult> FetchAsync(
        Stage stage,
        string title,
        int paths,
        ProgressStyle style,
        Action<DownloadProgress>? observe,
        Func<PathInfo, string?> remark,
        CancellationToken cancellationToken)
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
                cancellationToken),
            remark);
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

    /// <summary>A column for each run, so that it fits a narrow terminal with any number of servers.</summary>
    private static void Print(DemoJson report)
    {
        IAnsiConsole console = Terminal.Output();
        bool isNarrow = console.Profile.Width < NarrowTerminal;
        var table = new Table { Border = isNarrow ? TableBorder.Minimal : TableBorder.Rounded };
        table.AddColumn(new TableColumn("") { Padding = new(isNarrow ? 0 : 1, 0, 1, 0), NoWrap = true });
        foreach (FetchJson run in report.Runs)
        {
            table.AddColumn(new TableColumn(run.Name switch { "alone" => "primary alone", "all" => "all servers", _ => "one killed" })
            {
                Alignment = Justify.Right,
                NoWrap = true,
            });
        }

        double alone = report.Runs[0].Seconds;
        AddRow("time", run => string.Create(CultureInfo.InvariantCulture, $"{run.Seconds:0.00} s"));
        AddRow("rate", run => ByteSize.FormatRate(run.BitsPerSecond));
        AddRow("speed-up", run => string.Create(CultureInfo.InvariantCulture, $"{alone / run.Seconds:0.00}"));
        foreach (SourceJson source in report.Runs.MaxBy(run => run.Sources.Count)!.Sources)
        {
            AddRow(source.Path == 0 ? "primary" : $"secondary {source.Path}", run => Share(run, source.Path));
        }

        AddRow("fetched twice", run => ByteSize.Format(run.DuplicateBytes));
        AddRow(
            "longest stall",
            run => run.StallsMs.Count == 0 ? "under 100 ms" : string.Create(CultureInfo.InvariantCulture, $"{run.StallsMs.Max():0} ms"));
        AddRow("SHA-256", run => run.Sha256 == report.SourceSha256 ? "[green]equal[/]" : "[red]different[/]");
        console.Write(table);
        Console.Out.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{report.SpeedUp:0.00} times as fast from all servers."));
        Console.Out.WriteLine(report.KilledAtBytes is { } bytes
            ? $"The last secondary was killed when {ByteSize.Format(bytes)} had arrived: {StallAtKill(report)}, {(report.Verified ? "no byte lost" : "and the bytes are wrong")}."
            : "The file was whole before a secondary could be killed; a larger --size shows it.");

        void AddRow(string name, Func<FetchJson, string> text) => table.AddRow([name, .. report.Runs.Select(text)]);
    }

    private static string StallAtKill(DemoJson report) => report.StallAtKillMs == 0
        ? "no stall of 100 ms or more"
        : string.Create(CultureInfo.InvariantCulture, $"a stall of {report.StallAtKillMs:0} ms");

    private static string Share(FetchJson run, int path)
    {
        double whole = Math.Max(1, run.Sources.Sum(source => source.Bytes));
        return run.Sources.FirstOrDefault(source => source.Path == path) is { } source
            ? string.Create(CultureInfo.InvariantCulture, $"{100 * source.Bytes / whole:0} %")
            : "";
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
