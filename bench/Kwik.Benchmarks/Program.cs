using BenchmarkDotNet.Running;
using Kwik.Benchmarks;

// gate             the allocation gate of CI
// wire [--json]    bytes on the wire beside the payload
// anything else goes to BenchmarkDotNet, for instance --filter '*Aggregator*' --job short
return args switch
{
    ["gate"] => AllocationGate.Run(),
    ["wire", .. string[] options] => await WireOverhead.RunAsync(options.Contains("--json")),
    _ => Show(BenchmarkSwitcher.FromAssembly(typeof(AllocationGate).Assembly).Run(args)),
};

static int Show(IEnumerable<BenchmarkDotNet.Reports.Summary> summaries) =>
    summaries.Any(summary => summary.HasCriticalValidationErrors) ? 1 : 0;
