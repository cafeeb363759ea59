namespace Kwik.Data.Tests;

/// <summary>Whose bytes stay, under which name, and what is counted, where sources contradict each other.</summary>
public sealed class OffsetAggregatorConflictTests : AggregatorTestBase
{
    [Fact]
    public void Accept_LastWins_NamesTheWinnerAtTheNextConflict()
    {
        OffsetAggregator aggregator = Create(ConflictResolution.LastWins);
        Accept(aggregator, 1, 0, "hello");

        Assert.Equal(1, Accept(aggregator, 2, 0, "hEllo").OtherSource);
        Assert.Equal(2, Accept(aggregator, 3, 0, "hAllo").OtherSource);
        Assert.Equal("hAllo", TakeAllText(aggregator));
    }

    [Fact]
    public void Accept_PrimaryWins_StaysSoAgainstLaterSecondaries()
    {
        OffsetAggregator aggregator = Create(ConflictResolution.PrimaryWins);
        Accept(aggregator, 1, 0, "hello");
        Accept(aggregator, 0, 0, "hEllo");

        Assert.Equal(new AcceptResult(AcceptOutcome.Conflict, 0, 0), Accept(aggregator, 2, 0, "hallo"));
        Assert.Equal("hEllo", TakeAllText(aggregator));
    }

    [Fact]
    public void Accept_PrimaryThatContradictsItself_KeepsWhatItSaidFirst()
    {
        OffsetAggregator aggregator = Create(ConflictResolution.PrimaryWins);
        Accept(aggregator, 1, 0, "hello, world");
        Accept(aggregator, 0, 0, "HELLO");

        Assert.Equal(new AcceptResult(AcceptOutcome.Conflict, 1, 0), Accept(aggregator, 0, 3, "lo, WORLD!"));
        Assert.Equal("HELLO, WORLD!", TakeAllText(aggregator));
    }

    [Fact]
    public void Accept_WinnerInsideAPiece_TakesOverOnlyWhatItOverlaps()
    {
        OffsetAggregator aggregator = Create(ConflictResolution.LastWins);
        Accept(aggregator, 1, 0, "hello, world");
        Accept(aggregator, 2, 4, "O..W");

        Assert.Equal(1, Accept(aggregator, 3, 0, "H").OtherSource);
        Assert.Equal(2, Accept(aggregator, 3, 7, "w").OtherSource);
        Assert.Equal(1, Accept(aggregator, 3, 11, "D").OtherSource);
        Assert.Equal("HellO..worlD", TakeAllText(aggregator));
        Assert.Equal(0, Pool.Outstanding);
    }

    [Fact]
    public void Accept_WinnerOverPiecesAndHoles_FillsAndReplacesThem()
    {
        OffsetAggregator aggregator = Create(ConflictResolution.LastWins);
        Accept(aggregator, 1, 2, "cd");
        Accept(aggregator, 1, 6, "gh");
        Accept(aggregator, 3, 10, "kl");

        Assert.Equal(new AcceptResult(AcceptOutcome.Conflict, 6, 1), Accept(aggregator, 2, 0, "ABcDEFgHIJK"));
        Assert.Equal((2L, 1L, 12L), (aggregator.DuplicateBytes, aggregator.Conflicts, aggregator.BufferedBytes));
        Assert.Equal("ABcDEFgHIJKl", TakeAllText(aggregator));
        Assert.Equal((0L, 0L), (Pool.Outstanding, aggregator.AllocatedBytes));
    }

    [Theory]
    [InlineData(ConflictResolution.FirstWins, 4)]
    [InlineData(ConflictResolution.LastWins, 4)]
    [InlineData(ConflictResolution.PrimaryWins, 4)]
    [InlineData(ConflictResolution.Reject, 0)]
    public void Accept_ConflictingPiece_CountsItsEqualBytesAsDuplicates(ConflictResolution resolution, long duplicates)
    {
        OffsetAggregator aggregator = Create(resolution);
        Accept(aggregator, 1, 0, "hello");
        Accept(aggregator, 2, 0, "hEllo, world");

        Assert.Equal(duplicates, aggregator.DuplicateBytes);
        Clear(aggregator);
    }
}
