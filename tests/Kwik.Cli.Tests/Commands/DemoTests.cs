using System.Text.Json;
using System.Text.RegularExpressions;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Commands;

/// <summary>The demo, small: three servers in three processes, behind links.</summary>
public sealed partial class DemoTests : IDisposable
{
    private readonly TemporaryDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Demo_Small_IsVerifiedAndEveryServerTakesPart()
    {
        // A second at the links' rates: where servers answer late, because a machine is busy, a shorter file is here without them.
        const long Size = 32 * 1024 * 1024;
        CommandResult result = await KwikProcess.RunAsync(Start("--size", "32MiB", "--json", "--progress", "none"));

        result.AssertSuccess();
        Assert.Equal("", result.Errors);
        using JsonDocument json = JsonDocument.Parse(result.Output);
        JsonElement root = json.RootElement;
        Assert.True(root.GetProperty("verified").GetBoolean());
        Assert.Equal(root.GetProperty("source_sha256").GetString(), root.GetProperty("sha256").GetString());
        JsonElement[] runs = [.. root.GetProperty("runs").EnumerateArray()];
        Assert.Equal(["alone", "all", "killed"], runs.Select(run => run.GetProperty("name").GetString()));
        Assert.All(runs, run =>
        {
            Assert.Equal(Size, run.GetProperty("bytes").GetInt64());
            Assert.Equal(root.GetProperty("source_sha256").GetString(), run.GetProperty("sha256").GetString());
            Assert.True(run.GetProperty("verified").GetBoolean());
        });
        Assert.Single(runs[0].GetProperty("sources").EnumerateArray());
        JsonElement[] sources = [.. runs[1].GetProperty("sources").EnumerateArray()];
        Assert.Equal(3, sources.Length);
        Assert.All(sources, source => Assert.True(source.GetProperty("bytes").GetInt64() > 0));
        Assert.Equal(3, sources.Select(source => source.GetProperty("address").GetString()).Distinct().Count());
        Assert.InRange(root.GetProperty("killed_at_bytes").GetInt64(), 1, Size);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Demo_Text_EndsWithATable()
    {
        CommandResult result = await KwikProcess.RunAsync(Start("--size", "2MiB", "--secondaries", "1"));

        result.AssertSuccess();
        Assert.Contains("primary alone", result.Output, StringComparison.Ordinal);
        Assert.Equal(3, result.Output.Split("equal").Length - 1);
        Assert.DoesNotContain("\u001b", result.Output, StringComparison.Ordinal);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Demo_OnATerminal_ShowsABarForEveryServer()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "needs script(1), which makes a terminal");

        CommandResult result = await KwikProcess.RunInShellAsync(
            _temp.Path, $"unset NO_COLOR; export TERM=xterm TMPDIR={_temp.Path}; script -qec \"'$0' demo --size 2MiB\" /dev/null < /dev/null");

        result.AssertSuccess();
        Assert.Contains("secondary 2", result.Output, StringComparison.Ordinal);
        Assert.Contains("\u2501", result.Output, StringComparison.Ordinal);
        AssertNothingLeft();
    }

    [Theory]
    [InlineData("NO_COLOR=1")]
    [InlineData("TERM=dumb")]
    public async Task Demo_OnATerminalThatWantsNone_SendsNoEscapeSequences(string variable)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "needs script(1), which makes a terminal");

        CommandResult result = await KwikProcess.RunInShellAsync(
            _temp.Path, $"unset NO_COLOR; export TERM=xterm TMPDIR={_temp.Path} {variable}; script -qec \"'$0' demo --size 2MiB\" /dev/null < /dev/null");

        result.AssertSuccess();
        Assert.Contains("one killed: ", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("\u001b", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(60)]
    [InlineData(80)]
    [InlineData(120)]
    public async Task Demo_TerminalOfAnyWidth_TellsTheKillAndFits(int columns)
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "needs script(1), which makes a terminal");

        CommandResult result = await KwikProcess.RunInShellAsync(
            _temp.Path,
            $"unset NO_COLOR; export TERM=xterm TMPDIR={_temp.Path}; script -qec \"stty cols {columns}; '$0' demo --size 16MiB\" /dev/null < /dev/null");

        result.AssertSuccess();
        Assert.Contains("killed at", result.Output, StringComparison.Ordinal);
        string table = result.Output[result.Output.LastIndexOf("primary alone", StringComparison.Ordinal)..];
        Assert.Equal(3, table.Split("equal").Length - 1);
        Assert.All(
            table.Split("\r\n").TakeWhile(line => !line.Contains("times as fast", StringComparison.Ordinal)),
            line => Assert.InRange(Escape().Replace(line, "").Length, 0, columns));
        Assert.Single(table.Split('\n'), line => line.Contains("secondary 2", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Demo_Interrupted_EndsItsServersAndRemovesItsFiles()
    {
        KwikProcess demo = Start("--size", "64MiB", "--progress", "json");
        // The first progress: servers run, bytes flow.
        await demo.ReadLineAsync();

        await demo.SignalAsync("INT");

        CommandResult result = await KwikProcess.RunAsync(demo);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("kwik: Cancelled.", result.Errors, StringComparison.Ordinal);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Demo_Killed_ItsServersEndBecauseTheirInputDoes()
    {
        KwikProcess demo = Start("--size", "64MiB", "--progress", "json");
        await demo.ReadLineAsync();

        await demo.SignalAsync("KILL");

        // The servers hold the error output of the demo's process no longer than they live.
        await demo.DisposeAsync();
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        using var timeout = new CancellationTokenSource(TestTimeouts.Operation);
        while (KwikProcess.WithArgument(_temp.Path).Any())
        {
            await timer.WaitForNextTickAsync(timeout.Token);
        }
    }

    [Theory]
    [InlineData("--size", "1")]
    [InlineData("--size", "much")]
    [InlineData("--size", "-1MiB")]
    [InlineData("--size", "9999999999GiB")]
    [InlineData("--secondaries", "0")]
    [InlineData("--secondaries", "8")]
    public async Task Demo_OptionsThatMakeNoSense_Is2(params string[] options)
    {
        (await KwikProcess.RunAsync(Start(options))).AssertFailure(2);
        AssertNothingLeft();
    }

    [GeneratedRegex("\u001b\\[[?0-9;]*[A-Za-z]|\u001b=")]
    private static partial Regex Escape();

    private KwikProcess Start(params string[] options) => KwikProcess.Start(_temp.Path, ["demo", .. options], ("TMPDIR", _temp.Path));

    private void AssertNothingLeft()
    {
        Assert.Empty(_temp.Entries);
        Assert.Empty(KwikProcess.WithArgument(_temp.Path));
    }
}
