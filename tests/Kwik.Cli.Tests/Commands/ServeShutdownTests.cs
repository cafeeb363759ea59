using Kwik.Relay;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Commands;

/// <summary><c>kwik serve</c> that is asked to stop, by a signal, as by systemd or a container, while somebody fetches over a slow link.</summary>
public sealed class ServeShutdownTests : IDisposable
{
    private readonly TemporaryDirectory _served = new();
    private readonly TemporaryDirectory _here = new();

    public void Dispose()
    {
        _served.Dispose();
        _here.Dispose();
    }

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    // A terminal that is closed says so more than once, and to whom it has told already.
    [InlineData("HUP", "HUP")]
    [InlineData("TERM", "HUP")]
    public async Task Serve_StoppedDuringAShortTransfer_LetsItEnd(params string[] signals)
    {
        byte[] bytes = _served.WriteRandom("a", 12_000_000);
        await using ServeProcess server = await ServeProcess.StartAsync(_served.Path, "--access-log");
        using UdpRelay relay = SlowTo(server);
        await using KwikProcess get = StartGet(relay, server);
        await UntilRecordedAsync();

        foreach (string signal in signals)
        {
            await server.Process.SignalAsync(signal);
        }

        CommandResult fetched = await get.EndAsync();
        CommandResult served = await server.Process.EndAsync();

        fetched.AssertSuccess();
        served.AssertSuccess();
        Assert.Equal(bytes, File.ReadAllBytes(_here["out"]));
        Assert.Contains("0-12000000/12000000", served.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Serve_StoppedDuringALongTransfer_LeavesTheClientAPartToResume()
    {
        _served.WriteRandom("a", 64 * 1024 * 1024);
        await using ServeProcess server = await ServeProcess.StartAsync(_served.Path, "--shutdown-timeout", "1", "--access-log");
        using UdpRelay relay = SlowTo(server);
        await using KwikProcess get = StartGet(relay, server);
        await UntilRecordedAsync();

        await server.Process.SignalAsync("TERM");
        CommandResult fetched = await get.EndAsync();
        CommandResult served = await server.Process.EndAsync();

        // Which of the two ends it learns of first, the reason or that no server is left, is not settled.
        fetched.AssertFailure(7, "--resume");
        served.AssertSuccess();
        Assert.Contains("ServerClosing", served.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Serve_SignalledTwice_WaitsNoLongerForTransfers()
    {
        _served.WriteRandom("a", 64 * 1024 * 1024);
        await using ServeProcess server = await ServeProcess.StartAsync(_served.Path, "--shutdown-timeout", "3600");
        using UdpRelay relay = SlowTo(server);
        await using KwikProcess get = StartGet(relay, server);
        await UntilRecordedAsync();

        await server.Process.SignalAsync("TERM");
        Task<CommandResult> ending = server.Process.EndAsync();
        // As somebody does who sees it go on: what comes with the first is no second thought.
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(200), TimeProvider.System);
        while (await timer.WaitForNextTickAsync() && await server.Process.TrySignalAsync("INT") && !ending.IsCompleted)
        {
        }

        (await ending).AssertSuccess();
        (await get.EndAsync()).AssertFailure(7);
    }

    [Fact]
    public async Task Get_OfAFileThatIsNotAllowed_Is3()
    {
        _served.WriteRandom("a.iso", 1001);
        _served.WriteRandom("b.key", 10);
        await using ServeProcess server = await ServeProcess.StartAsync(
            _served.Path, "--max-file-size", "1kB", "--allow-extension", ".iso", "--allow-extension", ".img");

        foreach (string path in (string[])["a.iso", "b.key"])
        {
            (await KwikProcess.RunAsync(_here.Path, "get", server.Url(path), "--pin", server.Pin, "--progress", "none")).AssertFailure(3);
        }
    }

    private static UdpRelay SlowTo(ServeProcess server) => UdpRelay.Start(new()
    {
        Target = server.EndPoint,
        Seed = 1,
        ToClient = new() { BitsPerSecond = 20_000_000, Delay = TimeSpan.FromMilliseconds(5), QueueBytes = 128 * 1024 },
    });

    private KwikProcess StartGet(UdpRelay relay, ServeProcess server) => KwikProcess.Start(
        _here.Path, ["get", $"kwik://{relay.LocalEndPoint}/a", "-o", "out", "--pin", server.Pin, "--progress", "none"]);

    /// <summary>Waits until there is something to go on from.</summary>
    private async Task UntilRecordedAsync()
    {
        using var late = new CancellationTokenSource(TestTimeouts.Operation);
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(5), TimeProvider.System);
        while (!File.Exists(_here["out.kwik-part.state"]))
        {
            await timer.WaitForNextTickAsync(late.Token);
        }
    }
}
