namespace Kwik.Data.Tests;

/// <summary>However the pieces are cut and ordered, no more memory is held than <see cref="AggregatorOptions"/> say.</summary>
public sealed class OffsetAggregatorMemoryTests
{
    private const int Pieces = 100_000;

    private static readonly AggregatorOptions Options = new() { MaxPendingBytes = 1024 * 1024 };

    private readonly LeasePool _pool = new();

    // As documented: twice the pending bytes, two small blocks for each hole, and something for the head.
    private static long WorstCase => (2 * Options.MaxPendingBytes) + (2L * LeasePool.SmallSize * Options.MaxGaps) + (1536 * 1024);

    [Fact]
    public void Accept_OneByteAtAlternateOffsets_IsBounded() =>
        AssertBounded(i => (1, 1 + (2 * i), 1));

    [Fact]
    public void Accept_OneByteAtAlternateOffsetsThenBetween_IsBounded() =>
        AssertBounded(i => (1, 1 + (i / 1000 * 1000) + (i % 1000 < 500 ? 2 * (i % 1000) : (2 * ((i % 1000) - 500)) + 1), 1));

    [Fact]
    public void Accept_OneByteFromTheEndBackwards_IsBounded() =>
        AssertBounded(i => (1, Pieces - i, 1));

    [Fact]
    public void Accept_OneByteFromTwoSourcesInTurn_IsBounded() =>
        AssertBounded(i => (1 + (i % 2), 1 + i, 1));

    [Fact]
    public void Accept_JustTooLongForASmallBlock_IsBounded() =>
        AssertBounded(
            i => (1 + (i % 2), 1 + (i * (LeasePool.SmallSize + 1)), LeasePool.SmallSize + 1), pieces: 1000);

    [Fact]
    public void Accept_JustTooLongForASmallBlockBackwards_IsBounded() =>
        AssertBounded(
            i => (1, Math.Max(1, (int)Options.MaxPendingBytes - ((i + 1) * (LeasePool.SmallSize + 1))), LeasePool.SmallSize + 1),
            pieces: 1000);

    [Fact]
    public void Accept_HeadThatGrowsByAByteFromTwoSourcesInTurn_IsBounded()
    {
        OffsetAggregator aggregator = new(Options, _pool);
        AcceptOutcome outcome = AcceptOutcome.Accepted;
        for (int i = 0; i < LeasePool.LargeSize && outcome == AcceptOutcome.Accepted; i++)
        {
            outcome = Accept(aggregator, 1 + (i % 2), 0, 1 + i);
            Assert.InRange(aggregator.AllocatedBytes, 1, WorstCase);
        }

        Assert.Equal(AcceptOutcome.Overflow, outcome);
        Clear(aggregator);
    }

    [Fact]
    public void Accept_PieceThatFillsTheHeadAndEveryHole_IsBounded()
    {
        OffsetAggregator aggregator = new(Options, _pool);
        int behind = (2 * Options.MaxGaps) + 1;
        for (int i = 0; i < Options.MaxGaps; i++)
        {
            Accept(aggregator, 1, 1 + (2 * i), 1);
        }

        // Then all the memory that two sources in turn can make it take.
        for (int i = 0; i < Pieces; i++)
        {
            Accept(aggregator, 2 + (i % 2), behind + i - 1, 1);
        }

        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 4, 0, LeasePool.LargeSize));
        Assert.Equal((0, LeasePool.LargeSize), (aggregator.Gaps, aggregator.ContiguousEnd));
        Assert.InRange(aggregator.AllocatedBytes, 1, WorstCase);
        Clear(aggregator);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void Accept_OneByteConflictsAtAlternateOffsets_AreBounded(int start)
    {
        OffsetAggregator aggregator = new(Options with { ConflictResolution = ConflictResolution.LastWins }, _pool);
        for (int i = 0; i < 15; i++)
        {
            Accept(aggregator, 1, start + (i * 64 * 1024), 64 * 1024);
        }

        long held = aggregator.BufferedBytes;
        long most = 0;
        for (int i = 0; i < Pieces; i++)
        {
            Lease lease = _pool.Rent(1);
            lease.Extend(1);
            lease.Span[0] = (byte)~(start + (2 * i));
            AcceptOutcome outcome = aggregator.Accept(2, start + (2 * i), lease).Outcome;
            Assert.True(outcome is AcceptOutcome.Conflict or AcceptOutcome.Overflow);
            most = Math.Max(most, aggregator.AllocatedBytes);
        }

        Assert.InRange(most, held, WorstCase);
        Assert.InRange(aggregator.Conflicts, 100, Pieces - 1);
        Assert.Equal(held, aggregator.BufferedBytes);
        Clear(aggregator);
    }

    [Fact]
    public void Accept_OneByteInOrderFromOneSource_TakesNoMoreThanItsBytes()
    {
        OffsetAggregator aggregator = new(Options, _pool);
        for (int i = 0; i < Pieces; i++)
        {
            Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 1 + i, 1));
        }

        Assert.InRange(aggregator.AllocatedBytes, Pieces, Pieces + LeasePool.LargeSize);
        Clear(aggregator);
    }

    [Fact]
    public void TakeNext_OneByteAtAlternateOffsetsThenBetween_DeliversAllOfThemInBoundedMemory()
    {
        OffsetAggregator aggregator = new(Options, _pool);
        const int Batch = 500;
        long taken = 0;
        while (taken < Pieces)
        {
            for (int i = 0; i < Batch; i++)
            {
                int at = i < Batch / 2 ? (2 * i) + 1 : 2 * (i - (Batch / 2));
                Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1 + (at % 2), taken + at, 1));
            }

            Assert.InRange(aggregator.AllocatedBytes, Batch, WorstCase);
            while (aggregator.TakeNext() is { } piece)
            {
                foreach (byte b in piece.Span)
                {
                    Assert.Equal((byte)taken++, b);
                }

                piece.Return();
            }
        }

        Assert.Equal((0L, 0L, 0L), (aggregator.BufferedBytes, aggregator.AllocatedBytes, _pool.Outstanding));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void AcceptAndTake_InSteadyState_AllocateNothing(bool positioned)
    {
        OffsetAggregator aggregator = new(Options, _pool);
        if (positioned)
        {
            aggregator.DeliverAnywhere();
        }

        Pump(aggregator, rounds: 100);
        long least = long.MaxValue;
        for (int attempt = 0; attempt < 10; attempt++)
        {
            // A collection, which other tests may cause, charges this thread with the rest of its allocation quantum.
            long before = GC.GetAllocatedBytesForCurrentThread();
            Pump(aggregator, rounds: 100);
            least = Math.Min(least, GC.GetAllocatedBytesForCurrentThread() - before);
        }

        Assert.Equal(0, least);
        Assert.Equal(0, _pool.Outstanding);
    }

    private void Pump(OffsetAggregator aggregator, int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            long start = aggregator.NextOffset;
            for (int i = 3; i >= 0; i--)
            {
                Accept(aggregator, i, start + (i * 10_000), 10_000);
                if (aggregator.IsPositioned)
                {
                    aggregator.TakeAny(out _)!.Return();
                }
            }

            while (!aggregator.IsPositioned && aggregator.TakeNext() is { } piece)
            {
                piece.Return();
            }
        }
    }

    private void AssertBounded(Func<int, (int Source, int Offset, int Length)> pieceOf, int pieces = Pieces)
    {
        OffsetAggregator aggregator = new(Options, _pool);
        long most = 0;
        int accepted = 0;
        for (int i = 0; i < pieces; i++)
        {
            (int source, int offset, int length) = pieceOf(i);
            accepted += Accept(aggregator, source, offset, length) == AcceptOutcome.Accepted ? 1 : 0;
            most = Math.Max(most, aggregator.AllocatedBytes);
        }

        Assert.InRange(accepted, 100, pieces);
        Assert.InRange(most, 1, WorstCase);

        // What was refused does not hold up the reader: the hole at the front can be filled, and all that is there read.
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 0, 1));
        long end = aggregator.ContiguousEnd;
        while (aggregator.TakeNext() is { } piece)
        {
            piece.Return();
        }

        Assert.Equal(end, aggregator.NextOffset);
        Clear(aggregator);
    }

    private AcceptOutcome Accept(OffsetAggregator aggregator, int source, long offset, int length)
    {
        Lease lease = _pool.Rent(length);
        lease.Extend(length);
        for (int i = 0; i < length; i++)
        {
            lease.Span[i] = (byte)(offset + i);
        }

        return aggregator.Accept(source, offset, lease).Outcome;
    }

    private void Clear(OffsetAggregator aggregator)
    {
        aggregator.Clear();
        Assert.Equal(0, _pool.Outstanding);
    }
}
