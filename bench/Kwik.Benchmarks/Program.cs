using BenchmarkDotNet.Running;
using Kwik.Benchmarks;

// gate: the allocation gate of CI; anything else goes to BenchmarkDotNet, for instance --filter *Aggregator*
return args is ["gate"] ? AllocationGate.Run() : Show(BenchmarkSwitcher.FromAssembly(typeof(AllocationGate).Assembly).Run(args));

static int Show(IEnumerable<BenchmarkDotNet.Reports.Summary> summaries) =>
    summaries.Any(summary => summary.HasCriticalValidationErrors) ? 1 : 0;
