using BenchmarkDotNet.Running;
using Kwik.Benchmarks;

// gate             the allocation gate of CI
// wire [--json]    bytes on the wire beside the payload
// open [--json]    streams opened, used once and closed a second, beside plain streams; starts itself once more for the server
// idle [--json]    memory of public streams on which nothing happens; starts itself once more for the server
// streams [--json] what a QUIC stream for each range costs, and a write for each frame
// files [--json]   ways to read a file that is served
// delivery [--cases N] [--seed N] [--json]  how close the scheduler comes to what its sources can do, in a model
// anything else goes to BenchmarkDotNet, for instance --filter '*Aggregator*' --job short
return args switch
{
    ["gate"] => AllocationGate.Run(),
    ["wire", .. string[] options] => await WireOverhead.RunAsync(options.Contains("--json")),
    ["open", .. string[] options] => await OpenRate.RunAsync(options.Contains("--json")),
    ["idle", .. string[] options] => await IdlePairs.RunAsync(options.Contains("--json")),
    ["streams", .. string[] options] => await StreamCost.RunAsync(options.Contains("--json")),
    ["files", .. string[] options] => await FileReading.RunAsync(options.Contains("--json")),
    ["delivery", .. string[] options] => DeliveryDistribution.Run(options),
    ["open-server"] => await OpenServer.RunAsync(Console.In, Console.Out),
    _ => Show(BenchmarkSwitcher.FromAssembly(typeof(AllocationGate).Assembly).Run(args)),
};

static int Show(IEnumerable<BenchmarkDotNet.Reports.Summary> summaries) =>
    summaries.Any(summary => summary.HasCriticalValidationErrors) ? 1 : 0;
