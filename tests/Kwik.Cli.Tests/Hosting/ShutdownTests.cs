using Kwik.Data;
using Kwik.Hosting;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using Kwik.Transfer;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Kwik.Cli.Tests.Hosting;

/// <summary>A host that stops: what runs ends in good order, nothing is begun, and clients are told why.</summary>
public sealed class ShutdownTests : IDisposable
{
    // More than windows and buffers on the way hold, so that a reader who waits holds up its sender.
    private const int FileSize = 64 * 1024 * 1024;

    private readonly TemporaryDirectory _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public async Task Stop_WhileAFileIsOnItsWay_WaitsForItsEnd()
    {
        byte[] bytes = _here.WriteRandom("files/a", FileSize);
        await using TestHost host = await TestHost.StartAsync(_here["files"]);
        await using ClientSession session = await host.ConnectAsync();
        await using KwikStream stream = await TestHost.AskAsync(session, "a");
        var received = new byte[FileSize];
        await stream.ReadExactlyAsync(received.AsMemory(0, 1000)).AsTask().WithinAsync();

        Task stopping = host.StopAsync();
        await Assert.ThrowsAnyAsync<KwikException>(() => host.ConnectAsync());
        Assert.Equal(HealthStatus.Degraded, (await host.CheckHealthAsync()).Status);
        Assert.False(stopping.IsCompleted);
        await stream.ReadExactlyAsync(received.AsMemory(1000)).AsTask().WithinAsync();
        await stream.DisposeAsync().WithinAsync();
        await stopping.WithinAsync();

        Assert.Equal(bytes, received);
        KwikException closed = await Assert.ThrowsAnyAsync<KwikException>(() => session.OpenStreamSync().WithinAsync());
        Assert.Equal(KwikError.ServerClosing, closed.Code);
        Assert.Contains("the server is being stopped", closed.Message, StringComparison.Ordinal);
        Assert.Equal(HealthStatus.Unhealthy, (await host.CheckHealthAsync()).Status);
    }

    [Fact]
    public async Task Stop_WhileAFileIsOnItsWay_RefusesSessionsAndRequestsWithServerClosing()
    {
        _here.WriteRandom("files/a", FileSize);
        await using TestHost host = await TestHost.StartAsync(_here["files"]);
        await using ClientSession session = await host.ConnectAsync();
        await using KwikStream stream = await TestHost.AskAsync(session, "a");
        await stream.ReadExactlyAsync(new byte[1000]).AsTask().WithinAsync();

        Task stopping = host.StopAsync();
        KwikException connecting = await Assert.ThrowsAnyAsync<KwikException>(() => host.ConnectAsync());
        TransferException asking = await Assert.ThrowsAsync<TransferException>(
            () => FileClient.DownloadAsync(session, "a", _here["out"]).WithinAsync());

        Assert.Equal(KwikError.ServerClosing, connecting.Code);
        Assert.Equal(TransferError.Unavailable, asking.Error);
        Assert.Equal(KwikError.ServerClosing, Assert.IsAssignableFrom<KwikException>(asking.InnerException).Code);
        Assert.False(stopping.IsCompleted);
        await stream.DisposeAsync().WithinAsync();
        await stopping.WithinAsync();
    }

    [Fact]
    public async Task Stop_WithATransferThatTakesTooLong_EndsItWithServerClosing()
    {
        _here.WriteRandom("files/a", FileSize);
        await using TestHost host = await TestHost.StartAsync(
            _here["files"], options => options.ShutdownTimeout = TimeSpan.FromMilliseconds(200));
        await using ClientSession session = await host.ConnectAsync();
        await using KwikStream stream = await TestHost.AskAsync(session, "a");
        await stream.ReadExactlyAsync(new byte[1000]).AsTask().WithinAsync();

        await host.StopAsync().WithinAsync();

        KwikException closed = await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadExactlyAsync(new byte[FileSize - 1000]).AsTask().WithinAsync());
        Assert.Equal(KwikError.ServerClosing, closed.Code);
        Assert.Contains(
            KwikError.ServerClosing.ToString(), Assert.Single(await host.Log.WaitForAsync(FileServer.AccessCategory, 1)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Stop_WithoutTransfers_DoesNotWait()
    {
        _here.WriteRandom("files/a", 1000);
        await using TestHost host = await TestHost.StartAsync(_here["files"], options => options.ShutdownTimeout = TimeSpan.FromHours(1));
        await using ClientSession session = await host.ConnectAsync();
        await FileClient.DownloadAsync(session, "a", _here["out"]).WithinAsync();

        await host.StopAsync().WithinAsync();
    }

    [Fact]
    public async Task Start_OfAHost_GivesItTheTimeThatTransfersHave()
    {
        _here.WriteRandom("files/a", 1000);
        await using TestHost host = await TestHost.StartAsync(
            _here["files"],
            options => options.ShutdownTimeout = TimeSpan.FromMinutes(2),
            services => services.Configure<HostOptions>(options => options.ShutdownTimeout = TimeSpan.FromSeconds(7)));

        Assert.Equal(TimeSpan.FromSeconds(127), host.Get<IOptions<HostOptions>>().Value.ShutdownTimeout);
    }
}
