using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class MultiSourceOffsetManagerTests : IAsyncLifetime
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);
    private static readonly TimeSpan Reorder = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Aggregation = TimeSpan.FromSeconds(30);

    // Whom Ask asks.
    private const int Source = 1;

    private readonly RawPeer _peer = new();
    private readonly ManualTime _time = new();
    private readonly MultiSourceOffsetManager _offsets;

    public MultiSourceOffsetManagerTests()
    {
        _offsets = new(new RecoveryOptions { ReorderTimeout = Reorder, AggregationTimeout = Aggregation }, _time);
    }

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _peer.DisposeAsync();

    [Fact]
    public void Inspect_NoHole_NothingIsEverDue()
    {
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        Place(0, 100);
        AssertDue(HoleStep.None, after: TimeSpan.FromHours(1));
        AssertDue(HoleStep.None, after: TimeSpan.FromHours(1));
        Assert.False(_offsets.Answered(0, Source, 0, comes: false));
    }

    [Fact]
    public void Inspect_HoleOlderThanReorderTimeout_IsAskedAboutOnce()
    {
        Place(100, 10);
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        AssertDue(HoleStep.None, after: Reorder - Tick);
        AssertDue(HoleStep.Synchronise, after: Tick, new Hole(0, 100));
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        AssertDue(HoleStep.None, after: Reorder);
    }

    [Fact]
    public void Inspect_HoleThatIsSeenLate_IsAsYoungAsItsFirstSight()
    {
        Place(100, 10);
        AssertDue(HoleStep.None, after: TimeSpan.FromHours(1));
        AssertDue(HoleStep.None, after: Reorder - Tick);
        AssertDue(HoleStep.Synchronise, after: Tick, new Hole(0, 100));
    }

    [Fact]
    public void Inspect_NobodyAnswers_IsUnansweredAfterAggregationTimeout()
    {
        Ask();
        AssertDue(HoleStep.None, after: Aggregation - Reorder - Tick);
        AssertDue(HoleStep.Unanswered, after: Tick, new Hole(0, 100));
    }

    [Fact]
    public void Inspect_SourceSaysItComes_IsOverdueAfterAggregationTimeout()
    {
        Ask();
        Assert.True(_offsets.Answered(0, Source, 0, comes: true));
        AssertDue(HoleStep.None, after: Aggregation - Reorder - Tick);
        AssertDue(HoleStep.Overdue, after: Tick, new Hole(0, 100));
    }

    [Fact]
    public void Inspect_SourceSaysItDoesNotCome_IsOverdueAtOnce()
    {
        Ask();
        Assert.True(_offsets.Answered(0, Source, 0, comes: false));
        AssertDue(HoleStep.Overdue, after: TimeSpan.Zero, new Hole(0, 100));
    }

    [Fact]
    public void Inspect_NotTreated_SaysSoAgain()
    {
        Ask();
        Assert.True(_offsets.Answered(0, Source, 0, comes: false));
        AssertDue(HoleStep.Overdue, after: TimeSpan.Zero, new Hole(0, 100));
        AssertDue(HoleStep.Overdue, after: TimeSpan.Zero, new Hole(0, 100));
    }

    [Fact]
    public void Answered_NobodyAsked_IsFalseAndChangesNothing()
    {
        Assert.False(_offsets.Answered(0, Source, 0, comes: false));
        Place(100, 10);
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        Assert.False(_offsets.Answered(0, Source, 0, comes: false));
        AssertDue(HoleStep.Synchronise, after: Reorder, new Hole(0, 100));
        Assert.False(_offsets.Answered(4, Source, 0, comes: false));
        AssertDue(HoleStep.None, after: Tick);
    }

    [Fact]
    public void Answered_ForAnotherOffset_ChangesNothing()
    {
        Ask();
        Assert.True(_offsets.Answered(0, Source, 1, comes: false));
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        AssertDue(HoleStep.Unanswered, after: Aggregation, new Hole(0, 100));
    }

    [Fact]
    public void Answered_ByAPathThatWasNotAsked_IsFalseAndChangesNothing()
    {
        Ask();
        Assert.False(_offsets.Answered(0, Source + 1, 0, comes: false));
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        Assert.True(_offsets.Answered(0, Source, 0, comes: false));
        AssertDue(HoleStep.Overdue, after: TimeSpan.Zero, new Hole(0, 100));
    }

    [Fact]
    public void Answered_Twice_TheFirstAnswerStays()
    {
        Ask();
        Assert.True(_offsets.Answered(0, Source, 0, comes: true));
        Assert.True(_offsets.Answered(0, Source, 0, comes: false));
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        AssertDue(HoleStep.Overdue, after: Aggregation, new Hole(0, 100));
    }

    [Fact]
    public void Treated_Hole_IsYoungAgain()
    {
        Ask();
        AssertDue(HoleStep.Unanswered, after: Aggregation, new Hole(0, 100));
        _offsets.Treated(0);
        Assert.False(_offsets.Answered(0, Source, 0, comes: false));
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        AssertDue(HoleStep.None, after: Reorder - Tick);
        AssertDue(HoleStep.Synchronise, after: Tick, new Hole(0, 100));
        AssertDue(HoleStep.Unanswered, after: Aggregation, new Hole(0, 100));
    }

    [Fact]
    public async Task Inspect_ReaderMovedToAnotherHole_StartsItsClockAnew()
    {
        Ask();
        Place(0, 50);
        await _peer.Stream.ReadAsync(50);
        AssertDue(HoleStep.None, after: Aggregation);
        Assert.False(_offsets.Answered(0, Source, 0, comes: false));
        AssertDue(HoleStep.None, after: Reorder - Tick);
        AssertDue(HoleStep.Synchronise, after: Tick, new Hole(50, 100));
    }

    [Fact]
    public void Inspect_HoleFilledFromBehind_KeepsItsClockAndTellsWhatIsLeft()
    {
        Place(100, 10);
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        Place(60, 40);
        AssertDue(HoleStep.Synchronise, after: Reorder, new Hole(0, 60));
        Place(20, 10);
        AssertDue(HoleStep.Unanswered, after: Aggregation, new Hole(0, 20));
    }

    [Fact]
    public async Task Inspect_HoleFilled_IsForgotten()
    {
        Ask();
        Place(0, 100);
        await _peer.Stream.ReadAsync(110);
        AssertDue(HoleStep.None, after: Aggregation);
        Assert.False(_offsets.Answered(0, Source, 0, comes: false));
    }

    [Fact]
    public async Task Inspect_EndKnownAndNothingBehind_IsAHoleUpToTheEnd()
    {
        Place(0, 10);
        Assert.True(_peer.Stream.Incoming.TrySetFinalSize(100));
        AssertDue(HoleStep.None, after: TimeSpan.Zero);

        // The clock starts when the reader has come to the hole.
        AssertDue(HoleStep.None, after: Aggregation);
        await _peer.Stream.ReadAsync(10);
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        AssertDue(HoleStep.Synchronise, after: Reorder, new Hole(10, 100));
        Place(10, 90);
        AssertDue(HoleStep.None, after: Aggregation);
    }

    [Fact]
    public async Task Inspect_StreamThatFailed_NothingIsDue()
    {
        Ask();
        _peer.Stream.Abort(KwikError.Cancelled);
        AssertDue(HoleStep.None, after: Aggregation);
        Assert.False(_offsets.Answered(0, Source, 0, comes: false));
        Assert.Equal(KwikError.Cancelled, (await _peer.Stream.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task Inspect_StreamThatWasClosed_NothingIsDueAndNothingKept()
    {
        Ask();
        await _peer.Stream.DisposeAsync().WithinAsync();
        AssertDue(HoleStep.None, after: Aggregation);
        Assert.False(_offsets.Answered(0, Source, 0, comes: false));
    }

    [Fact]
    public void Forget_Stream_BeginsAnewForItAndNoOther()
    {
        Ask();
        _offsets.Forget(4);
        Assert.True(_offsets.Answered(0, Source, 0, comes: true));
        _offsets.Forget(0);
        Assert.False(_offsets.Answered(0, Source, 0, comes: true));
    }

    [Fact]
    public async Task GetNextExpectedOffset_IsWhatTheReaderGetsNext()
    {
        Assert.Equal(0, MultiSourceOffsetManager.GetNextExpectedOffset(_peer.Stream));
        Place(0, 100);
        Assert.Equal(0, MultiSourceOffsetManager.GetNextExpectedOffset(_peer.Stream));
        await _peer.Stream.ReadAsync(100);
        Assert.Equal(100, MultiSourceOffsetManager.GetNextExpectedOffset(_peer.Stream));
        Place(200, 100);
        Assert.Equal(100, MultiSourceOffsetManager.GetNextExpectedOffset(_peer.Stream));
    }

    [Fact]
    public void GetSourceOffset_EachPath_IsBehindItsHighestByte()
    {
        Assert.Equal(-1, MultiSourceOffsetManager.GetSourceOffset(_peer.Stream, 1));
        _peer.Place(1, 100, new byte[10]);
        _peer.Place(1, 50, new byte[10]);
        _peer.Place(2, 0, new byte[10]);
        Assert.Equal(110, MultiSourceOffsetManager.GetSourceOffset(_peer.Stream, 1));
        Assert.Equal(10, MultiSourceOffsetManager.GetSourceOffset(_peer.Stream, 2));
        Assert.Equal(-1, MultiSourceOffsetManager.GetSourceOffset(_peer.Stream, 3));
    }

    [Theory]
    [InlineData(0, 100, KwikError.None)]
    [InlineData(65_436, 100, KwikError.None)]
    [InlineData(65_437, 100, KwikError.SecondaryStreamOverflow)]
    [InlineData(99_900, 100, KwikError.SecondaryStreamOverflow)]
    [InlineData(99_901, 100, KwikError.FinalSize)]
    [InlineData(StreamFrame.MaxOffset - 100, 100, KwikError.FinalSize)]
    public async Task ValidateOffset_Piece_IsToldFromOneBeyondTheWindowOrTheEnd(long offset, int length, KwikError expected)
    {
        await using var peer = new RawPeer(new AggregatorOptions { MaxPendingBytes = 65_536 });
        Assert.True(peer.Stream.Incoming.TrySetFinalSize(100_000));
        Assert.Equal(expected, MultiSourceOffsetManager.ValidateOffset(peer.Stream, offset, length));
    }

    /// <summary>Lets a hole of 100 bytes at the start be asked about.</summary>
    [Fact]
    public void IsExcused_OnceForEachHoleOfAStreamThatGaveWay()
    {
        Assert.False(_offsets.IsExcused(4, 100));
        _offsets.Excuse(4);
        Assert.True(_offsets.IsExcused(4, 100));
        Assert.False(_offsets.IsExcused(4, 100));
        Assert.True(_offsets.IsExcused(4, 200));
        Assert.False(_offsets.IsExcused(8, 200));
        _offsets.Forget(4);
        Assert.False(_offsets.IsExcused(4, 300));
    }

    private void Ask()
    {
        Place(100, 10);
        AssertDue(HoleStep.None, after: TimeSpan.Zero);
        AssertDue(HoleStep.Synchronise, after: Reorder, new Hole(0, 100));
        _offsets.Asked(0, Source);
    }

    private void Place(long offset, int length) => _peer.Place(1, offset, new byte[length]);

    private void AssertDue(HoleStep step, TimeSpan after, Hole? where = null)
    {
        _time.Advance(after);
        Assert.Equal(step, _offsets.Inspect(_peer.Stream, out Hole hole));
        Assert.True(where is null || where == hole, $"{hole}");
    }
}
