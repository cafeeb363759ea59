namespace Kwik.Data.Tests;

/// <summary>What an aggregator says about holes, sources and pieces that have not come yet.</summary>
public sealed class OffsetAggregatorQueryTests : AggregatorTestBase
{
    [Fact]
    public void FirstHole_NothingKnownBehindNextOffset_IsNull()
    {
        OffsetAggregator aggregator = Create();
        Assert.Null(aggregator.FirstHole);
        Accept(aggregator, 1, 0, "here");
        Assert.Null(aggregator.FirstHole);
        TakeText(aggregator);
        Assert.Null(aggregator.FirstHole);
    }

    [Fact]
    public void FirstHole_BytesBehind_EndsThere()
    {
        OffsetAggregator aggregator = Create();
        aggregator.TrySetFinalSize(100);
        Accept(aggregator, 1, 10, "x");
        Accept(aggregator, 1, 5, "y");
        Assert.Equal((0, 5), aggregator.FirstHole);

        aggregator.DeliverAnywhere();
        aggregator.TakeAny(out _)!.Return();
        Assert.Equal((0, 5), aggregator.FirstHole);
        Accept(aggregator, 1, 0, "01234");
        Assert.Null(aggregator.FirstHole);
        aggregator.TakeAny(out _)!.Return();
        Assert.Equal((6, 10), aggregator.FirstHole);
        Clear(aggregator);
    }

    [Fact]
    public void FirstHole_FinalSizeKnown_EndsThere()
    {
        OffsetAggregator aggregator = Create();
        aggregator.TrySetFinalSize(5);
        Assert.Equal((0, 5), aggregator.FirstHole);
        Accept(aggregator, 1, 0, "bytes");
        TakeText(aggregator);
        Assert.Null(aggregator.FirstHole);
    }

    [Fact]
    public void Missing_TakenHeldAndDelivered_LeavesTheRest()
    {
        OffsetAggregator aggregator = Create();
        Accept(aggregator, 1, 0, "0123");
        TakeText(aggregator);
        aggregator.DeliverAnywhere();
        Accept(aggregator, 1, 10, "delivered.");
        aggregator.TakeAny(out _)!.Return();
        Accept(aggregator, 1, 20, "held");
        Accept(aggregator, 2, 30, "held");

        Assert.Equal([(4, 6), (24, 6), (34, 6)], Missing(aggregator, 0, 40));
        Assert.Equal([(24, 1)], Missing(aggregator, 12, 25));
        Assert.Equal([(26, 2)], Missing(aggregator, 26, 28));
        Assert.Equal([(50, 10)], Missing(aggregator, 50, 60));
        Assert.Empty(Missing(aggregator, 10, 24));
        Assert.Empty(Missing(aggregator, 0, 4));
        Assert.Empty(Missing(aggregator, 60, 50));
        Clear(aggregator);
    }

    [Fact]
    public void SourceOffset_IsBehindTheHighestByteThatItGave()
    {
        OffsetAggregator aggregator = Create(ConflictResolution.Reject);
        Accept(aggregator, 1, 10, "hello");
        Accept(aggregator, 2, 12, "llo");
        Accept(aggregator, 2, 10, "h");
        Accept(aggregator, 3, 10, "HELLO");
        Accept(aggregator, 4, 3 * Window, "far away");
        Accept(aggregator, 5, 20, "");
        Accept(aggregator, 6, 0, "x");
        TakeText(aggregator);
        Accept(aggregator, 7, 0, "x");

        Assert.Equal([15, 15, -1, -1, -1, 1, 1], Enumerable.Range(1, 7).Select(aggregator.SourceOffset));
        Clear(aggregator);
    }

    [Fact]
    public void HighestOffset_IsNeverBelowNextOffset()
    {
        OffsetAggregator aggregator = Create();
        Assert.Equal(0, aggregator.HighestOffset);
        Accept(aggregator, 1, 10, "x");
        Assert.Equal(11, aggregator.HighestOffset);
        Accept(aggregator, 1, 0, "0123456789");
        TakeAllText(aggregator);
        Assert.Equal((11, 11), (aggregator.NextOffset, aggregator.HighestOffset));
    }

    [Fact]
    public void Validate_SaysWhatAcceptWouldAndChangesNothing()
    {
        OffsetAggregator aggregator = Create(maxGaps: 1);
        Accept(aggregator, 1, 10, "x");
        aggregator.TrySetFinalSize(2 * Window);
        AggregatorState before = AggregatorState.Of(aggregator);

        Assert.Equal(AcceptOutcome.Accepted, aggregator.Validate(10, 1));
        Assert.Equal(AcceptOutcome.Accepted, aggregator.Validate(11, 20));
        Assert.Equal(AcceptOutcome.Accepted, aggregator.Validate(0, LeasePool.LargeSize));
        Assert.Equal(AcceptOutcome.Overflow, aggregator.Validate(20, 1));
        Assert.Equal(AcceptOutcome.Overflow, aggregator.Validate(11, Window));
        Assert.Equal(AcceptOutcome.FinalSize, aggregator.Validate(2 * Window, 1));
        Assert.Equal(AcceptOutcome.Overflow, aggregator.Validate(11, StreamFrame.MaxPayloadSize / 16));
        Assert.Equal(AcceptOutcome.FinalSize, aggregator.Validate(11, StreamFrame.MaxPayloadSize));
        Assert.Throws<ArgumentOutOfRangeException>(() => aggregator.Validate(-1, 1));
        Assert.Equal(before, AggregatorState.Of(aggregator));
        Clear(aggregator);
    }

    private static List<(long Offset, long Length)> Missing(OffsetAggregator aggregator, long start, long end)
    {
        List<(long Offset, long Length)> missing = [];
        aggregator.Missing(start, end, missing);
        return missing;
    }
}
