using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Commands;

/// <summary>get among other programs: pipes that end early, a full device, descriptors that are closed, terminals that go away.</summary>
public sealed class GetPipeTests : IAsyncLifetime
{
    private const int Length = 20_000_001;

    private readonly TemporaryDirectory _served = new();
    private readonly TemporaryDirectory _here = new();
    private byte[] _bytes = [];
    private ServeProcess? _server;

    private ServeProcess Server => _server!;

    private string Get => $"\"$0\" get {Server.Url("a")} --pin {Server.Pin}";

    public async ValueTask InitializeAsync()
    {
        _bytes = _served.WriteRandom("a", Length);
        _server = await ServeProcess.StartAsync(_served.Path);
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        _served.Dispose();
        _here.Dispose();
    }

    [Fact]
    public async Task Get_ToStandardOutput_IsAllOfItInOrderAndNothingElse()
    {
        // Somebody else writes there before and after.
        CommandResult result = await ShellAsync($"(echo before; {Get} -o - --progress plain; echo after) > out");

        result.AssertSuccess();
        Assert.Equal("", result.Output);
        Assert.Contains(Convert.ToHexStringLower(SHA256.HashData(_bytes)), result.Errors, StringComparison.Ordinal);
        Assert.Equal([.. "before\n"u8, .. _bytes, .. "after\n"u8], File.ReadAllBytes(_here["out"]));
        Assert.Equal(["out"], _here.Entries);
    }

    [Fact]
    public async Task Get_IntoAPipeThatEndsEarly_EndsQuietlyWith141()
    {
        CommandResult result = await ShellAsync($"{Get} -o - --progress none | head -c 1000 > out; exit ${{PIPESTATUS[0]}}");

        Assert.Equal((141, "", ""), (result.ExitCode, result.Output, result.Errors));
        Assert.Equal(_bytes[..1000], File.ReadAllBytes(_here["out"]));
    }

    [Fact]
    public async Task Get_ResultThatNobodyReads_Is141AndTheFileIsThere()
    {
        CommandResult result = await ShellAsync($"{Get} -o out --json --progress none | true; exit ${{PIPESTATUS[0]}}");

        Assert.Equal((141, "", ""), (result.ExitCode, result.Output, result.Errors));
        Assert.Equal(_bytes, File.ReadAllBytes(_here["out"]));
    }

    [Theory]
    [InlineData("-o -")]
    [InlineData("-o out --json")]
    [InlineData("-o out")]
    public async Task Get_StandardOutputOnAFullDevice_Is9(string options)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "needs /dev/full");

        CommandResult result = await ShellAsync($"{Get} {options} --progress none > /dev/full");

        Assert.Equal((9, ""), (result.ExitCode, result.Output));
        Assert.Contains("Standard output cannot be written: No space left on device", result.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("-o -")]
    [InlineData("-o out --json")]
    public async Task Get_StandardOutputIsClosed_Is9(string options)
    {
        CommandResult result = await ShellAsync($"{Get} {options} --progress none >&-");

        Assert.Equal((9, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("kwik: Standard output cannot be written", result.Errors.Split('\n')[^2], StringComparison.Ordinal);
    }

    [Fact]
    public async Task Get_AllDescriptorsAreClosed_Is9AndTheFileIsThere()
    {
        CommandResult result = await ShellAsync($"{Get} -o out <&- >&- 2>&-");

        Assert.Equal((9, "", ""), (result.ExitCode, result.Output, result.Errors));
        Assert.Equal(_bytes, File.ReadAllBytes(_here["out"]));
        Assert.Equal(["out"], _here.Entries);
    }

    [Fact]
    public async Task Get_StandardErrorIsClosed_FetchesAllTheSame()
    {
        CommandResult result = await ShellAsync($"{Get} -o out 2>&-");

        result.AssertSuccess();
        Assert.EndsWith("  out\n", result.Output, StringComparison.Ordinal);
        Assert.Equal(_bytes, File.ReadAllBytes(_here["out"]));
        Assert.Equal(["out"], _here.Entries);
    }

    [Fact]
    public async Task Get_InterruptedIntoAPipeThatNobodyEmpties_Ends()
    {
        CommandResult result = await ShellAsync(
            $"mkfifo pipe; exec 3<>pipe; {Get} -o - --progress none > pipe & "
            + "until dd if=pipe of=some bs=1000 count=1 status=none && test -s some; do :; done; kill -TERM $!; wait $!");

        result.AssertInterrupted(1, "Cancelled");
    }

    [Theory]
    [InlineData("--json")]
    [InlineData("--resume")]
    [InlineData("--progress", "json")]
    public async Task Get_ToStandardOutputWithWhatElseGoesThere_Is2(params string[] options)
    {
        CommandResult result = await KwikProcess.RunAsync(
            _here.Path, ["get", Server.Url("a"), "--pin", Server.Pin, "-o", "-", .. options]);

        result.AssertFailure(2, options[0]);
    }

    [Fact]
    public async Task Get_InterruptedTwice_IsEndedByTheSignalAtOnce()
    {
        // A server that is stopped keeps a session from being closed in order.
        KwikProcess get = KwikProcess.Start(
            _here.Path, ["get", Server.Url("a"), "--pin", Server.Pin, "-o", "out", "--limit-rate", "8Mbit/s", "--progress", "none"]);
        await UntilAsync(() => File.Exists(_here["out.kwik-part.state"]));
        await Server.Process.SignalAsync("STOP");
        try
        {
            await get.SignalAsync("INT");
            Assert.Equal("kwik: Still ending what is under way; once more, and it is left behind.", await get.ReadErrorLineAsync());
            long again = Stopwatch.GetTimestamp();

            await get.SignalAsync("INT");

            CommandResult result = await KwikProcess.RunAsync(get);
            Assert.Equal((130, ""), (result.ExitCode, result.Output));
            Assert.Single(result.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
            // By itself it would have been left behind 14 s later.
            Assert.InRange(Stopwatch.GetElapsedTime(again), TimeSpan.Zero, TimeSpan.FromSeconds(10));
        }
        finally
        {
            await Server.Process.SignalAsync("CONT");
        }

        CommandResult resumed = await KwikProcess.RunAsync(
            _here.Path, "get", Server.Url("a"), "--pin", Server.Pin, "-o", "out", "--resume", "--progress", "none");
        resumed.AssertSuccess();
        Assert.Contains("were here already", resumed.Errors, StringComparison.Ordinal);
        Assert.Equal(_bytes, File.ReadAllBytes(_here["out"]));
    }

    [Fact]
    public async Task Get_TerminalIsClosed_EndsInOrderAndKeepsWhatItHas()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/script"), "needs script(1), which makes a terminal");
        // The shell is what the kernel sends SIGHUP to; it passes that on as others do, and outlives its terminal to tell the exit code.
        File.WriteAllText(
            _here["run"],
            $"trap 'kill -HUP $get' HUP\n'{KwikProcess.Program}' get {Server.Url("a")} --pin {Server.Pin} -o out --limit-rate 8Mbit/s &\n"
            + "get=$!\nwait $get\nwait $get\necho $? > code\n");
        KwikProcess terminal = KwikProcess.StartInShell(_here.Path, "exec script -qec 'bash run' /dev/null");
        await UntilAsync(() => File.Exists(_here["out.kwik-part.state"]));

        await terminal.SignalAsync("KILL");

        await terminal.DisposeAsync();
        await UntilAsync(() => File.Exists(_here["code"]) && File.ReadAllText(_here["code"]).EndsWith('\n'));
        Assert.Equal("7\n", File.ReadAllText(_here["code"]));
        Assert.Contains("out.kwik-part", _here.Entries);
    }

    [Theory]
    [InlineData("out")]
    [InlineData("-")]
    public async Task Get_LimitedRate_TakesItsTime(string target)
    {
        // 20 MB at 10 MB/s.
        CommandResult result = await ShellAsync($"{Get} -o {target} --limit-rate 80Mbit/s --progress plain > stdout");

        result.AssertSuccess();
        string line = result.Errors.Split('\n').Single(line => line.Contains(" server, ", StringComparison.Ordinal) && line.Contains(" in ", StringComparison.Ordinal));
        double seconds = double.Parse(line.Split(" in ")[1].Split(' ')[0], CultureInfo.InvariantCulture);
        Assert.InRange(seconds, 1.85, 15);
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        using var timeout = new CancellationTokenSource(TestTimeouts.Operation);
        while (!condition())
        {
            await timer.WaitForNextTickAsync(timeout.Token);
        }
    }

    private Task<CommandResult> ShellAsync(string line) => KwikProcess.RunInShellAsync(_here.Path, line);
}
