namespace Kwik.Data.Tests;

/// <summary>One rule of the contract a test; <see cref="OffsetAggregatorModelTests"/> has the combinations.</summary>
public sealed class OffsetAggregatorTests : AggregatorTestBase
{
    [Fact]
    public void New_IsEmptyAndEndless()
    {
        OffsetAggregator aggregator = Create();

        Assert.Equal(new AggregatorState(0, 0, 0, null, false, false, 0, null, 0, 0, 0, 0), AggregatorState.Of(aggregator));
        Assert.Equal(Window, aggregator.WindowEnd);
        Assert.Null(aggregator.TakeNext());
    }

    [Fact]
    public void Accept_IdenticalDuplicate_IsCountedAndDropped()
    {
        OffsetAggregator aggregator = Create();
        Assert.Equal(new AcceptResult(AcceptOutcome.Accepted, 5), Accept(aggregator, 1, 10, "hello"));

        Assert.Equal(new AcceptResult(AcceptOutcome.Duplicate), Accept(aggregator, 2, 10, "hello"));
        Assert.Equal(new AcceptResult(AcceptOutcome.Duplicate), Accept(aggregator, 1, 11, "ell"));
        Assert.Equal((8L, 0L, 5L), (aggregator.DuplicateBytes, aggregator.Conflicts, aggregator.BufferedBytes));
        Assert.Equal(1, Pool.Outstanding);
        Clear(aggregator);
    }

    [Theory]
    [InlineData(ConflictResolution.FirstWins, 0, "hello")]
    [InlineData(ConflictResolution.FirstWins, 2, "hello")]
    [InlineData(ConflictResolution.LastWins, 0, "hEllo")]
    [InlineData(ConflictResolution.LastWins, 2, "hEllo")]
    [InlineData(ConflictResolution.PrimaryWins, 0, "hEllo")]
    [InlineData(ConflictResolution.PrimaryWins, 2, "hello")]
    [InlineData(ConflictResolution.Reject, 0, "hello")]
    [InlineData(ConflictResolution.Reject, 2, "hello")]
    public void Accept_ConflictingBytes_AreResolvedAsTheOptionsSay(ConflictResolution resolution, int source, string kept)
    {
        OffsetAggregator aggregator = Create(resolution);
        Accept(aggregator, 1, 0, "hello");
        AcceptResult result = Accept(aggregator, source, 0, "hEllo");

        Assert.Equal(resolution == ConflictResolution.Reject ? AcceptOutcome.Rejected : AcceptOutcome.Conflict, result.Outcome);
        Assert.Equal(1, result.OtherSource);
        Assert.Equal(1, aggregator.Conflicts);
        Assert.Equal(kept, TakeText(aggregator));
        Clear(aggregator);
    }

    [Fact]
    public void Accept_SecondaryAgainstThePrimary_LosesWhenThePrimaryWins()
    {
        OffsetAggregator aggregator = Create(ConflictResolution.PrimaryWins);
        Accept(aggregator, 0, 0, "hello");

        Assert.Equal(new AcceptResult(AcceptOutcome.Conflict, 3, 0), Accept(aggregator, 1, 0, "HELLO..."));
        Assert.Equal("hello...", TakeAllText(aggregator));
        Clear(aggregator);
    }

    [Fact]
    public void Accept_RejectedPiece_ChangesNothingEvenWhereItWasNew()
    {
        OffsetAggregator aggregator = Create(ConflictResolution.Reject);
        Accept(aggregator, 1, 4, "body");
        AggregatorState before = AggregatorState.Of(aggregator);

        Assert.Equal(new AcceptResult(AcceptOutcome.Rejected, 0, 1), Accept(aggregator, 2, 0, "the bodY, more"));
        Assert.Equal(before with { Conflicts = 1 }, AggregatorState.Of(aggregator));
        Accept(aggregator, 2, 0, "the ");
        Assert.Equal("the body", TakeAllText(aggregator));
        Clear(aggregator);
    }

    [Theory]
    [InlineData(ConflictResolution.FirstWins)]
    [InlineData(ConflictResolution.LastWins)]
    [InlineData(ConflictResolution.PrimaryWins)]
    [InlineData(ConflictResolution.Reject)]
    public void Accept_OtherBytesForWhatWasRead_ChangeNothing(ConflictResolution resolution)
    {
        OffsetAggregator aggregator = Create(resolution);
        Accept(aggregator, 1, 0, "read");
        Lease read = aggregator.TakeNext()!;

        Assert.Equal(new AcceptResult(AcceptOutcome.Duplicate), Accept(aggregator, 0, 0, "READ"));
        Assert.Equal(new AcceptResult(AcceptOutcome.Accepted, 2), Accept(aggregator, 0, 2, "AD.."));
        Assert.Equal("read", System.Text.Encoding.ASCII.GetString(read.Span));
        Assert.Equal("..", TakeText(aggregator));
        read.Return();
        Clear(aggregator);
    }

    [Fact]
    public void Accept_PieceThatTheReaderHolds_IsNeverExtendedInPlace()
    {
        OffsetAggregator aggregator = Create();
        Accept(aggregator, 1, 0, "abc");
        Lease held = aggregator.TakeNext()!;
        Accept(aggregator, 1, 3, "def");

        Assert.Equal(3, held.Length);
        Assert.Equal("def", TakeText(aggregator));
        held.Return();
        Clear(aggregator);
    }

    [Fact]
    public void Accept_BehindTheWindow_IsOverflowUntilTheReaderMoves()
    {
        OffsetAggregator aggregator = Create();
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, Window - 3, "end").Outcome);
        Assert.Equal(AcceptOutcome.Overflow, Accept(aggregator, 1, Window - 2, "end").Outcome);
        Assert.Equal(AcceptOutcome.Overflow, Accept(aggregator, 1, Window, "x").Outcome);
        Assert.Equal(3, aggregator.BufferedBytes);

        Accept(aggregator, 1, 0, "x");
        TakeText(aggregator);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, Window, "x").Outcome);
        Clear(aggregator);
    }

    [Fact]
    public void Accept_PieceAtNextOffset_AlwaysGetsIn()
    {
        OffsetAggregator aggregator = Create(maxGaps: 1);
        for (int offset = 1; offset < Window; offset += 1024)
        {
            Accept(aggregator, 1, offset, new byte[Math.Min(1024, Window - offset)]);
        }

        // Full, its one hole open, and the block reaches behind the window.
        Assert.Equal(Window - 1, aggregator.BufferedBytes);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 2, 0, new byte[LeasePool.LargeSize]).Outcome);
        Assert.Equal(LeasePool.LargeSize, aggregator.ContiguousEnd);
        Clear(aggregator);
    }

    [Fact]
    public void Accept_DuplicateInAFullWindow_IsNoOverflow()
    {
        OffsetAggregator aggregator = Create();
        Accept(aggregator, 1, 1, new byte[Window - 1]);

        Assert.Equal(AcceptOutcome.Duplicate, Accept(aggregator, 2, 1, new byte[1000]).Outcome);
        Clear(aggregator);
    }

    [Fact]
    public void Accept_MoreHolesThanMaxGaps_IsOverflowUnlessItJoins()
    {
        OffsetAggregator aggregator = Create(maxGaps: 3);
        foreach (int offset in (int[])[10, 20, 30])
        {
            Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, offset, "ab").Outcome);
        }

        Assert.Equal(3, aggregator.Gaps);
        Assert.Equal(AcceptOutcome.Overflow, Accept(aggregator, 1, 40, "ab").Outcome);
        Assert.Equal(AcceptOutcome.Overflow, Accept(aggregator, 1, 15, "ab").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 32, "ab").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 8, "ab").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 12, "abcdefgh").Outcome);
        Assert.Equal(2, aggregator.Gaps);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 40, "ab").Outcome);
        Clear(aggregator);
    }

    [Fact]
    public void Accept_OffsetsAtTheEndOfTheNumbers_AreRefusedWithoutWrapping()
    {
        OffsetAggregator aggregator = Create();
        Assert.Equal(AcceptOutcome.FinalSize, Accept(aggregator, 1, StreamFrame.MaxOffset, "x").Outcome);
        Assert.Equal(AcceptOutcome.FinalSize, Accept(aggregator, 1, StreamFrame.MaxOffset - 1, "xy").Outcome);
        Assert.Equal(AcceptOutcome.FinalSize, Accept(aggregator, 1, long.MaxValue, "x").Outcome);
        Assert.Equal(AcceptOutcome.FinalSize, Accept(aggregator, 1, long.MaxValue, "").Outcome);
        Assert.Equal(AcceptOutcome.Overflow, Accept(aggregator, 1, StreamFrame.MaxOffset - 1, "x").Outcome);
        Assert.Equal(0, Pool.Outstanding);
    }

    [Fact]
    public void TrySetFinalSize_Twice_MustBeTheSame()
    {
        OffsetAggregator aggregator = Create();
        Assert.True(aggregator.TrySetFinalSize(10));
        Assert.True(aggregator.TrySetFinalSize(10));
        Assert.False(aggregator.TrySetFinalSize(11));
        Assert.False(aggregator.TrySetFinalSize(9));
        Assert.Equal(10, aggregator.FinalSize);
    }

    [Theory]
    [InlineData(-1, false)]
    [InlineData(long.MinValue, false)]
    [InlineData(14, false)]
    [InlineData(15, true)]
    [InlineData(StreamFrame.MaxOffset, true)]
    [InlineData(StreamFrame.MaxOffset + 1, false)]
    [InlineData(long.MaxValue, false)]
    public void TrySetFinalSize_AgainstBytesThatAreHere_MustCoverThem(long size, bool possible)
    {
        OffsetAggregator aggregator = Create();
        Accept(aggregator, 1, 10, "bytes");

        Assert.Equal(possible, aggregator.TrySetFinalSize(size));
        Assert.Equal(possible ? size : null, aggregator.FinalSize);
        Clear(aggregator);
    }

    [Fact]
    public void TrySetFinalSize_BelowWhatWasTaken_IsRefused()
    {
        OffsetAggregator aggregator = Create();
        Accept(aggregator, 1, 0, "bytes");
        TakeText(aggregator);

        Assert.False(aggregator.TrySetFinalSize(4));
        Assert.True(aggregator.TrySetFinalSize(5));
        Assert.True(aggregator.IsComplete);
    }

    [Fact]
    public void Accept_BeyondTheFinalSize_IsRefused()
    {
        OffsetAggregator aggregator = Create();
        aggregator.TrySetFinalSize(5);

        Assert.Equal(AcceptOutcome.FinalSize, Accept(aggregator, 1, 0, "bytes!").Outcome);
        Assert.Equal(AcceptOutcome.FinalSize, Accept(aggregator, 1, 5, "!").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 5, "").Outcome);
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, 0, "bytes").Outcome);
        Assert.False(aggregator.IsComplete);
        Assert.Equal("bytes", TakeText(aggregator));
        Assert.True(aggregator.IsComplete);
    }

    [Fact]
    public void TrySetFinalSize_OfAnEmptyStream_CompletesIt()
    {
        OffsetAggregator aggregator = Create();
        Assert.False(aggregator.IsComplete);
        Assert.True(aggregator.TrySetFinalSize(0));
        Assert.True(aggregator.IsComplete);
    }

    [Fact]
    public void Accept_FloodOfEmptyPieces_KeepsNothing()
    {
        OffsetAggregator aggregator = Create();
        Accept(aggregator, 1, 10, "x");
        AggregatorState before = AggregatorState.Of(aggregator);
        for (int i = 0; i < 100_000; i++)
        {
            Assert.Equal(new AcceptResult(AcceptOutcome.Accepted), Accept(aggregator, i % 4, i % 30, ""));
        }

        Assert.Equal(before, AggregatorState.Of(aggregator));
        Assert.Equal(1, Pool.Outstanding);
        Clear(aggregator);
    }

    [Fact]
    public void Clear_WithPiecesHeld_ReturnsEveryLease()
    {
        OffsetAggregator aggregator = Create();
        for (int i = 0; i < 100; i++)
        {
            Accept(aggregator, 1, 5 + (i * 3), "xy");
        }

        Lease? none = aggregator.TakeNext();
        Assert.Null(none);
        aggregator.Clear();
        aggregator.Clear();
        Assert.Equal((0, 0L, 0L, 0), (Pool.Outstanding, aggregator.BufferedBytes, aggregator.AllocatedBytes, aggregator.Gaps));
    }
}
