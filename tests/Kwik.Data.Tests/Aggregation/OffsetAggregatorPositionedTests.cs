using System.Text;

namespace Kwik.Data.Tests;

/// <summary>Positioned delivery: pieces leave wherever they lie, and what has left is remembered.</summary>
public sealed class OffsetAggregatorPositionedTests : AggregatorTestBase
{
    [Fact]
    public void TakeAny_PiecesWithHoles_GivesTheLowestFirst()
    {
        OffsetAggregator aggregator = CreatePositioned();
        Assert.Null(TakeAny(aggregator));
        Accept(aggregator, 1, 20, "late");
        Accept(aggregator, 2, 10, "early");

        Assert.True(aggregator.CanTake);
        Assert.Equal((10, "early"), TakeAny(aggregator));
        Assert.Equal((20, "late"), TakeAny(aggregator));
        Assert.Null(TakeAny(aggregator));
        Assert.False(aggregator.CanTake);
        Assert.Equal((0L, 24L, 0L), (aggregator.NextOffset, aggregator.HighestOffset, Pool.Outstanding));
    }

    [Fact]
    public void TakeAny_PieceThatClosesTheFirstHole_MovesNextOffsetOverWhatWasDelivered()
    {
        OffsetAggregator aggregator = CreatePositioned();
        Accept(aggregator, 1, 5, "world");
        Accept(aggregator, 1, 20, "behind");
        TakeAny(aggregator);
        TakeAny(aggregator);
        Assert.Equal((0L, 2), (aggregator.NextOffset, aggregator.Gaps));

        Accept(aggregator, 2, 0, "hello");
        Assert.Equal((0L, 10L), (aggregator.NextOffset, aggregator.ContiguousEnd));
        Assert.Equal((0, "hello"), TakeAny(aggregator));
        Assert.Equal((10L, 1), (aggregator.NextOffset, aggregator.Gaps));
    }

    [Fact]
    public void TakeAny_LowPieceAfterHighOnes_IsFound()
    {
        OffsetAggregator aggregator = CreatePositioned();
        for (int i = 9; i > 0; i--)
        {
            Accept(aggregator, 1, i * 10, "x");
            Assert.Equal((i * 10, "x"), TakeAny(aggregator));
        }

        Accept(aggregator, 1, 95, "y");
        Accept(aggregator, 1, 15, "z");
        Assert.Equal((15, "z"), TakeAny(aggregator));
        Assert.Equal((95, "y"), TakeAny(aggregator));
    }

    [Fact]
    public void TakeAny_AllBytesInAnyOrder_CompletesAndForgetsEverything()
    {
        OffsetAggregator aggregator = CreatePositioned();
        aggregator.TrySetFinalSize(1000);
        int[] order = [.. Enumerable.Range(0, 100)];
        new Random(1).Shuffle(order);
        foreach (int i in order)
        {
            Assert.False(aggregator.IsComplete);
            Accept(aggregator, i % 4, i * 10, "0123456789");
            Assert.Equal((i * 10, "0123456789"), TakeAny(aggregator));
        }

        Assert.True(aggregator.IsComplete);
        Assert.Equal((1000L, 0, 0L, 0L), (aggregator.NextOffset, aggregator.Gaps, aggregator.BufferedBytes, aggregator.DuplicateBytes));
    }

    [Theory]
    [InlineData(ConflictResolution.FirstWins)]
    [InlineData(ConflictResolution.LastWins)]
    [InlineData(ConflictResolution.PrimaryWins)]
    [InlineData(ConflictResolution.Reject)]
    public void Accept_BytesForADeliveredRange_AreDroppedUncompared(ConflictResolution resolution)
    {
        OffsetAggregator aggregator = CreatePositioned(resolution);
        Accept(aggregator, 1, 10, "bytes");
        TakeAny(aggregator);

        Assert.Equal(new AcceptResult(AcceptOutcome.Duplicate), Accept(aggregator, 0, 11, "YTE"));
        Assert.Equal(new AcceptResult(AcceptOutcome.Accepted, 2), Accept(aggregator, 0, 9, "!BYTES!"));
        Assert.Equal((8L, 0L), (aggregator.DuplicateBytes, aggregator.Conflicts));
        Assert.Equal((9, "!"), TakeAny(aggregator));
        Assert.Equal((15, "!"), TakeAny(aggregator));
    }

    [Fact]
    public void Accept_WinnerOverADeliveredRange_ReplacesOnlyWhatIsHeld()
    {
        OffsetAggregator aggregator = CreatePositioned(ConflictResolution.LastWins);
        Accept(aggregator, 1, 10, "bbb");
        TakeAny(aggregator);
        Accept(aggregator, 1, 8, "aa");
        Accept(aggregator, 1, 13, "cc");

        Assert.Equal(new AcceptResult(AcceptOutcome.Conflict, 1, 1), Accept(aggregator, 2, 8, "AABBBCCD"));
        Assert.Equal((8, "AA"), TakeAny(aggregator));
        Assert.Equal((13, "CCD"), TakeAny(aggregator));
    }

    [Fact]
    public void DeliverAnywhere_BetweenInOrderTakes_GoesOnFromThere()
    {
        OffsetAggregator aggregator = Create();
        Accept(aggregator, 1, 0, "first");
        Accept(aggregator, 2, 5, "second");
        Accept(aggregator, 1, 20, "third");
        Assert.Equal("first", TakeText(aggregator));
        Assert.Throws<InvalidOperationException>(() => aggregator.TakeAny(out _));

        aggregator.DeliverAnywhere();
        aggregator.DeliverAnywhere();
        Assert.Throws<InvalidOperationException>(aggregator.TakeNext);
        Assert.Equal((5, "second"), TakeAny(aggregator));
        Assert.Equal(11, aggregator.NextOffset);
        Assert.Equal((20, "third"), TakeAny(aggregator));
    }

    [Fact]
    public void Accept_FarFromTheFirstHole_CountsBytesAndNotDistance()
    {
        OffsetAggregator aggregator = CreatePositioned();
        Assert.Equal(StreamFrame.MaxOffset, aggregator.WindowEnd);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, StreamFrame.MaxOffset - 3, "end").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 10, new byte[Window - 3]).Outcome);
        Assert.Equal(AcceptOutcome.Overflow, Accept(aggregator, 1, 1L << 40, "x").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 0, "x").Outcome);

        Assert.Equal((0, "x"), TakeAny(aggregator));
        Assert.Equal(AcceptOutcome.Overflow, Accept(aggregator, 1, 1L << 40, "x").Outcome);
        TakeAny(aggregator);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 1L << 40, "x").Outcome);
        Clear(aggregator);
    }

    [Fact]
    public void Accept_MoreDeliveredRunsThanMaxGaps_IsOverflowUnlessItJoins()
    {
        OffsetAggregator aggregator = CreatePositioned(maxGaps: 3);
        foreach (int offset in (int[])[10, 20, 30])
        {
            Accept(aggregator, 1, offset, "ab");
            TakeAny(aggregator);
        }

        Assert.Equal(3, aggregator.Gaps);
        Assert.Equal(AcceptOutcome.Overflow, Accept(aggregator, 1, 40, "ab").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 32, "ab").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 0, "ab").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 12, "abcdefgh").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 40, "ab").Outcome);
        Clear(aggregator);
    }

    [Fact]
    public void TrySetFinalSize_BelowADeliveredByte_IsRefused()
    {
        OffsetAggregator aggregator = CreatePositioned();
        Accept(aggregator, 1, 10, "bytes");
        TakeAny(aggregator);
        Assert.False(aggregator.TrySetFinalSize(14));
        Assert.True(aggregator.TrySetFinalSize(15));
        Assert.False(aggregator.IsComplete);
    }

    private OffsetAggregator CreatePositioned(ConflictResolution resolution = ConflictResolution.FirstWins, int maxGaps = 1000)
    {
        OffsetAggregator aggregator = Create(resolution, maxGaps);
        aggregator.DeliverAnywhere();
        return aggregator;
    }

    private static (long Offset, string Text)? TakeAny(OffsetAggregator aggregator)
    {
        if (aggregator.TakeAny(out long offset) is not { } lease)
        {
            return null;
        }

        string text = Encoding.ASCII.GetString(lease.Span);
        lease.Return();
        return (offset, text);
    }
}
