using BenchmarkDotNet.Attributes;
using BenchmarkDotNet.Configs;
using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>
/// What a 64 KiB piece costs on its way through the aggregator. Bars: 300 ns a piece without the copy to the reader, no
/// allocation; and with that copy at least 0.8 of the speed of the copy alone, which is the baseline of its category: from
/// as many blocks, in the same order. Each call moves <see cref="Pieces"/> pieces.
/// </summary>
[MemoryDiagnoser]
[GroupBenchmarksBy(BenchmarkLogicalGroupRule.ByCategory)]
[CategoriesColumn]
public class OffsetAggregatorBenchmarks
{
    public const int Pieces = Sources * PiecesPerRange;

    private const int PieceSize = 64 * 1024;
    private const int Sources = 4;

    // Each source has ranges of 1 MiB.
    private const int PiecesPerRange = 16;

    private readonly LeasePool _pool = new();
    private readonly byte[] _reader = new byte[PieceSize];
    private readonly byte[][] _blocks = new byte[Pieces][];
    private OffsetAggregator _aggregator = null!;
    private OffsetAggregator _positioned = null!;

    [GlobalSetup]
    public void Setup()
    {
        _aggregator = new OffsetAggregator(new AggregatorOptions(), _pool);
        _positioned = new OffsetAggregator(new AggregatorOptions(), _pool);
        _positioned.DeliverAnywhere();
        for (int i = 0; i < Pieces; i++)
        {
            _blocks[i] = new byte[LeasePool.LargeSize];
            Random.Shared.NextBytes(_blocks[i]);
        }
    }

    [Benchmark(OperationsPerInvoke = Pieces)]
    [BenchmarkCategory("without copy")]
    public void InOrder() => MoveInOrder(copy: false);

    /// <summary>
    /// Each source has its own 1 MiB, a piece each in turn, the highest first. The reader gets the first range as it comes,
    /// and the other 48 pieces at the end.
    /// </summary>
    [Benchmark(OperationsPerInvoke = Pieces)]
    [BenchmarkCategory("without copy")]
    public void FourSources() => MoveFourSources(copy: false);

    /// <summary>The same order, but each piece leaves at once, wherever it lies.</summary>
    [Benchmark(OperationsPerInvoke = Pieces)]
    [BenchmarkCategory("without copy")]
    public void FourSourcesPositioned()
    {
        long start = _positioned.NextOffset;
        for (int i = 0; i < PiecesPerRange; i++)
        {
            for (int source = Sources - 1; source >= 0; source--)
            {
                Accept(_positioned, source, OffsetOf(start, source, i));
                _positioned.TakeAny(out _)!.Return();
            }
        }
    }

    [Benchmark(Baseline = true, OperationsPerInvoke = Pieces)]
    [BenchmarkCategory("in order, read")]
    public void CopyFromOneBlock()
    {
        for (int i = 0; i < Pieces; i++)
        {
            _blocks[0].AsSpan(0, PieceSize).CopyTo(_reader);
        }
    }

    [Benchmark(OperationsPerInvoke = Pieces)]
    [BenchmarkCategory("in order, read")]
    public void ReadInOrder() => MoveInOrder(copy: true);

    [Benchmark(Baseline = true, OperationsPerInvoke = Pieces)]
    [BenchmarkCategory("four sources, read")]
    public void CopyFromManyBlocks()
    {
        foreach (byte[] block in _blocks)
        {
            block.AsSpan(0, PieceSize).CopyTo(_reader);
        }
    }

    [Benchmark(OperationsPerInvoke = Pieces)]
    [BenchmarkCategory("four sources, read")]
    public void ReadFourSources() => MoveFourSources(copy: true);

    private static long OffsetOf(long start, int source, int index) => start + ((long)((source * PiecesPerRange) + index) * PieceSize);

    private void MoveInOrder(bool copy)
    {
        long start = _aggregator.NextOffset;
        for (int i = 0; i < Pieces; i++)
        {
            Accept(_aggregator, 0, start + ((long)i * PieceSize));
            Drain(copy);
        }
    }

    private void MoveFourSources(bool copy)
    {
        long start = _aggregator.NextOffset;
        for (int i = 0; i < PiecesPerRange; i++)
        {
            for (int source = Sources - 1; source >= 0; source--)
            {
                Accept(_aggregator, source, OffsetOf(start, source, i));
            }

            Drain(copy);
        }
    }

    private void Accept(OffsetAggregator aggregator, int source, long offset)
    {
        Lease piece = _pool.Rent(LeasePool.LargeSize);
        piece.Extend(PieceSize);
        aggregator.Accept(source, offset, piece);
    }

    private void Drain(bool copy)
    {
        while (_aggregator.TakeNext() is { } piece)
        {
            if (copy)
            {
                piece.Span.CopyTo(_reader);
            }

            piece.Return();
        }
    }
}
