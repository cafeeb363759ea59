using Kwik.Data;
using Kwik.Hosting;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using Kwik.Transfer;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace Kwik.Cli.Tests.Hosting;

/// <summary>What a host does not serve, and what those who look after it see: health and access log.</summary>
public sealed class HostLimitTests : IDisposable
{
    private readonly TemporaryDirectory _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public async Task Download_BeyondMaxConcurrentTransfers_IsUnavailableUntilOneHasEnded()
    {
        _here.WriteRandom("files/a", 1000);
        await using TestHost host = await TestHost.StartAsync(_here["files"], options => options.MaxConcurrentTransfers = 1);
        await using ClientSession first = await host.ConnectAsync();
        await using ClientSession second = await host.ConnectAsync();
        await using (KwikStream running = await TestHost.AskAsync(first, "a"))
        {
            Assert.NotNull(await running.GetOfferAsync().WithinAsync());

            TransferException e = await Assert.ThrowsAsync<TransferException>(
                () => FileClient.DownloadAsync(second, "a", _here["out"]).WithinAsync());

            Assert.Equal(TransferError.Unavailable, e.Error);
            Assert.Contains("ask again later", e.Message, StringComparison.Ordinal);
            Assert.Equal(HealthStatus.Degraded, (await host.CheckHealthAsync()).Status);
        }

        // The refusal, and the end of the first.
        await host.Log.WaitForAsync(FileServer.AccessCategory, 2);
        await EventuallyAsync(async () => (await host.CheckHealthAsync()).Status == HealthStatus.Healthy);
        await FileClient.DownloadAsync(second, "a", _here["out"]).WithinAsync();
    }

    [Fact]
    public async Task Transfers_WhoseSessionEnds_AreNoLongerCounted()
    {
        _here.WriteRandom("files/a", 1000);
        await using TestHost host = await TestHost.StartAsync(_here["files"], options => options.MaxConcurrentTransfers = 1);
        await using (ClientSession first = await host.ConnectAsync())
        {
            KwikStream running = await TestHost.AskAsync(first, "a");
            Assert.NotNull(await running.GetOfferAsync().WithinAsync());
        }

        await EventuallyAsync(async () => (await host.CheckHealthAsync()).Status == HealthStatus.Healthy);
    }

    [Theory]
    [InlineData("small.iso", true)]
    [InlineData("SMALL.ISO", true)]
    [InlineData("a.tar.gz", true)]
    [InlineData("a.gz", false)]
    [InlineData("iso", false)]
    [InlineData("long.iso", false)]
    [InlineData("looks-like.iso", false)]
    public async Task Offer_WithLimitsOnFiles_IsOfWhatTheyAllow(string path, bool isServed)
    {
        _here.WriteRandom("files/small.iso", 1000);
        _here.WriteRandom("files/SMALL.ISO", 999);
        _here.WriteRandom("files/a.tar.gz", 998);
        _here.WriteRandom("files/a.gz", 997);
        _here.WriteRandom("files/iso", 996);
        _here.WriteRandom("files/long.iso", 1001);
        File.CreateSymbolicLink(_here["files/looks-like.iso"], "a.gz");
        await using FileCatalog catalog = FileCatalog.Open(
            _here["files"], new() { CacheDirectory = null, MaxFileBytes = 1000, AllowedExtensions = [".iso", ".tar.gz"] });
        await catalog.IndexAsync().WithinAsync();
        await using FileCatalog all = FileCatalog.Open(_here["files"], new() { CacheDirectory = null });
        ContentOffer offer = await all.OfferAsync(path).WithinAsync();

        await using IContent? byContent = await catalog.OpenAsync(offer.Root, CancellationToken.None).WithinAsync();

        Assert.Equal(isServed, byContent is not null);
        if (isServed)
        {
            Assert.Equal(offer, await catalog.OfferAsync(path).WithinAsync());
        }
        else
        {
            await Assert.ThrowsAsync<FileNotFoundException>(() => catalog.OfferAsync(path).WithinAsync());
        }
    }

    [Fact]
    public async Task AccessLog_OfTransfersAndRefusals_HasOneLineEach()
    {
        _here.WriteRandom("files/a b", 300_000);
        await using TestHost host = await TestHost.StartAsync(_here["files"]);
        await using ClientSession session = await host.ConnectAsync();

        await FileClient.DownloadAsync(session, "a b", _here["out"]).WithinAsync();
        await host.Log.WaitForAsync(FileServer.AccessCategory, 1);
        await Assert.ThrowsAsync<TransferException>(() => FileClient.DownloadAsync(session, "no\n'\u202e\u0007\U000E0041such", _here["other"]).WithinAsync());

        IReadOnlyList<string> lines = await host.Log.WaitForAsync(FileServer.AccessCategory, 2);
        Assert.Matches(@"^127\.0\.0\.1:\d+ 'a b' [0-9a-f]{64} 0-300000/300000, \d{6} bytes in \d+ ms as Primary: None \(session ", lines[0]);
        Assert.Matches(@"^127\.0\.0\.1:\d+ 'no\\u000a\\u0027\\u202e\\u0007\\udb40\\udc41such' - 0-0/0, 0 bytes in 0 ms as Primary: NotFound ", lines[1]);
        Assert.All(host.Log.Of("Kwik.Transfer.FileServer"), line => Assert.DoesNotContain(line, char.IsControl));
    }

    [Fact]
    public async Task AccessLog_OfASecondary_NamesTheFileThatHasTheContent()
    {
        byte[] bytes = _here.WriteRandom("files/dir/a", 3_000_000);
        using PrimaryKey key = PrimaryKey.Create();
        File.WriteAllText(_here["p.pub"], key.PublicKey.ToPem());
        File.WriteAllText(_here["p.key"], key.ToPem());
        var log = new RecordedLog();
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Logging.Services.AddSingleton<Microsoft.Extensions.Logging.ILoggerProvider>(log);
        builder.Services.AddKwikSecondary(options =>
        {
            options.Root = _here["files"];
            options.Listen = "127.0.0.1:0";
            options.CacheDirectory = null;
            options.Certificate = TestCertificates.SelfSigned("secondary");
            options.TrustedPrimaries.Add(_here["p.pub"]);
        });
        using IHost secondary = builder.Build();
        await secondary.StartAsync().WithinAsync();
        KwikSecondaryService service = secondary.Services.GetRequiredService<KwikSecondaryService>();
        await using TestHost host = await TestHost.StartAsync(_here["files"], options =>
        {
            options.SigningKeyPath = _here["p.key"];
            options.Secondaries.Add($"{service.LocalEndPoint}#{service.Pin}");
        });
        await using (ClientSession session = await host.ConnectAsync())
        {
            await EventuallyAsync(() => Task.FromResult(session.GetAllPaths().Count(path => path.State == PathState.Active) == 2));
            await FileClient.DownloadAsync(session, "dir/a", _here["out"]).WithinAsync();
        }

        Assert.Equal(bytes, File.ReadAllBytes(_here["out"]));
        IReadOnlyList<string> lines = await log.WaitForAsync(FileServer.AccessCategory, 1);
        Assert.Matches(@"^127\.0\.0\.1:\d+ 'dir/a' [0-9a-f]{64} \d+-\d+/3000000, \d+ bytes in \d+ ms as Secondary: None ", Assert.Single(lines));
        await secondary.StopAsync().WithinAsync();
    }

    [Fact]
    public async Task Health_OfAHost_FollowsItsRoot()
    {
        _here.WriteRandom("files/a", 1000);
        await using TestHost host = await TestHost.StartAsync(_here["files"]);
        HealthReportEntry healthy = Assert.Single((await host.CheckHealthAsync()).Entries).Value;

        Directory.Move(_here["files"], _here["moved"]);

        Assert.Equal(HealthStatus.Healthy, healthy.Status);
        Assert.Equal(host.Primary.LocalEndPoint.ToString(), healthy.Data["address"]);
        Assert.Equal(HealthStatus.Unhealthy, (await host.CheckHealthAsync()).Status);
    }

    [Fact]
    public async Task Health_WithAsManySessionsAsThereMayBe_IsDegraded()
    {
        _here.WriteRandom("files/a", 1000);
        await using TestHost host = await TestHost.StartAsync(_here["files"], options => options.MaxSessions = 1);
        await using ClientSession session = await host.ConnectAsync();

        await EventuallyAsync(async () => (await host.CheckHealthAsync()).Status == HealthStatus.Degraded);
    }

    [Fact]
    public async Task Health_OfAHostWithoutServers_IsUnhealthy()
    {
        var services = new ServiceCollection();
        services.AddLogging().AddHealthChecks().AddKwik();
        await using ServiceProvider provider = services.BuildServiceProvider();

        HealthReport report = await provider.GetRequiredService<HealthCheckService>().CheckHealthAsync().WithinAsync();

        Assert.Equal(HealthStatus.Unhealthy, report.Status);
    }

    /// <summary>What the other side of a connection will see, with nothing here to wait for.</summary>
    private static async Task EventuallyAsync(Func<Task<bool>> holds)
    {
        async Task PollAsync()
        {
            while (!await holds())
            {
                await Task.Delay(TimeSpan.FromMilliseconds(10), TimeProvider.System);
            }
        }

        await PollAsync().WithinAsync();
    }
}
