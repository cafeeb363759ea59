using System.Text.Json;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;
using Microsoft.Extensions.Logging;

namespace Kwik.Session.Tests.Diagnostics;

/// <summary>What a session records; docs/observability.md lists it.</summary>
public sealed class QlogTests
{
    [Theory, SimulationSeeds]
    public void Qlog_OfATransferThatLosesAServer_TellsOfIt(int seed)
    {
        using var telemetry = new KwikTelemetry();
        var sink = new QlogSink();
        ObservedRun.Run(seed, telemetry, client: options => options with { Qlog = sink.Options });
        List<JsonElement> records = sink.Read("client");

        JsonElement header = records[0];
        Assert.Equal(("0.4", "JSON-SEQ"), (header.GetProperty("qlog_version").GetString(), header.GetProperty("qlog_format").GetString()));
        JsonElement trace = header.GetProperty("trace");
        Assert.Equal("client", trace.GetProperty("vantage_point").GetProperty("type").GetString());
        Assert.Equal("relative_to_epoch", trace.GetProperty("common_fields").GetProperty("time_format").GetString());
        List<JsonElement> events = records[1..];
        double[] times = [.. events.Select(one => one.GetProperty("time").GetDouble())];
        Assert.Equal(times.Order(), times);

        AssertOrder(
            events,
            one => Is(one, "session_started"),
            one => Is(one, "path_state_changed", path: 0, "new", "Active"),
            one => Is(one, "path_state_changed", path: 2, "new", "Active"),
            one => Is(one, "range_asked", path: 2),
            one => Is(one, "mapping_opened", path: 2),
            one => Is(one, "data_received", path: 2),
            one => Is(one, "path_state_changed", path: 2, "new", "Dead"),
            one => Is(one, "path_ended", path: 2),
            one => Is(one, "path_state_changed", path: 2, "new", "Recovering"),
            one => Is(one, "path_state_changed", path: 2, "new", "Removed"),
            one => Is(one, "stream_closed"),
            one => Is(one, "path_ended", path: 0),
            one => Is(one, "session_ended"));
        Assert.True(Is(events[^1], "session_ended"));
        foreach (string name in new[] { "stream_opened", "content_offered", "range_released", "range_ended", "mapping_closed", "sample" })
        {
            Assert.Contains(events, one => Is(one, name));
        }

        AssertReceipts(events);
    }

    [Theory, SimulationSeeds]
    public void Qlog_OfServers_TellsWhatTheyServed(int seed)
    {
        using var telemetry = new KwikTelemetry();
        var sink = new QlogSink();
        ObservedRun.Run(seed, telemetry, server: options => options with { Qlog = sink.Options });

        // Two secondaries, and the session of each has the id that the primary gave it.
        Assert.Equal(1, sink.Names.Count(name => name.Contains("primary", StringComparison.Ordinal)));
        List<JsonElement> events = sink.Read("primary")[1..];
        AssertOrder(
            events,
            one => Is(one, "session_started"),
            one => Is(one, "stream_opened"),
            one => Is(one, "range_served") && Data(one, "sent").GetInt64() == Data(one, "length").GetInt64(),
            one => Is(one, "session_ended"));
    }

    [Fact]
    public async Task Writer_WhenTheRecordIsFull_SaysSoAndEnds()
    {
        using var memory = new MemoryStream();
        var writer = new QlogWriter(() => memory, 4096, TimeProvider.System, e => Assert.Fail(e.ToString()));
        writer.Start();
        for (int i = 0; i < 1000; i++)
        {
            Put(writer);
        }

        await writer.CompleteAsync();
        List<JsonElement> records = QlogSink.Parse(memory.ToArray());

        Assert.True(Is(records[^1], "truncated"));
        Assert.Equal(4096, Data(records[^1], "max_bytes").GetInt64());
        Assert.InRange(memory.ToArray().Length, 3700, 4096);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Qlog_ThatCannotBeWritten_IsLoggedOnceAndTheSessionGoesOn(bool opens)
    {
        using var telemetry = new KwikTelemetry();
        using var log = new CountingLog();
        var qlog = new QlogOptions { Open = name => opens ? new FullDisk() : throw new UnauthorizedAccessException(name) };
        ObservedRun.Run(1, telemetry, client: options => options with { Qlog = qlog, LoggerFactory = log });

        Assert.Equal(1, log.Seen.Count(id => id.Name == "QlogFailed"));
    }

    [Fact]
    public async Task Writer_WhenEventsComeFasterThanTheDisk_SaysHowManyAreMissing()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var slow = new SlowDisk(gate.Task);
        var writer = new QlogWriter(() => slow, 1 << 30, TimeProvider.System, e => Assert.Fail(e.ToString()));
        writer.Start();
        Put(writer);
        await slow.Entered.Task.WaitAsync(TimeSpan.FromSeconds(30));
        for (int i = 0; i < QlogOptions.QueueCapacity + 10; i++)
        {
            Put(writer);
        }

        gate.SetResult();
        await writer.CompleteAsync();
        List<JsonElement> records = QlogSink.Parse(slow.Written.ToArray());

        Assert.Equal(1 + QlogOptions.QueueCapacity + 1, records.Count);
        Assert.True(Is(records[^1], "events_dropped"));
        Assert.Equal(10, Data(records[^1], "count").GetInt64());
    }

    [Fact]
    public void Record_InADirectory_IsForItsOwnerAndNeverReplaced()
    {
        string directory = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            var options = new QlogOptions { Directory = directory };
            options.OpenRecord("a.sqlog").Dispose();
            options.OpenRecord("a.sqlog").Dispose();

            Assert.Equal(["a-2.sqlog", "a.sqlog"], Directory.GetFiles(directory).Select(Path.GetFileName).Order(StringComparer.Ordinal));
            if (!OperatingSystem.IsWindows())
            {
                Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(directory, "a.sqlog")));
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public void Options_OutOfRange_AreRefused()
    {
        Assert.Throws<ArgumentException>(() => new QlogOptions().Validate());
        Assert.Throws<ArgumentException>(() => new QlogOptions { Directory = "a", Open = _ => Stream.Null }.Validate());
        Assert.Throws<ArgumentOutOfRangeException>(() => new QlogOptions { Directory = "a", MaxBytes = 1 }.Validate());
        new QlogOptions { Directory = "a" }.Validate();
    }

    private static void Put(QlogWriter writer) => writer.Enqueue(json => QlogTrace.WriteEvent(json, 1, "test", _ => { }));

    private static JsonElement Data(JsonElement one, string key) => one.GetProperty("data").GetProperty(key);

    private static bool Is(JsonElement one, string name, int? path = null, string? key = null, string? value = null) =>
        one.GetProperty("name").GetString() == $"kwik:{name}"
        && (path is null || Data(one, "path_id").GetInt32() == path)
        && (key is null || Data(one, key).GetString() == value);

    private static void AssertOrder(List<JsonElement> events, params Predicate<JsonElement>[] expected)
    {
        int at = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            int found = events.FindIndex(at, expected[i]);
            Assert.True(found >= 0, $"Expected event {i} does not come after event {at} of {events.Count}.");
            at = found + 1;
        }
    }

    private static void AssertReceipts(List<JsonElement> events)
    {
        List<JsonElement> receipts = events.FindAll(one => Is(one, "data_received"));
        var got = new RangeSet();
        foreach (JsonElement range in receipts.SelectMany(one => Data(one, "ranges").EnumerateArray()))
        {
            got.Add(range[0].GetInt64(), range[0].GetInt64() + range[1].GetInt64());
        }

        Assert.Equal(ObservedRun.Length, got.Count);
        Assert.InRange(receipts.Sum(one => Data(one, "bytes").GetInt64()), ObservedRun.Length, (long)(1.5 * ObservedRun.Length));
        // One in 10 ms for each path, and one with each sample.
        double lasted = events[^1].GetProperty("time").GetDouble();
        Assert.InRange(receipts.Count, 10, 3 * ((lasted / 10) + (lasted / 100) + 1));
    }

    private sealed class CountingLog : ILoggerFactory, ILogger
    {
        public List<EventId> Seen { get; } = [];

        public void AddProvider(ILoggerProvider provider)
        {
        }

        public ILogger CreateLogger(string categoryName) => this;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Seen.Add(eventId);

        public void Dispose()
        {
        }
    }

    private sealed class FullDisk : MemoryStream
    {
        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            throw new IOException("No space left on device");
    }

    private sealed class SlowDisk(Task released) : MemoryStream
    {
        public TaskCompletionSource Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public MemoryStream Written { get; } = new();

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Entered.TrySetResult();
            await released;
            Written.Write(buffer.Span);
        }
    }
}
