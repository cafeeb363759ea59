using BenchmarkDotNet.Attributes;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>What it costs to find out where an Internal stream belongs. Bar: below 100 ns, no allocation.</summary>
[MemoryDiagnoser]
public class StreamMappingBenchmarks
{
    private const int Expected = 512;

    private readonly StreamMappingManager _mappings = new();
    private StreamMapping _mapping = null!;

    [GlobalSetup]
    public void Setup()
    {
        for (int i = 0; i < Expected; i++)
        {
            _mapping = new StreamMapping(i % 8, i, null!, 0, 1, null!);
            _mappings.Expect(_mapping);
        }
    }

    /// <summary>Finds a mapping, which takes it out, and puts it back.</summary>
    [Benchmark]
    public bool Lookup()
    {
        bool found = _mappings.TryResolve(_mapping.PathId, _mapping.RequestId, out StreamMapping? mapping);
        _mappings.Expect(mapping!);
        return found;
    }
}
