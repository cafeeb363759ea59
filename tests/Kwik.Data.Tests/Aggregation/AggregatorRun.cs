namespace Kwik.Data.Tests;

internal enum AggregatorStepKind
{
    Accept,
    Take,
    SetFinalSize,
    ReturnTaken,
    DeliverAnywhere,
}

/// <summary>One operation on an aggregator; <paramref name="Offset"/> counts from the next byte to be taken.</summary>
/// <param name="Kind">What is done.</param>
/// <param name="Source">0 to 3.</param>
/// <param name="Offset">Where the piece starts, or how far behind the highest byte the final size is put.</param>
/// <param name="Length">Bytes of the piece.</param>
/// <param name="Skew">Bytes that the lease of the piece dropped at its front; more than 0 also takes a large block.</param>
internal readonly record struct AggregatorStep(AggregatorStepKind Kind, int Source = 0, int Offset = 0, int Length = 0, int Skew = 0);

/// <summary>Does the same to an <see cref="OffsetAggregator"/> and to its model, and compares them after every step.</summary>
internal sealed class AggregatorRun
{
    private readonly LeasePool _pool;
    private readonly OffsetAggregator _aggregator;
    private readonly AggregatorModel _model;
    private readonly int _liars;
    private readonly List<Lease> _taken = [];
    private readonly List<(long Offset, long Length)> _missing = [];

    /// <param name="options">The options of both.</param>
    /// <param name="liars">Bit i: source i sends wrong bytes at some offsets, always the same ones.</param>
    /// <param name="size">An offset that no step reaches.</param>
    /// <param name="pool">Reused from run to run.</param>
    public AggregatorRun(AggregatorOptions options, int liars, int size, LeasePool pool)
    {
        _pool = pool;
        _aggregator = new OffsetAggregator(options, pool);
        _model = new AggregatorModel(options, size);
        _liars = liars;
    }

    /// <summary>Runs the steps, drains what can be taken, clears, and checks that every lease came back.</summary>
    public void Execute(IEnumerable<AggregatorStep> steps)
    {
        foreach (AggregatorStep step in steps)
        {
            Do(step);
            AssertEqual();
        }

        while (_model.NextTake is not null)
        {
            Take();
            AssertEqual();
        }

        _aggregator.Clear();
        Assert.Equal((0L, 0L, 0, false), (_aggregator.BufferedBytes, _aggregator.AllocatedBytes, _aggregator.Gaps, _aggregator.CanTake));
        Assert.Equal(_taken.Count, _pool.Outstanding);
        ReturnTaken();
        Assert.Equal(0, _pool.Outstanding);
    }

    private void Do(AggregatorStep step)
    {
        switch (step.Kind)
        {
            case AggregatorStepKind.Accept:
                Accept(step);
                break;
            case AggregatorStepKind.Take:
                Take();
                break;
            case AggregatorStepKind.SetFinalSize:
                long size = _model.Highest + step.Offset;
                Assert.Equal(_model.TrySetFinalSize(size), _aggregator.TrySetFinalSize(size));
                break;
            case AggregatorStepKind.DeliverAnywhere:
                _aggregator.DeliverAnywhere();
                _model.IsPositioned = true;
                break;
            default:
                ReturnTaken();
                break;
        }
    }

    private void Accept(AggregatorStep step)
    {
        int offset = Math.Max(0, _model.NextOffset + step.Offset);
        Lease piece = _pool.Rent(step.Skew > 0 ? LeasePool.LargeSize : step.Length);
        piece.Extend(Math.Min(step.Skew, piece.Room - step.Length) + step.Length);
        piece.TrimStart(piece.Length - step.Length);
        for (int i = 0; i < step.Length; i++)
        {
            piece.Span[i] = ByteOf(step.Source, offset + i);
        }

        Assert.Equal(_model.Validate(offset, step.Length), _aggregator.Validate(offset, step.Length));
        AcceptResult expected = _model.Accept(step.Source, offset, piece.Span);
        Assert.Equal(expected, _aggregator.Accept(step.Source, offset, piece));
        Assert.Equal(_model.SourceOffset(step.Source), _aggregator.SourceOffset(step.Source));

        // From before the piece to some way behind it, and all there is.
        AssertMissing(Math.Max(0, offset - 5), offset + step.Length + 5);
        AssertMissing(0, _model.Highest + 1);
    }

    private void AssertMissing(int start, int end)
    {
        _missing.Clear();
        _aggregator.Missing(start, end, _missing);
        Assert.Equal(_model.Missing(start, end), _missing);
    }

    private void Take()
    {
        int? expected = _model.NextTake;
        long offset = _model.NextOffset;
        Lease? piece = _model.IsPositioned ? _aggregator.TakeAny(out offset) : _aggregator.TakeNext();
        Assert.Equal(expected, piece is null ? null : (int)offset);
        if (piece is not null)
        {
            Assert.True(_model.Take(piece.Length).SequenceEqual(piece.Span), "The bytes taken are not those of the model.");
            _taken.Add(piece);
        }
    }

    private void ReturnTaken()
    {
        _taken.ForEach(piece => piece.Return());
        _taken.Clear();
    }

    private void AssertEqual()
    {
        Assert.Equal(_model.State, AggregatorState.Of(_aggregator));
        long held = _pool.Outstanding - _taken.Count;
        Assert.InRange(_aggregator.AllocatedBytes, held * LeasePool.SmallSize, held * LeasePool.LargeSize);
        Assert.InRange(_aggregator.BufferedBytes, held, _aggregator.AllocatedBytes);
    }

    private byte ByteOf(int source, int offset)
    {
        byte truth = (byte)((offset * 31) + (offset / 251));
        return ((_liars >> source) & 1) == 1 && offset % 5 < 2 ? (byte)(truth ^ (0x40 + source)) : truth;
    }
}
