using BenchmarkDotNet.Attributes;
using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>What the metadata of one payload costs. Bar: encode and decode together below 200 ns, no allocation.</summary>
[MemoryDiagnoser]
public class StreamFrameBenchmarks
{
    private readonly byte[] _buffer = new byte[StreamFrame.MaxWrittenSize];
    private readonly byte[] _encoded = new byte[StreamFrame.MaxWrittenSize];
    private readonly int _encodedSize;

    public StreamFrameBenchmarks() => _encodedSize = StreamFrame.Data(64 * 1024, offset: 1L << 30, 0x12345678).Write(_encoded);

    [Benchmark]
    public int Encode() => StreamFrame.Data(64 * 1024, offset: 1L << 30, 0x12345678).Write(_buffer);

    [Benchmark]
    public bool Decode() => StreamFrame.TryDecode(_encoded.AsSpan(1, _encodedSize - 1), out _);

    [Benchmark]
    public bool EncodeAndDecode()
    {
        int size = Encode();
        return StreamFrame.TryDecode(_buffer.AsSpan(1, size - 1), out _);
    }
}
