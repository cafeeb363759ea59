// How precisely, and at what cost, the relay shapes: prints one JSON object.
//
//   Kwik.RelayBench [MEGABITS_PER_SECOND=300] [DELAY_MS=20] [SECONDS=5]
//
// This process is the relay and nothing else, so that its processor time is the relay's. A child process is both ends. It
// sends 1200-byte datagrams twice over: at 1.2 times the rate, for the rate that comes through, and at half the rate, for
// the delay beyond what an ideal link would give.

using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Text.Json;
using Kwik.Relay;
using Kwik.RelayBench;

if (args is [LoadGenerator.Verb, ..])
{
    LoadGenerator.Run(LinkLoad.Parse(args[1..]));
    return 0;
}

double megabits = Argument(0, 300);
var delay = TimeSpan.FromMilliseconds(Argument(1, 20));
var duration = TimeSpan.FromSeconds(Argument(2, 5));
long bitsPerSecond = (long)(megabits * 1e6);

Measurement full = Measure(1.2);
Measurement half = Measure(0.5);
Console.WriteLine(JsonSerializer.Serialize(new
{
    configured_bits_per_second = bitsPerSecond,
    achieved_bits_per_second = full.Report.BitsPerSecond,
    ratio = Math.Round(full.Report.BitsPerSecond / bitsPerSecond, 4),
    cpu_share_of_a_core = Math.Round(full.CpuShare, 3),
    configured_delay_ms = delay.TotalMilliseconds,
    added_delay_p50_us = half.Report.AddedDelayP50,
    added_delay_p99_us = half.Report.AddedDelayP99,
    half_load_cpu_share_of_a_core = Math.Round(half.CpuShare, 3),
    half_load_lost = half.Report.Sent - half.Report.Received,
}));
return 0;

double Argument(int index, double standard) =>
    args.Length > index ? double.Parse(args[index], CultureInfo.InvariantCulture) : standard;

Measurement Measure(double load)
{
    string[] arguments = [LoadGenerator.Verb, .. new LinkLoad(bitsPerSecond, load, delay, duration).Format()];
    using Process child = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, arguments)
    {
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
    })!;
    int port = int.Parse(child.StandardOutput.ReadLine()!, CultureInfo.InvariantCulture);
    using UdpRelay relay = UdpRelay.Start(new()
    {
        Target = new(IPAddress.Loopback, port),
        ToServer = new() { BitsPerSecond = bitsPerSecond, Delay = delay },
    });
    child.StandardInput.WriteLine(relay.LocalEndPoint.Port);

    // The child warms up for a second, says when the measured time begins, and reports when the link has run dry; an idle
    // relay takes no processor time, so that all of it belongs to the measured time.
    child.StandardOutput.ReadLine();
    TimeSpan cpu = Environment.CpuUsage.TotalTime;
    string report = child.StandardOutput.ReadLine()!;
    double cpuShare = (Environment.CpuUsage.TotalTime - cpu) / duration;
    child.WaitForExit();
    return new(JsonSerializer.Deserialize<LoadReport>(report)!, cpuShare);
}

internal sealed record Measurement(LoadReport Report, double CpuShare);
