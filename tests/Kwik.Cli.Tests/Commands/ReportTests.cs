using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Kwik.Cli.Tests.Commands;

/// <summary><c>kwik report</c>, and the two options of <c>kwik get</c> that record what it needs.</summary>
public sealed partial class ReportTests : IDisposable
{
    private const string Header = """
        {"qlog_version":"0.4","qlog_format":"JSON-SEQ","title":"t","trace":{"common_fields":{"reference_time":{"wall_clock_time":"2026-01-01T00:00:00.000Z"}}}}
        """;

    private const string Started = """{"time":0,"name":"kwik:session_started","data":{"session_id":"s","role":"client","peer":"192.0.2.1:4433"}}""";

    // What a server, or whoever wrote the file, may choose.
    private const string Hostile =
        "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u2028\u202e\u2066\u001b[31m&#x0; javascript:alert(1) `${1}`";

    private readonly TemporaryDirectory _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public async Task Report_OfARecord_IsOnePageOfItsOwn()
    {
        Write("run.sqlog", [Header, Started, .. Run(address: "192.0.2.1:4433", reason: "gone")]);

        (await KwikProcess.RunAsync(_here.Path, "report", "run.sqlog")).AssertSuccess();

        string page = File.ReadAllText(_here["run.html"]);
        Assert.Contains("default-src 'none'", page, StringComparison.Ordinal);
        Assert.DoesNotMatch(FromElsewhere(), page);
        foreach (string title in new[]
        {
            "Offsets over time", "Rate of each path", "Buffered bytes", "Age of the first hole", "Share of each source",
            "Sequence of primary and secondaries", "Events", "time in ms", "path 1", "192.0.2.1:4433", "75.0 %", "PathLost. gone",
        })
        {
            Assert.Contains(title, page, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Report_WithHostileNames_HasThemAsLettersOnly()
    {
        Write("run.sqlog",
        [
            Header.Replace("2026-01-01T00:00:00.000Z", JsonEncodedText.Encode(Hostile).ToString(), StringComparison.Ordinal),
            Event(0, "session_started", new { session_id = Hostile, role = Hostile, peer = Hostile }),
            Event(1, Hostile, new { path_id = 1 }),
            .. Run(address: Hostile, reason: Hostile, state: Hostile),
        ]);

        (await KwikProcess.RunAsync(_here.Path, "report", "run.sqlog")).AssertSuccess();

        string page = File.ReadAllText(_here["run.html"]);
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain("<img", page, StringComparison.OrdinalIgnoreCase);
        Assert.DoesNotContain(page, character => character is '\u2028' or '\u202e' or '\u2066' or '\u001b' or '`');
        Assert.Contains("\\u{202e}", page, StringComparison.Ordinal);
        // Every tag is one of ours, and no attribute runs something.
        Assert.Empty(Tags().Matches(page).Select(match => match.Groups[1].Value).Except(
        [
            "!DOCTYPE", "html", "head", "meta", "title", "style", "body", "header", "main", "section", "figure", "div", "h1", "h2", "p", "br",
            "bdi", "dl", "dt", "dd", "ul", "li", "i", "svg", "path", "rect", "text", "table", "thead", "tbody", "tr", "th", "td",
        ]));
        Assert.DoesNotMatch(@"<[^>]*\s(on[a-z]+|src|href|style)\s*=", page);
    }

    [Theory]
    [InlineData("", "Line 1")]
    [InlineData("no qlog\n", "Line 1")]
    [InlineData("\u001e{\"a\":1}\n", "Line 1")]
    [InlineData("\u001e[1]\n", "Line 1")]
    [InlineData("HS\u001e{\"time\":1,\"name\":\n", "Line 3")]
    [InlineData("HS\u001e{\"time\":-1,\"name\":\"kwik:sample\",\"data\":{}}\n", "Line 3")]
    [InlineData("HS\u001e{\"time\":1e300,\"name\":\"kwik:sample\",\"data\":{}}\n", "Line 3")]
    [InlineData("HS\u001e{\"time\":1,\"name\":\"kwik:data_received\",\"data\":{}}\n", "Line 3")]
    [InlineData("HS\u001e{\"time\":1,\"name\":\"kwik:data_received\",\"data\":{\"stream_id\":1,\"path_id\":1,\"bytes\":-5,\"ranges\":[]}}\n", "Line 3")]
    [InlineData("HS\u001e{\"time\":1,\"name\":\"kwik:data_received\",\"data\":{\"stream_id\":1,\"path_id\":1,\"bytes\":5,\"ranges\":[[1]]}}\n", "Line 3")]
    [InlineData("HS\u001e{\"time\":1,\"name\":7,\"data\":{}}\n", "Line 3")]
    [InlineData("HS\u001e[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]\n", "Line 3")]
    public async Task Report_OfABrokenRecord_NamesTheLine(string text, string line)
    {
        File.WriteAllText(_here["run.sqlog"], text.Replace("HS", $"\u001e{Header}\n\u001e{Started}\n", StringComparison.Ordinal));

        (await KwikProcess.RunAsync(_here.Path, "report", "run.sqlog")).AssertFailure(2, line);

        Assert.Equal(["run.sqlog"], _here.Entries);
    }

    [Fact]
    public async Task Report_OfARecordLineThatIsTooLong_NamesTheLine()
    {
        Write("run.sqlog", Header, new string('a', 2_000_000));

        (await KwikProcess.RunAsync(_here.Path, "report", "run.sqlog")).AssertFailure(2, "Line 2: a record has more than");
    }

    [Fact]
    public async Task Report_OfARecordThatEndsInTheMiddle_TellsWhatIsThere()
    {
        Write("run.sqlog", [Header, Started, Event(5, "kwik_is_not_alone", new { }), .. Run("192.0.2.1:4433", "gone")]);
        File.AppendAllText(_here["run.sqlog"], "\u001e{\"time\":100,\"na");

        (await KwikProcess.RunAsync(_here.Path, "report", "run.sqlog", "-o", "page.html")).AssertSuccess();

        Assert.Contains("it ends early", File.ReadAllText(_here["page.html"]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Report_OnAFileThatExists_ReplacesItOnlyWithForce()
    {
        Write("run.sqlog", Header, Started);
        File.WriteAllText(_here["run.html"], "mine");

        (await KwikProcess.RunAsync(_here.Path, "report", "run.sqlog")).AssertFailure(13, "--force");
        Assert.Equal("mine", File.ReadAllText(_here["run.html"]));
        (await KwikProcess.RunAsync(_here.Path, "report", "run.sqlog", "-o", "run.sqlog", "--force")).AssertFailure(2);
        (await KwikProcess.RunAsync(_here.Path, "report", "run.sqlog", "--force")).AssertSuccess();
        (await KwikProcess.RunAsync(_here.Path, "report", "nowhere.sqlog")).AssertFailure(9);
    }

    [Theory]
    [InlineData("primary")]
    [InlineData("secondary")]
    public async Task Serve_WithQlog_RecordsEachSession(string role)
    {
        using var served = new TemporaryDirectory();
        served.WriteRandom("a", 3_000_000);
        (await KwikProcess.RunAsync(_here.Path, "key", "-o", "p.key")).AssertSuccess();
        string records = _here["records"];
        await using ServeProcess secondary = await ServeProcess.StartAsync(
            served.Path, ["--role", "secondary", "--trust", _here["p.pub"], .. role == "secondary" ? (string[])["--qlog", records] : []]);
        await using ServeProcess primary = await ServeProcess.StartAsync(
            served.Path,
            ["--signing-key", _here["p.key"], "--secondary", $"{secondary.EndPoint}#{secondary.Pin}", .. role == "primary" ? (string[])["--qlog", records] : []]);
        // So slowly that the secondary is connected before the file is whole.
        (await KwikProcess.RunAsync(
            _here.Path, "get", primary.Url("a"), "-o", "out", "--pin", primary.Pin, "--limit-rate", "8Mbit/s")).AssertSuccess();

        // A record is whole when its session has ended, and with it the server that stops.
        foreach (ServeProcess server in new[] { primary, secondary })
        {
            server.Process.CloseInput();
            (await server.Process.EndAsync()).AssertSuccess();
        }

        string record = Assert.Single(Directory.GetFiles(records));
        Assert.Matches($@"^\d{{8}}T\d{{6}}Z-[0-9a-f]{{32}}-{role}\.sqlog$", Path.GetFileName(record));
        (await KwikProcess.RunAsync(_here.Path, "report", record, "-o", "page.html")).AssertSuccess();
        Assert.Contains("127.0.0.1", File.ReadAllText(_here["page.html"]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Get_WithQlogAndReport_LeavesBoth()
    {
        using var served = new TemporaryDirectory();
        served.WriteRandom("a", 3_000_000);
        await using ServeProcess server = await ServeProcess.StartAsync(served.Path);

        (await KwikProcess.RunAsync(
            _here.Path, "get", server.Url("a"), "-o", "out", "--pin", server.Pin, "--qlog", "logs", "--report", "page.html")).AssertSuccess();

        Assert.Equal(["logs", "out", "page.html"], _here.Entries.Where(entry => !entry.Contains('/', StringComparison.Ordinal)).Order());
        string log = Assert.Single(Directory.GetFiles(_here["logs"]));
        Assert.Matches(@"^\d{8}T\d{6}Z-[0-9a-f]{32}-client\.sqlog$", Path.GetFileName(log));
        string page = File.ReadAllText(_here["page.html"]);
        Assert.Contains("100.0 %", page, StringComparison.Ordinal);
        Assert.Contains("2.9 MiB", page, StringComparison.Ordinal);
        (await KwikProcess.RunAsync(_here.Path, "report", log, "-o", "again.html")).AssertSuccess();
        Assert.Equal(page, File.ReadAllText(_here["again.html"]));
    }

    [Fact]
    public async Task Get_ThatFails_LeavesItsReport()
    {
        using var served = new TemporaryDirectory();
        await using ServeProcess server = await ServeProcess.StartAsync(served.Path);

        (await KwikProcess.RunAsync(
            _here.Path, "get", server.Url("nothing"), "-o", "out", "--pin", server.Pin, "--report", "page.html")).AssertFailure(3);

        Assert.Equal(["page.html"], _here.Entries);
        Assert.Contains("stream opened", File.ReadAllText(_here["page.html"]), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Get_WithAReportThatExists_FetchesNothing()
    {
        File.WriteAllText(_here["page.html"], "mine");

        CommandResult result = await KwikProcess.RunAsync(
            _here.Path, "get", "kwik://127.0.0.1:9/a", "-o", "out", "--insecure", "--report", "page.html");

        Assert.Equal(13, result.ExitCode);

        Assert.Equal("mine", File.ReadAllText(_here["page.html"]));
    }

    private static string Event(double time, string name, object data) =>
        JsonSerializer.Serialize(new { time, name = $"kwik:{name}", data });

    private static string[] Run(string address, string reason, string state = "Dead") =>
    [
        Event(1, "path_state_changed", new { path_id = 0, role = "primary", address, old = "Connecting", @new = "Active" }),
        Event(2, "path_state_changed", new { path_id = 1, role = "secondary", address, old = "Connecting", @new = "Active" }),
        Event(3, "stream_opened", new { stream_id = 1, direction = state }),
        Event(3, "content_offered", new { stream_id = 1, length = 4000, leaf_size = 1024 }),
        Event(4, "data_received", new { stream_id = 1, path_id = 0, bytes = 3000, ranges = new[] { new[] { 0, 3000 } } }),
        Event(5, "data_received", new { stream_id = 1, path_id = 1, bytes = 1000, ranges = new[] { new[] { 3000, 1000 } } }),
        Event(100, "sample", new
        {
            pending = 10, sent = 0, paths = new[] { new { path_id = 0, rtt = 1.5 } }, streams = new[] { new { stream_id = 1, hole_age = 40 } },
        }),
        Event(200, "path_state_changed", new { path_id = 1, role = "secondary", address, old = "Active", @new = state }),
        Event(201, "path_ended", new { path_id = 1, isolated = true, error = "PathLost", reason }),
        Event(300, "stream_closed", new { stream_id = 1, read = 4000, duplicate = 0 }),
        Event(400, "session_ended", new { error = "None", reason }),
    ];

    [GeneratedRegex(@"(?i)https?:|src\s*=|url\(|@import|<link|<script|href")]
    private static partial Regex FromElsewhere();

    [GeneratedRegex("<([!A-Za-z0-9]+)")]
    private static partial Regex Tags();

    private void Write(string name, params string[] records)
    {
        var text = new StringBuilder();
        foreach (string record in records)
        {
            text.Append('\u001e').Append(record.Trim()).Append('\n');
        }

        File.WriteAllText(_here[name], text.ToString());
    }
}
