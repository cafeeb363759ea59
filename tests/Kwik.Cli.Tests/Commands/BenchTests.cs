using System.Text.Json;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Commands;

/// <summary>
/// The benchmarks, so short that their figures say nothing: what is printed has its shape, and the exit code says what it
/// says. How fast the machine is makes no difference.
/// </summary>
public sealed class BenchTests : IDisposable
{
    private const int Ok = 0;
    private const int TooSlow = 5;

    private readonly TemporaryDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Aggregate_Short_PrintsEveryFigureWithItsBar()
    {
        using JsonDocument json = await MeasureAsync("aggregate", "--runs", "1", "--seconds", "0.3");

        JsonElement root = json.RootElement;
        Assert.False(string.IsNullOrEmpty(root.GetProperty("provider").GetProperty("origin").GetString()));
        JsonElement[] sources = [.. root.GetProperty("sources").EnumerateArray()];
        Assert.Equal([300_000_000, 80_000_000, 20_000_000], sources.Select(source => source.GetProperty("link_bits_per_second").GetInt64()));
        long sum = sources.Sum(source => source.GetProperty("raw_bits_per_second").GetInt64());
        Assert.InRange(root.GetProperty("sum_of_sources_bits_per_second").GetInt64(), sum, sum + sources.Length);
        Assert.Equal(sources[0].GetProperty("raw_bits_per_second").GetInt64(), root.GetProperty("raw_bits_per_second").GetInt64());
        Assert.Equal(
            (double)root.GetProperty("kwik_bits_per_second").GetInt64() / root.GetProperty("raw_bits_per_second").GetInt64(),
            root.GetProperty("ratio").GetDouble(),
            0.001);
        AssertTogether(root.GetProperty("ordered"), sum, 0.95);
        AssertTogether(root.GetProperty("positioned"), sum, 0.97);
        JsonElement slow = root.GetProperty("slow_server");
        Assert.Equal(
            (double)slow.GetProperty("with_bits_per_second").GetInt64() / slow.GetProperty("without_bits_per_second").GetInt64(),
            slow.GetProperty("ratio").GetDouble(),
            0.001);
        Assert.Equal(slow.GetProperty("ratio").GetDouble() >= 0.98, slow.GetProperty("met").GetBoolean());
        JsonElement[] measurements = [.. root.GetProperty("measurements").EnumerateArray()];
        Assert.Equal(8, measurements.Length);
        Assert.All(measurements, one => Assert.True(one.GetProperty("bits_per_second").GetInt64() > 0));
        Assert.All(measurements, one => Assert.True(one.GetProperty("first_byte_ms").GetDouble() > 0));
        Assert.All(measurements.Skip(3), one => Assert.InRange(
            one.GetProperty("source_bytes").EnumerateArray().Sum(bytes => bytes.GetInt64()), one.GetProperty("bytes").GetInt64(), long.MaxValue));
        Assert.Single(measurements[3].GetProperty("source_bytes").EnumerateArray(), bytes => bytes.GetInt64() > 0);
    }

    [Fact]
    public async Task Failover_EveryKind_LosesNothing()
    {
        using JsonDocument json = await MeasureAsync("failover", "--runs", "1", "--seconds", "1", "--outage", "0.3");

        JsonElement root = json.RootElement;
        Assert.Equal(0, root.GetProperty("lost_bytes").GetInt64());
        Assert.True(root.GetProperty("sha256_ok").GetBoolean());
        Assert.Equal(
            ["kill", "stop", "blackhole"], root.GetProperty("faults").EnumerateArray().Select(fault => fault.GetProperty("kind").GetString()));
        JsonElement[] runs = [.. root.GetProperty("measurements").EnumerateArray()];
        Assert.Equal(3, runs.Length);
        Assert.All(runs, run =>
        {
            Assert.True(run.GetProperty("fault_at_ms").GetDouble() > 0);
            Assert.InRange(run.GetProperty("path").GetInt32(), 1, 2);
            Assert.Equal(0, run.GetProperty("lost_bytes").GetInt64());
            Assert.True(run.GetProperty("sha256_ok").GetBoolean());
            Assert.False(run.TryGetProperty("error", out _));
        });
        JsonElement gap = root.GetProperty("gap_ms");
        double[] gaps = [.. runs.Select(run => run.GetProperty("gap_ms").GetDouble()).Order()];
        Assert.Equal(gaps[1], gap.GetProperty("p50").GetDouble());
        Assert.Equal(gaps[2], gap.GetProperty("p95").GetDouble());
        Assert.Equal(gaps[2], gap.GetProperty("max").GetDouble());
        Assert.Equal(gaps[^1] <= 300, gap.GetProperty("met").GetBoolean());
        Assert.Equal(JsonValueKind.Null, runs[0].GetProperty("back_ms").ValueKind);
    }

    [Fact]
    public async Task Failover_Text_EndsWithWhatWasLost()
    {
        CommandResult result = await KwikProcess.RunAsync(Start("failover", "--kind", "kill", "--runs", "1", "--seconds", "0.5"));

        Assert.True(result.ExitCode is Ok or TooSlow, $"Exit code {result.ExitCode}. {result.Errors}");
        Assert.EndsWith("0 bytes lost, SHA-256 equal in 1 runs\n", result.Output, StringComparison.Ordinal);
        Assert.DoesNotContain("\u001b", result.Output, StringComparison.Ordinal);
        AssertNothingLeft();
    }

    [Fact]
    public async Task Failover_InterruptedDuringAnOutage_EndsTheStoppedServerToo()
    {
        KwikProcess bench = Start("failover", "--kind", "stop", "--runs", "1", "--seconds", "5", "--outage", "60");
        using (var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(20)))
        {
            using var timeout = new CancellationTokenSource(TestTimeouts.Operation);
            while (!KwikProcess.WithArgument(_temp.Path).Any(server => server.State == 'T'))
            {
                await timer.WaitForNextTickAsync(timeout.Token);
            }
        }

        await bench.SignalAsync("INT");

        CommandResult result = await KwikProcess.RunAsync(bench);
        Assert.Equal(1, result.ExitCode);
        Assert.Contains("kwik: Cancelled.", result.Errors, StringComparison.Ordinal);
        AssertNothingLeft();
    }

    [Theory]
    [InlineData]
    [InlineData("everything")]
    [InlineData("aggregate", "--runs", "0")]
    [InlineData("aggregate", "--seconds", "0")]
    [InlineData("aggregate", "--seconds", "NaN")]
    [InlineData("failover", "--runs", "1001")]
    [InlineData("failover", "--outage", "-1")]
    [InlineData("failover", "--kind", "nap")]
    public async Task Bench_OptionsThatMakeNoSense_Is2(params string[] arguments)
    {
        (await KwikProcess.RunAsync(Start(arguments))).AssertFailure(2);
        AssertNothingLeft();
    }

    private static void AssertTogether(JsonElement together, long sum, double bar)
    {
        double ofSum = together.GetProperty("of_sum").GetDouble();
        Assert.Equal((double)together.GetProperty("bits_per_second").GetInt64() / sum, ofSum, 0.001);
        Assert.Equal(bar, together.GetProperty("bar").GetDouble());
        Assert.Equal(ofSum >= bar, together.GetProperty("met").GetBoolean());
        Assert.True(together.GetProperty("with_start_bits_per_second").GetInt64() > 0);
        Assert.Equal(
            together.GetProperty("duplicate_ratio").GetDouble() <= together.GetProperty("duplicate_bar").GetDouble(),
            together.GetProperty("duplicate_met").GetBoolean());
    }

    /// <summary>Measures, and checks that the exit code is what the report says.</summary>
    private async Task<JsonDocument> MeasureAsync(params string[] arguments)
    {
        CommandResult result = await KwikProcess.RunAsync(Start([.. arguments, "--json"]));
        Assert.True(result.ExitCode is Ok or TooSlow, $"Exit code {result.ExitCode}. {result.Errors}");
        JsonDocument json = JsonDocument.Parse(result.Output);
        Assert.Equal(result.ExitCode == Ok, json.RootElement.GetProperty("met").GetBoolean());
        AssertNothingLeft();
        return json;
    }

    private KwikProcess Start(params string[] arguments) => KwikProcess.Start(_temp.Path, ["bench", .. arguments], ("TMPDIR", _temp.Path));

    private void AssertNothingLeft()
    {
        Assert.Empty(_temp.Entries);
        Assert.Empty(KwikProcess.WithArgument(_temp.Path));
    }
}
