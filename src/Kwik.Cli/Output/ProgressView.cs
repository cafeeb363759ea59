using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Kwik.Sessions;
using Kwik.Transfer;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Kwik.Cli.Output;

/// <summary>How progress is shown.</summary>
internal enum ProgressStyle
{
    /// <summary>Bars on a terminal, else lines.</summary>
    Auto,

    /// <summary>A line a second on standard error.</summary>
    Plain,

    /// <summary>A JSON object a line on standard output.</summary>
    Json,

    /// <summary>Not at all.</summary>
    None,
}

/// <summary>Shows a fetch while it runs.</summary>
internal static class ProgressView
{
    private static readonly TimeSpan LineInterval = TimeSpan.FromSeconds(1);

    // A pause that people are told about.
    private static readonly TimeSpan LongSilence = TimeSpan.FromSeconds(1);

    // Below, the whole is left out: of 80 columns a bar would have few.
    private const int WideEnough = 90;

    /// <summary>Runs a fetch with something to report progress to; null when nobody wants to see it.</summary>
    /// <param name="style">How.</param>
    /// <param name="title">What is fetched.</param>
    /// <param name="fetch">Fetches it.</param>
    /// <param name="remark">What is to be said of a server, beside its bar; null: nothing.</param>
    public static Task<DownloadResult> RunAsync(
        ProgressStyle style,
        string title,
        Func<IProgress<DownloadProgress>?, Task<DownloadResult>> fetch,
        Func<PathInfo, string?>? remark = null) => style switch
        {
            ProgressStyle.None => fetch(null),
            ProgressStyle.Json => fetch(new Lines(TimeSpan.Zero, WriteJson)),
            _ when HasBars(style) => RunWithBarsAsync(title, fetch, remark ?? RemarkOnState),
            _ => fetch(new Lines(LineInterval, progress => WriteText(title, progress))),
        };

    /// <summary>True when progress is drawn, and lines that somebody else prints would spoil it.</summary>
    public static bool HasBars(ProgressStyle style) => style == ProgressStyle.Auto && Terminal.ErrorsTakeEscapes;

    /// <summary>What there is to say of a server that does not send as it should; null: nothing.</summary>
    public static string? RemarkOnState(PathInfo path) =>
        path.State is PathState.Active or PathState.Degraded ? null : path.State.ToString().ToLowerInvariant();

    /// <summary>What a server is called in bars and tables.</summary>
    public static string NameOf(PathInfo path) =>
        path.Role == ServerRole.Primary ? "primary" : string.Create(CultureInfo.InvariantCulture, $"secondary {path.Id}");

    private static void WriteJson(DownloadProgress progress)
    {
        var line = new ProgressJson(
            progress.Bytes,
            progress.ResumedBytes,
            progress.Length,
            Math.Round(progress.Elapsed.TotalSeconds, 6),
            progress.Remaining is { } remaining ? Math.Round(remaining.TotalSeconds, 1) : null,
            SourceJson.From(progress.Sources, progress.Elapsed));
        Console.Out.WriteLine(JsonSerializer.Serialize(line, JsonObjects.Default.ProgressJson));
    }

    private static void WriteText(string title, DownloadProgress progress)
    {
        int active = progress.Sources.Count(source => source.Path.State is PathState.Active or PathState.Degraded);
        Console.Error.WriteLine(
            $"{title}: {ByteSize.Format(progress.Bytes)} of {ByteSize.Format(progress.Length)}, "
            + $"{FormatRate(progress)}, {FormatRemaining(progress)}{active} {(active == 1 ? "server" : "servers")}");
    }

    // Of what is fetched now: an earlier fetch took its own time.
    private static string FormatRate(DownloadProgress progress) =>
        ByteSize.FormatRate(SourceJson.Rate(progress.Bytes - progress.ResumedBytes, progress.Elapsed));

    private static string FormatRemaining(DownloadProgress progress) => progress switch
    {
        { Silence: var silence } when silence >= LongSilence => $"no byte for {Math.Floor(silence.TotalSeconds):0} s, ",
        { Remaining: { } remaining } when progress.Bytes < progress.Length => $"{ByteSize.FormatTime(remaining)} left, ",
        _ => "",
    };

    private static Task<DownloadResult> RunWithBarsAsync(
        string title, Func<IProgress<DownloadProgress>?, Task<DownloadResult>> fetch, Func<PathInfo, string?> remark)
    {
        IAnsiConsole console = Terminal.Errors();
        var states = new StateColumn();
        bool isWide = console.Profile.Width >= WideEnough;
        return console.Progress()
            .Columns(
                new TaskDescriptionColumn { Alignment = Justify.Left },
                new ProgressBarColumn(),
                states)
            .StartAsync(context => fetch(new Bars(context, states, title, isWide, remark)));
    }

    /// <summary>
    /// Rates and times as we know them: the columns that come with bars would count what an earlier fetch left as very fast.
    /// </summary>
    private sealed class StateColumn : ProgressColumn
    {
        private readonly ConcurrentDictionary<int, string> _states = new();

        public void Set(ProgressTask task, string state) => _states[task.Id] = state;

        public override IRenderable Render(RenderOptions options, ProgressTask task, TimeSpan deltaTime) =>
            new Markup(_states.GetValueOrDefault(task.Id, "")) { Overflow = Overflow.Ellipsis };

        protected override bool NoWrap => true;
    }

    /// <summary>The whole file in one bar, and the share of each server in one below.</summary>
    private sealed class Bars(ProgressContext context, StateColumn states, string title, bool isWide, Func<PathInfo, string?> remark)
        : IProgress<DownloadProgress>
    {
        private readonly ProgressTask _whole = context.AddTask($"[bold]{Markup.Escape(title)}[/]");
        private readonly Dictionary<int, ProgressTask> _sources = [];

        public void Report(DownloadProgress progress)
        {
            string remaining = FormatRemaining(progress).TrimEnd(' ', ',');
            string size = isWide && progress.Bytes < progress.Length
                ? $"{ByteSize.Format(progress.Bytes)} of {ByteSize.Format(progress.Length)}"
                : ByteSize.Format(progress.Bytes);
            Show(
                _whole,
                progress.Bytes,
                progress.Length,
                $"{size}, {FormatRate(progress)}"
                + (remaining.Length == 0 ? "" : progress.Silence >= LongSilence ? $", [yellow]{remaining}[/]" : $", {remaining}"));
            foreach (DownloadSource source in progress.Sources)
            {
                if (!_sources.TryGetValue(source.Path.Id, out ProgressTask? bar))
                {
                    bar = context.AddTask(NameOf(source.Path));
                    _sources.Add(source.Path.Id, bar);
                }

                string? said = remark(source.Path);
                bar.Description = said is null ? NameOf(source.Path) : $"[red]{NameOf(source.Path)}[/]";
                Show(
                    bar,
                    source.Bytes,
                    progress.Length,
                    $"{ByteSize.Format(source.Bytes)}, {ByteSize.FormatRate(SourceJson.Rate(source.Bytes, progress.Elapsed))}"
                    + (said is null ? "" : $", [red]{Markup.Escape(said)}[/]"));
            }
        }

        // An empty file is a full bar.
        private void Show(ProgressTask bar, long bytes, long length, string state)
        {
            states.Set(bar, string.Create(CultureInfo.InvariantCulture, $"{(length == 0 ? 100 : bytes * 100 / length),3} % {state}"));
            bar.MaxValue = Math.Max(1, length);
            bar.Value = length == 0 ? 1 : bytes;
        }
    }

    /// <summary>Passes on what comes after an interval, and always the last.</summary>
    private sealed class Lines(TimeSpan interval, Action<DownloadProgress> write) : IProgress<DownloadProgress>
    {
        private TimeSpan _last;

        public void Report(DownloadProgress progress)
        {
            if (progress.Elapsed - _last >= interval || progress.Bytes == progress.Length)
            {
                _last = progress.Elapsed;
                write(progress);
            }
        }
    }
}
