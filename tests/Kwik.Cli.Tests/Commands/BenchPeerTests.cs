using System.Text.Json;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Commands;

/// <summary>The measurements straight over loopback, so short that their figures say nothing: what is printed has its shape.</summary>
public sealed class BenchPeerTests : IDisposable
{
    private const int Ok = 0;
    private const int TooSlow = 5;

    private readonly TemporaryDirectory _temp = new();

    public void Dispose() => _temp.Dispose();

    [Fact]
    public async Task Single_Short_ComparesWithPlainInTheSameRun()
    {
        (int exitCode, JsonElement root) = await MeasureAsync("single", "--runs", "2", "--seconds", "0.1");

        JsonElement[] runs = [.. root.GetProperty("measurements").EnumerateArray()];
        Assert.Equal(
            ["1 plain", "1 kwik", "1 offered", "2 kwik", "2 plain", "2 offered"],
            runs.Select(run => $"{run.GetProperty("run").GetInt32()} {run.GetProperty("name").GetString()}"));
        Assert.All(runs, run => Assert.True(run.GetProperty("bits_per_second").GetInt64() > 0));
        // Of one run, both downloads are of the same length.
        Assert.Equal(runs[0].GetProperty("bytes").GetInt64(), runs[1].GetProperty("bytes").GetInt64());
        double[] ratios = [.. new[] { (0, 1), (4, 3) }.Select(pair =>
            (double)runs[pair.Item2].GetProperty("bits_per_second").GetInt64() / runs[pair.Item1].GetProperty("bits_per_second").GetInt64())];
        Assert.Equal(ratios.Average(), root.GetProperty("ratio").GetDouble(), 0.001);
        Assert.Equal(
            (double)root.GetProperty("kwik_peak_rss_bytes").GetInt64() / root.GetProperty("raw_peak_rss_bytes").GetInt64(),
            root.GetProperty("peak_rss_ratio").GetDouble(),
            0.001);
        Assert.True(root.GetProperty("raw_peak_rss_bytes").GetInt64() > 1_000_000);
        Assert.True(root.GetProperty("offered").GetProperty("bits_per_second").GetInt64() > 0);
        bool met = root.GetProperty("ratio").GetDouble() >= root.GetProperty("ratio_bar").GetDouble()
            && root.GetProperty("cpu_ratio").GetDouble() <= root.GetProperty("cpu_bar").GetDouble()
            && root.GetProperty("peak_rss_ratio").GetDouble() <= root.GetProperty("peak_rss_bar").GetDouble();
        Assert.Equal(met, root.GetProperty("met").GetBoolean());
        Assert.Equal(met ? Ok : TooSlow, exitCode);
    }

    [Fact]
    public async Task Latency_Short_SaysWhatKwikAdds()
    {
        (int exitCode, JsonElement root) = await MeasureAsync("latency", "--connections", "2", "--echoes", "20");

        // Two connections of four rounds each.
        Assert.Equal(2 * 4 * 20, root.GetProperty("echoes").GetInt32());
        foreach (string kind in (string[])["raw", "kwik"])
        {
            double p50 = root.GetProperty($"{kind}_p50_us").GetDouble();
            Assert.InRange(p50, double.Epsilon, root.GetProperty($"{kind}_p99_us").GetDouble());
        }

        bool met = root.GetProperty("added_p50_us").GetDouble() <= root.GetProperty("added_p50_bar").GetDouble()
            && root.GetProperty("added_p99_us").GetDouble() <= root.GetProperty("added_p99_bar").GetDouble();
        Assert.Equal(met, root.GetProperty("met").GetBoolean());
        Assert.Equal(met ? Ok : TooSlow, exitCode);
    }

    [Fact]
    public async Task Raw_Short_SaysWhatPlainStreamsGive()
    {
        (int exitCode, JsonElement root) = await MeasureAsync("raw", "--runs", "1", "--seconds", "0.1");

        Assert.Equal(Ok, exitCode);
        foreach (string key in (string[])["raw_bits_per_second", "raw_peak_rss_bytes", "raw_p50_us", "raw_p99_us", "raw_connect_p50_us", "raw_streams_per_second"])
        {
            Assert.True(root.GetProperty(key).GetDouble() > 0, key);
        }
    }

    [Theory]
    [InlineData("single", "--runs", "0")]
    [InlineData("single", "--queue", "5")]
    [InlineData("raw", "--seconds", "0")]
    [InlineData("latency", "--connections", "0")]
    [InlineData("latency", "--echoes", "9")]
    [InlineData("server", "everything")]
    public async Task Bench_OptionsThatMakeNoSense_Is2(params string[] arguments) =>
        (await KwikProcess.RunAsync(Start(arguments))).AssertFailure(2);

    private async Task<(int ExitCode, JsonElement Root)> MeasureAsync(params string[] arguments)
    {
        CommandResult result = await KwikProcess.RunAsync(Start([.. arguments, "--json"]));
        Assert.True(result.ExitCode is Ok or TooSlow, $"Exit code {result.ExitCode}. {result.Errors}");
        using JsonDocument json = JsonDocument.Parse(result.Output);
        Assert.False(string.IsNullOrEmpty(json.RootElement.GetProperty("provider").GetProperty("origin").GetString()));
        return (result.ExitCode, json.RootElement.Clone());
    }

    private KwikProcess Start(params string[] arguments) => KwikProcess.Start(_temp.Path, ["bench", .. arguments], ("TMPDIR", _temp.Path));
}
