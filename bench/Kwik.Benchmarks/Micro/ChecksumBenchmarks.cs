using BenchmarkDotNet.Attributes;
using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>The CRC-32C of a payload, which both sides compute.</summary>
public class ChecksumBenchmarks
{
    private byte[] _payload = [];

    [Params(1024, 64 * 1024)]
    public int Size { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _payload = new byte[Size];
        Random.Shared.NextBytes(_payload);
    }

    [Benchmark]
    public uint Compute() => Crc32C.Compute(_payload);
}
