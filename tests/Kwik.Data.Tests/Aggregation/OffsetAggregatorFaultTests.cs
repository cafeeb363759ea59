namespace Kwik.Data.Tests;

/// <summary>What sources may do wrong when their bytes are merged, one story a test.</summary>
public sealed class OffsetAggregatorFaultTests : AggregatorTestBase
{
    private const int Flood = 100_000;

    [Fact]
    public void HoleNeverFilled_InOrder_StaysAHoleAndNothingBehindItIsDelivered()
    {
        OffsetAggregator aggregator = Create();
        aggregator.TrySetFinalSize(Window);
        Accept(aggregator, 1, 0, Truth(0, 100));
        Accept(aggregator, 2, 101, Truth(101, Window));
        Assert.Equal(Truth(0, 100), TakePiece(aggregator, out _));

        Assert.Null(aggregator.TakeNext());
        Assert.Equal((100L, (100, 101), false), (aggregator.NextOffset, aggregator.FirstHole, aggregator.IsComplete));
        Assert.Equal(Window - 101, aggregator.BufferedBytes);
        Accept(aggregator, 3, 99, Truth(99, 102));
        Assert.Equal(Truth(100, Window), TakeAll(aggregator));
        Assert.True(aggregator.IsComplete);
    }

    [Fact]
    public void HoleNeverFilled_PositionedDelivery_StaysAHoleAmongDeliveredBytes()
    {
        OffsetAggregator aggregator = Create();
        aggregator.DeliverAnywhere();
        aggregator.TrySetFinalSize(Window);
        Accept(aggregator, 1, 0, Truth(0, 100));
        Accept(aggregator, 2, 101, Truth(101, Window));
        Assert.Equal(Truth(0, 100), TakePiece(aggregator, out _));
        Assert.Equal(Truth(101, Window), TakePiece(aggregator, out long offset));
        Assert.Equal(101, offset);
        Assert.Null(TakePiece(aggregator, out _));

        Assert.Equal((100L, (100, 101), false), (aggregator.NextOffset, aggregator.FirstHole, aggregator.IsComplete));
        Assert.Equal((1, 0L, 0L), (aggregator.Gaps, aggregator.BufferedBytes, aggregator.AllocatedBytes));
        Accept(aggregator, 3, 99, Truth(99, 102));
        Assert.Equal(Truth(100, 101), TakePiece(aggregator, out offset));
        Assert.Equal(100, offset);

        Assert.True(aggregator.IsComplete);
    }

    [Theory]
    [InlineData(ConflictResolution.FirstWins, false)]
    [InlineData(ConflictResolution.FirstWins, true)]
    [InlineData(ConflictResolution.LastWins, false)]
    [InlineData(ConflictResolution.LastWins, true)]
    [InlineData(ConflictResolution.PrimaryWins, false)]
    [InlineData(ConflictResolution.PrimaryWins, true)]
    [InlineData(ConflictResolution.Reject, false)]
    [InlineData(ConflictResolution.Reject, true)]
    public void ConflictingBytes_FromEverySource_AreResolvedAndNamed(ConflictResolution resolution, bool positioned)
    {
        OffsetAggregator aggregator = Create(resolution);
        if (positioned)
        {
            aggregator.DeliverAnywhere();
        }

        Accept(aggregator, 1, 0, "one");
        AcceptResult two = Accept(aggregator, 2, 0, "TWO");
        AcceptResult primary = Accept(aggregator, 0, 0, "000");
        AcceptResult three = Accept(aggregator, 3, 0, "333");

        AcceptOutcome outcome = resolution == ConflictResolution.Reject ? AcceptOutcome.Rejected : AcceptOutcome.Conflict;
        (int[] others, string kept) = resolution switch
        {
            ConflictResolution.LastWins => (new[] { 1, 2, 0 }, "333"),
            ConflictResolution.PrimaryWins => ([1, 1, 0], "000"),
            _ => ([1, 1, 1], "one"),
        };
        Assert.All([two, primary, three], result => Assert.Equal((outcome, 0), (result.Outcome, result.NewBytes)));
        Assert.Equal(others, new[] { two.OtherSource, primary.OtherSource, three.OtherSource });
        Assert.Equal((3L, 0L), (aggregator.Conflicts, aggregator.DuplicateBytes));
        Assert.Equal(System.Text.Encoding.ASCII.GetBytes(kept), TakeAll(aggregator));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void IdenticalDuplicates_OfEverythingFromFourSources_AreDeliveredOnce(bool positioned)
    {
        OffsetAggregator aggregator = Create(ConflictResolution.Reject);
        if (positioned)
        {
            aggregator.DeliverAnywhere();
        }

        List<byte> delivered = [];
        for (int offset = 0; offset < Window; offset += 1024)
        {
            for (int source = 0; source < 4; source++)
            {
                // The last two come when the bytes have left.
                Accept(aggregator, source, offset, Truth(offset, offset + 1024));
                delivered.AddRange(source == 1 ? TakeAll(aggregator) : []);
            }
        }

        Assert.Equal(Truth(0, Window), delivered.ToArray());
        Assert.Equal((3L * Window, 0L, 0L), (aggregator.DuplicateBytes, aggregator.Conflicts, aggregator.BufferedBytes));
        Assert.Equal(0, Pool.Outstanding);
    }

    [Fact]
    public void OffsetsAtTheEndOfTheNumbers_PositionedDelivery_ComeAndGoWithoutWrapping()
    {
        OffsetAggregator aggregator = Create();
        aggregator.DeliverAnywhere();
        const long End = StreamFrame.MaxOffset;
        Assert.Equal(AcceptOutcome.FinalSize, Accept(aggregator, 1, End, "x").Outcome);
        Assert.Equal(AcceptOutcome.FinalSize, aggregator.Validate(long.MaxValue, int.MaxValue));
        Assert.Equal(AcceptOutcome.Accepted, Accept(aggregator, 1, End - 4, "last").Outcome);
        Assert.True(aggregator.TrySetFinalSize(End));
        Assert.False(aggregator.TrySetFinalSize(End + 1));

        Assert.Equal("last"u8.ToArray(), TakePiece(aggregator, out long offset));
        Assert.Equal(End - 4, offset);

        Assert.Equal(AcceptOutcome.Duplicate, Accept(aggregator, 2, End - 4, "LAST").Outcome);
        Assert.Equal((0, End - 4), aggregator.FirstHole);
        List<(long Offset, long Length)> missing = [];
        aggregator.Missing(End - 10, long.MaxValue, missing);
        Assert.Equal([(End - 10, 6), (End, long.MaxValue - End)], missing);
        Assert.Equal((End, End), (aggregator.HighestOffset, aggregator.SourceOffset(2)));
    }

    [Fact]
    public void TwoFins_TheFirstStands()
    {
        OffsetAggregator aggregator = Create();
        Accept(aggregator, 1, 0, "byte");
        Assert.True(aggregator.TrySetFinalSize(5));
        Assert.False(aggregator.TrySetFinalSize(4));
        Assert.False(aggregator.TrySetFinalSize(6));
        Assert.True(aggregator.TrySetFinalSize(5));

        Assert.Equal("byte", TakeAllText(aggregator));
        Assert.False(aggregator.IsComplete);
        Accept(aggregator, 2, 4, "s");
        Assert.Equal("s", TakeAllText(aggregator));
        Assert.True(aggregator.IsComplete);
        Assert.False(aggregator.TrySetFinalSize(6));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void DataPastFin_FromAnySource_IsRefusedWhole(bool positioned)
    {
        OffsetAggregator aggregator = Create();
        if (positioned)
        {
            aggregator.DeliverAnywhere();
        }

        aggregator.TrySetFinalSize(5);
        for (int source = 0; source < 4; source++)
        {
            Assert.Equal(new AcceptResult(AcceptOutcome.FinalSize), Accept(aggregator, source, 3, "es!"));
            Assert.Equal(new AcceptResult(AcceptOutcome.FinalSize), Accept(aggregator, source, 6, ""));
            Assert.Equal(-1, aggregator.SourceOffset(source));
        }

        Accept(aggregator, 1, 0, "bytes");
        Assert.Equal("bytes"u8.ToArray(), TakeAll(aggregator));
        Assert.True(aggregator.IsComplete);
        Assert.Equal(AcceptOutcome.FinalSize, Accept(aggregator, 1, 5, "!").Outcome);
    }

    [Fact]
    public void OneBytePiecesAtAlternateOffsets_HeldForAPositionedReader_AreBoundedByMaxGaps()
    {
        OffsetAggregator aggregator = Create();
        aggregator.DeliverAnywhere();
        int accepted = 0;
        for (int i = 0; i < Flood; i++)
        {
            accepted += Accept(aggregator, 1, 1 + (2L * i), "x").Outcome == AcceptOutcome.Accepted ? 1 : 0;
        }

        Assert.Equal((1000, 1000), (accepted, aggregator.Gaps));
        Assert.Equal(1000L * LeasePool.SmallSize, aggregator.AllocatedBytes);
        Clear(aggregator);
    }

    [Fact]
    public void OneBytePiecesAtAlternateOffsets_DeliveredAtOnce_AreBoundedByMaxGaps()
    {
        OffsetAggregator aggregator = Create();
        aggregator.DeliverAnywhere();
        int delivered = 0;
        for (int i = 0; i < Flood; i++)
        {
            Accept(aggregator, 1, 1 + (2L * i), "x");
            delivered += TakeAll(aggregator).Length;
        }

        Assert.Equal((1000, 1000), (delivered, aggregator.Gaps));
        Assert.Equal((0L, 0L), (aggregator.AllocatedBytes, Pool.Outstanding));

        // Closing the holes makes the ranges one, and then none.
        for (int i = 999; i >= 0; i--)
        {
            Accept(aggregator, 2, 2 * i, "y");
            TakeAll(aggregator);
        }

        Assert.Equal((2000L, 0), (aggregator.NextOffset, aggregator.Gaps));
    }

    [Fact]
    public void EmptyPieces_InAFloodAtAnyOffset_LeaveNothingBehind()
    {
        OffsetAggregator aggregator = Create();
        aggregator.DeliverAnywhere();
        Accept(aggregator, 1, 10, "x");
        TakeAll(aggregator);
        Accept(aggregator, 1, 20, "y");
        AggregatorState before = AggregatorState.Of(aggregator);
        for (int i = 0; i < Flood; i++)
        {
            Assert.Equal(new AcceptResult(AcceptOutcome.Accepted), Accept(aggregator, 2 + (i % 4), i * 7919L, ""));
        }

        Assert.Equal(before, AggregatorState.Of(aggregator));
        Assert.Equal((-1L, 1L), (aggregator.SourceOffset(2), Pool.Outstanding));
        Clear(aggregator);
    }

    private static byte[] Truth(int start, int end) => [.. Enumerable.Range(start, end - start).Select(i => (byte)((i * 31) + (i / 251)))];

    private static byte[]? TakePiece(OffsetAggregator aggregator, out long offset)
    {
        offset = aggregator.NextOffset;
        Lease? lease = aggregator.IsPositioned ? aggregator.TakeAny(out offset) : aggregator.TakeNext();
        byte[]? bytes = lease?.Span.ToArray();
        lease?.Return();
        return bytes;
    }

    private static byte[] TakeAll(OffsetAggregator aggregator)
    {
        List<byte> all = [];
        while (TakePiece(aggregator, out _) is { } piece)
        {
            all.AddRange(piece);
        }

        return [.. all];
    }
}
