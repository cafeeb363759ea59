using System.Diagnostics;

namespace Kwik.Provider.Tests;

/// <summary>
/// The TLS secrets for packet captures. A released System.Net.Quic writes them to SSLKEYLOGFILE when the AppContext switch
/// System.Net.EnableSslKeyLogging is on, and reads both once in the life of a process: so a process of its own does.
/// </summary>
public sealed class KeyLogTests
{
    private const string FileVariable = "SSLKEYLOGFILE";
    private const string SwitchVariable = "KWIK_TEST_SSL_KEY_LOGGING";

    private static readonly string[] Labels =
        ["CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0", "SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"];

    [Fact]
    public async Task KeyLog_SwitchOn_BothSidesWriteTheSameFourSecretsOfEachConnection()
    {
        string[] lines = await RunAsync(enabled: true);

        // NSS key log: label, the client's random value, the secret. Two connections, and both their ends in one process.
        string[][] fields = [.. lines.Select(line => line.Split(' '))];
        Assert.All(fields, field => Assert.Equal(3, field.Length));
        IGrouping<string, string[]>[] connections = [.. fields.GroupBy(field => field[1])];
        Assert.Equal(2, connections.Length);
        foreach (IGrouping<string, string[]> connection in connections)
        {
            Assert.Equal(32, Convert.FromHexString(connection.Key).Length);
            Assert.Equal(Labels, connection.Select(field => field[0]).Distinct().Order(StringComparer.Ordinal));
            foreach (IGrouping<string, string[]> label in connection.GroupBy(field => field[0]))
            {
                Assert.Equal(2, label.Count());
                string secret = Assert.Single(label.Select(field => field[2]).Distinct());
                Assert.True(Convert.FromHexString(secret).Length is 32 or 48, secret);
            }

            Assert.Equal(Labels.Length, connection.Select(field => field[2]).Distinct().Count());
        }
    }

    [Fact]
    public async Task KeyLog_SwitchOff_WritesNothing() => Assert.Empty(await RunAsync(enabled: false));

    /// <summary>What the process of its own runs; no test by itself.</summary>
    [Fact(Explicit = true)]
    public async Task ChildProcess_TwoConnections_Close()
    {
        Assert.False(string.IsNullOrEmpty(Environment.GetEnvironmentVariable(FileVariable)), "Run by the tests of this class only.");
        AppContext.SetSwitch("System.Net.EnableSslKeyLogging", Environment.GetEnvironmentVariable(SwitchVariable) == "1");
        for (int i = 0; i < 2; i++)
        {
            await using Loopback pair = await Loopback.StartAsync();
            await pair.Client.AssertAliveAsync(pair.Server);
        }
    }

    private static async Task<string[]> RunAsync(bool enabled)
    {
        string path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            var start = new ProcessStartInfo(Environment.ProcessPath!)
            {
                ArgumentList =
                {
                    "-noLogo", "-noColor", "-explicit", "only",
                    "-method", $"{typeof(KeyLogTests).FullName}.{nameof(ChildProcess_TwoConnections_Close)}",
                },
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            start.Environment[FileVariable] = path;
            start.Environment[SwitchVariable] = enabled ? "1" : "0";
            using Process child = Process.Start(start)!;
            Task<string> output = child.StandardOutput.ReadToEndAsync();
            Task<string> errors = child.StandardError.ReadToEndAsync();
            await child.WaitForExitAsync().Bounded();
            Assert.True(child.ExitCode == 0, $"{await output.Bounded()}{await errors.Bounded()}");
            return File.Exists(path) ? await File.ReadAllLinesAsync(path) : [];
        }
        finally
        {
            File.Delete(path);
        }
    }
}
