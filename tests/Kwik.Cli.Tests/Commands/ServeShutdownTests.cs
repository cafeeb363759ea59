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
    public async Task Serve_StoppedDuringAShortTransfer_LetsItEnd(string signal)
    {
        byte[] bytes = _served.WriteRandom("a", 6_000_000);
        await using ServeProcess server = await ServeProcess.StartAsync(_served.Path, "--access-log");
        using UdpRelay relay = SlowTo(server);
        await using KwikProcess get = StartGet(relay, server);
        await UntilRecordedAsync();

        await server.Process.SignalAsync(signal);
        CommandResult fetched = await get.EndAsync();
        CommandResult served = await server.Process.EndAsync();

        fetched.AssertSuccess();
        served.AssertSuccess();
        Assert.Equal(bytes, File.ReadAllBytes(_here["out"]));
        Assert.Contains("0-6000000/6000000", served.Errors, StringComparison.Ordinal);
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

        // Two different ones: a signal that comes while the same one is pending is one.
        await server.Process.SignalAsync("TERM");
        await server.Process.SignalAsync("INT");

        (await server.Process.EndAsync()).AssertSuccess();
        (await get.EndAsync()).AssertFailure(7);
    }

    [Fact]
    public async Task Get_OfAFileThatIsNotAllowed_Is3()
    {
        _served.WriteRandom("a.iso", 1001);
        _served.WriteRandom("b.key", 10);
        await using ServeProcess server = await ServeProcess.StartAsync(
            _served.Path, "--max-file-size", "1000", "--allow-extension", ".iso", "--allow-extension", ".img");

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
