using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Kwik.RawQuic;
using Kwik.Sessions;

// Plain System.Net.Quic over loopback between two processes, as the yardstick for Kwik's own benchmarks: one stream,
// 64 KiB writes one way, then echoes of 1 KiB. Prints one JSON object.
//
//     Kwik.RawQuic [--seconds N | --bytes N] [--echoes N]
//
// The program starts itself once more as the server ("server" as its only argument).
QuicLibrary library = QuicProvider.EnsureLoaded();
if (args is ["server"])
{
    await RawServer.RunAsync(Console.In, Console.Out);
    return 0;
}

Workload? workload = Workload.Parse(args);
if (workload is null)
{
    await Console.Error.WriteLineAsync("Usage: Kwik.RawQuic [--seconds N | --bytes N] [--echoes N]");
    return 2;
}

// Environment.ProcessPath is the host "dotnet" when the program was started as "dotnet Kwik.RawQuic.dll".
string[] self = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : [];
using Process server = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [.. self, "server"])
{
    RedirectStandardInput = true,
    RedirectStandardOutput = true,
})!;
try
{
    string address = await server.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("The server did not start.");
    Measurement measured = await RawClient.MeasureAsync(address, workload);
    var result = new SortedDictionary<string, object?>
    {
        ["bytes"] = measured.Bytes,
        ["seconds"] = Round(measured.Seconds, 3),
        ["bits_per_second"] = Math.Round(8 * measured.Bytes / measured.Seconds),
        ["cpu_seconds_per_gb"] = Round((measured.ClientCpu + measured.ServerCpu) / (measured.Bytes / 1e9), 3),
        ["client_cpu_seconds_per_gb"] = Round(measured.ClientCpu / (measured.Bytes / 1e9), 3),
        ["server_cpu_seconds_per_gb"] = Round(measured.ServerCpu / (measured.Bytes / 1e9), 3),
        ["echoes"] = measured.Echoes,
        ["echo_p50_us"] = Round(measured.EchoP50, 1),
        ["echo_p99_us"] = Round(measured.EchoP99, 1),
        ["provider"] = new SortedDictionary<string, string?>
        {
            ["name"] = library.Name,
            ["origin"] = library.Origin.ToString(),
            ["path"] = library.Path,
            ["version"] = library.Version?.ToString(),
        },
    };
    Console.WriteLine(JsonSerializer.Serialize(result));
    return 0;
}
finally
{
    // The end of its input ends the server.
    server.StandardInput.Close();
    await server.WaitForExitAsync();
}

static double Round(double value, int digits) => Math.Round(value, digits);

/// <summary>What to do: bulk for a time or for a number of bytes, whichever is given; then echoes.</summary>
internal sealed record Workload(TimeSpan? Duration, long? Bytes, int Echoes)
{
    public static Workload? Parse(string[] args)
    {
        var workload = new Workload(TimeSpan.FromSeconds(5), null, 5_000);
        for (int i = 0; i < args.Length; i += 2)
        {
            if (i + 1 == args.Length || !long.TryParse(args[i + 1], CultureInfo.InvariantCulture, out long number) || number < 1)
            {
                return null;
            }

            switch (args[i])
            {
                case "--seconds":
                    workload = workload with { Duration = TimeSpan.FromSeconds(number), Bytes = null };
                    break;
                case "--bytes":
                    workload = workload with { Duration = null, Bytes = number };
                    break;
                case "--echoes" when number <= 10_000_000:
                    workload = workload with { Echoes = (int)number };
                    break;
                default:
                    return null;
            }
        }

        return workload;
    }
}
