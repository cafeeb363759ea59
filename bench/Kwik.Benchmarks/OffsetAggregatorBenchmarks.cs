using BenchmarkDotNet.Attributes;
using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>
/// What a 64 KiB piece costs on its way through the aggregator, besides the copy to the reader. Bar: 300 ns a piece, no
/// allocation. Each call moves <see cref="Pieces"/> pieces.
/// </summary>
[MemoryDiagnoser]
public class OffsetAggregatorBenchmarks
{
    public const int Pieces = 64;

    private const int PieceSize = 64 * 1024;

    private readonly LeasePool _pool = new();
    private OffsetAggregator _aggregator = null!;

    [GlobalSetup]
    public void Setup() => _aggregator = new OffsetAggregator(new AggregatorOptions(), _pool);

    [Benchmark(OperationsPerInvoke = Pieces)]
    public void InOrder()
    {
        long start = _aggregator.NextOffset;
        for (int i = 0; i < Pieces; i++)
        {
            Accept(0, start + ((long)i * PieceSize));
            Drain();
        }
    }

    /// <summary>Four sources, each with a quarter of the window, a piece each in turn: the worst honest order.</summary>
    [Benchmark(OperationsPerInvoke = Pieces)]
    public void FourSourcesInterleaved()
    {
        long start = _aggregator.NextOffset;
        for (int i = 0; i < Pieces / 4; i++)
        {
            for (int source = 3; source >= 0; source--)
            {
                Accept(source, start + ((long)((source * (Pieces / 4)) + i) * PieceSize));
            }

            Drain();
        }

        Drain();
    }

    private void Accept(int source, long offset)
    {
        Lease piece = _pool.Rent(LeasePool.LargeSize);
        piece.Extend(PieceSize);
        _aggregator.Accept(source, offset, piece);
    }

    private void Drain()
    {
        while (_aggregator.TakeNext() is { } piece)
        {
            piece.Return();
        }
    }
}
