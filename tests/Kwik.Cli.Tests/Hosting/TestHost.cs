using System.Collections.Concurrent;
using System.Text;
using Kwik.Hosting;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Kwik.Cli.Tests.Hosting;

/// <summary>A running primary in a host of its own, over real QUIC.</summary>
internal sealed class TestHost : IAsyncDisposable
{
    private readonly IHost _host;

    private TestHost(IHost host, RecordedLog log)
    {
        _host = host;
        Log = log;
    }

    public RecordedLog Log { get; }

    public KwikPrimaryService Primary => _host.Services.GetRequiredService<KwikPrimaryService>();

    public string Url(string path) => $"kwik://{Primary.LocalEndPoint}/{path}";

    public static async Task<TestHost> StartAsync(string root, Action<KwikPrimaryOptions>? configure = null, Action<IServiceCollection>? add = null)
    {
        var log = new RecordedLog();
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Logging.SetMinimumLevel(LogLevel.Trace).AddProvider(log);
        builder.Services.AddHealthChecks().AddKwik();
        builder.Services.AddKwikPrimary(options =>
        {
            options.Root = root;
            options.Listen = "127.0.0.1:0";
            options.CacheDirectory = null;
            options.Certificate = TestCertificates.SelfSigned("localhost");
            configure?.Invoke(options);
        });
        add?.Invoke(builder.Services);
        IHost host = builder.Build();
        await host.StartAsync().WithinAsync();
        return new(host, log);
    }

    public Task<ClientSession> ConnectAsync() =>
        KwikClient.ConnectAsync(new() { Primary = Primary.LocalEndPoint, Pins = [Primary.Pin] }).WithinAsync();

    public Task<HealthReport> CheckHealthAsync() => _host.Services.GetRequiredService<HealthCheckService>().CheckHealthAsync().WithinAsync();

    /// <summary>Asks for a file as a client does that wants to read for itself; a path of at most 127 bytes.</summary>
    public static async Task<KwikStream> AskAsync(ClientSession session, string path)
    {
        KwikStream stream = await session.OpenStreamSync().WithinAsync();
        byte[] name = Encoding.UTF8.GetBytes(path);
        await stream.WriteAsync((byte[])[0x0a, checked((byte)name.Length), .. name]).WithinAsync();
        stream.CompleteWrites();
        return stream;
    }

    public Task StopAsync() => _host.StopAsync();

    public T Get<T>()
        where T : notnull => _host.Services.GetRequiredService<T>();

    public async ValueTask DisposeAsync()
    {
        await _host.StopAsync().WithinAsync(TestTimeouts.Scenario);
        _host.Dispose();
    }
}

/// <summary>What was logged, in order.</summary>
internal sealed class RecordedLog : ILoggerProvider
{
    private readonly ConcurrentQueue<(string Category, LogLevel Level, string Message)> _entries = new();
    private readonly SemaphoreSlim _added = new(0);

    public IEnumerable<string> Of(string category) => _entries.Where(entry => entry.Category == category).Select(entry => entry.Message);

    /// <summary>Waits until a category has so many messages, and returns them.</summary>
    public async Task<IReadOnlyList<string>> WaitForAsync(string category, int count)
    {
        while (Of(category).Count() < count)
        {
            Assert.True(await _added.WaitAsync(TestTimeouts.Operation), $"Only {Of(category).Count()} messages of {category}.");
        }

        return [.. Of(category)];
    }

    public ILogger CreateLogger(string categoryName) => new Logger(this, categoryName);

    public void Dispose() => _added.Dispose();

    private sealed class Logger(RecordedLog log, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            log._entries.Enqueue((category, logLevel, formatter(state, exception)));
            log._added.Release();
        }
    }
}
