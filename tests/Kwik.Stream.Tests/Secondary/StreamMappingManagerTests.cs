using Kwik.Data;

namespace Kwik.Streams.Tests;

public sealed class StreamMappingManagerTests : IAsyncLifetime
{
    private readonly StreamMappingManager _mappings = new();

    // Its id is 0; requests are for it.
    private readonly RawPeer _peer = new();

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _peer.DisposeAsync();

    [Fact]
    public void TryMap_SeveralSources_IsFoundInBothDirections()
    {
        InboundSecondaryStream a = Map(path: 1, id: 3, streamId: 4);
        InboundSecondaryStream b = Map(path: 2, id: 3, streamId: 4);
        InboundSecondaryStream c = Map(path: 1, id: 7, streamId: 8);

        Assert.Equal((4, 4, 8), (_mappings.FindTarget(a.Id), _mappings.FindTarget(b.Id), _mappings.FindTarget(c.Id)));
        Assert.Equal((4, 4, 8), (a.StreamId, b.StreamId, c.StreamId));
        Assert.Equal([a, b], _mappings.SourcesOf(4));
        Assert.Equal([c], _mappings.SourcesOf(8));
        Assert.Equal([a, b, c], _mappings.Mapped());
        Assert.Equal(0, _mappings.Conflicts);
    }

    [Fact]
    public void FindTarget_NotMapped_IsMinusOne()
    {
        Map(path: 1, id: 3, streamId: 4);
        Assert.Equal(-1, _mappings.FindTarget(new(1, 7)));
        Assert.Equal(-1, _mappings.FindTarget(new(2, 3)));
        Assert.Empty(_mappings.SourcesOf(8));
    }

    [Fact]
    public void TryMap_SameTargetTwice_IsTheSameMapping()
    {
        InboundSecondaryStream source = Map(path: 1, id: 3, streamId: 4);
        Assert.True(_mappings.TryMap(source, 4));
        Assert.Equal(0, _mappings.Conflicts);
        Assert.Equal([source], _mappings.SourcesOf(4));
        Assert.True(_mappings.Unmap(source));
        Assert.Empty(_mappings.Mapped());
        Assert.Empty(_mappings.SourcesOf(4));
    }

    [Fact]
    public void TryMap_AnotherTarget_IsAConflictThatIsCountedAndChangesNothing()
    {
        InboundSecondaryStream source = Map(path: 1, id: 3, streamId: 4);
        Assert.False(_mappings.TryMap(source, 8));
        Assert.False(_mappings.TryMap(source, 0));
        Assert.Equal(2, _mappings.Conflicts);
        Assert.Equal(4, _mappings.FindTarget(source.Id));
        Assert.Equal([source], _mappings.SourcesOf(4));
        Assert.Empty(_mappings.SourcesOf(8));
    }

    [Fact]
    public void Unmap_OneOfSeveral_LeavesTheOthers()
    {
        InboundSecondaryStream a = Map(path: 1, id: 3, streamId: 4);
        InboundSecondaryStream b = Map(path: 1, id: 7, streamId: 4);
        Assert.True(_mappings.Unmap(a));
        Assert.False(_mappings.Unmap(a));
        Assert.False(_mappings.Unmap(Inbound.Create(1, 11)));
        Assert.Equal(-1, _mappings.FindTarget(a.Id));
        Assert.Equal([b], _mappings.SourcesOf(4));
        Assert.Equal([b], _mappings.Mapped());
    }

    [Fact]
    public void RemoveStream_WithSources_EndsItsGrantsOnly()
    {
        InboundSecondaryStream source = Map(path: 1, id: 3, streamId: 4);
        Grant(1, 4, 0, 100);
        Grant(2, 4, 0, 100);
        Grant(2, 8, 0, 100);
        Assert.True(_mappings.RemoveStream(4));
        Assert.False(_mappings.RemoveStream(12));
        Assert.False(_mappings.IsGranted(1, 4, 0, 1));
        Assert.False(_mappings.IsGranted(2, 4, 0, 1));
        Assert.True(_mappings.IsGranted(2, 8, 0, 100));

        // They stay mapped until whoever reads them has ended.
        Assert.Equal([source], _mappings.SourcesOf(4));
        Assert.True(_mappings.Unmap(source));
    }

    [Fact]
    public void TryResolve_Expected_AnswersOnceForItsPathAndRequest()
    {
        StreamMapping mapping = Expect(path: 1, request: 9, offset: 0, length: 10);
        StreamMapping other = Expect(path: 2, request: 9, offset: 10, length: 10);
        Assert.Equal(2, _mappings.Count);

        Assert.False(_mappings.TryResolve(1, 8, out _));
        Assert.False(_mappings.TryResolve(3, 9, out _));
        Assert.True(_mappings.TryResolve(1, 9, out StreamMapping? found));
        Assert.Same(mapping, found);
        Assert.False(_mappings.TryResolve(1, 9, out found));
        Assert.Null(found);
        Assert.Equal(1, _mappings.Count);
        Assert.True(_mappings.TryResolve(2, 9, out found));
        Assert.Same(other, found);
    }

    [Fact]
    public void Forget_Expected_IsResolvedNoMore()
    {
        StreamMapping mapping = Expect(path: 1, request: 9, offset: 0, length: 10);
        Assert.True(_mappings.Forget(mapping));
        Assert.False(_mappings.Forget(mapping));
        Assert.False(_mappings.TryResolve(1, 9, out _));
        Assert.Equal(0, _mappings.Count);
    }

    [Fact]
    public void Forget_Answered_IsFalse()
    {
        StreamMapping mapping = Expect(path: 1, request: 9, offset: 0, length: 10);
        Assert.True(_mappings.TryResolve(1, 9, out _));
        Assert.False(_mappings.Forget(mapping));
    }

    [Fact]
    public void Expect_SameRequestTwice_Throws()
    {
        Expect(path: 1, request: 9, offset: 0, length: 10);
        Assert.Throws<ArgumentException>(() => Expect(path: 1, request: 9, offset: 10, length: 10));
    }

    [Theory]
    [InlineData(99, 4)]
    [InlineData(100, 3)]
    [InlineData(149, 3)]
    [InlineData(150, 2)]
    [InlineData(159, 2)]
    [InlineData(160, 4)]
    [InlineData(199, 4)]
    [InlineData(200, 0)]
    public void FindSource_Byte_IsOfWhoAnswersThenOfWhoWasAskedThenGrantedThenThePrimary(long offset, int path)
    {
        Grant(5, 0, 50, 150);
        Grant(4, 0, 50, 150);
        Expect(path: 2, request: 1, offset: 140, length: 20);
        InboundSecondaryStream answer = Inbound.Create(3, 3);
        answer.Request = new StreamMapping(3, 2, _peer.Stream, 100, 50, new UncheckedReceiver(3, _peer.Stream));
        Assert.True(_mappings.TryMap(answer, _peer.Stream.Id));

        // Pushed bytes may lie anywhere, so that who pushes is found by what was granted.
        Map(path: 6, id: 3, streamId: 0);

        Assert.Equal(path, _mappings.FindSource(0, offset));
        Assert.Equal(0, _mappings.FindSource(4, offset));
    }

    [Fact]
    public void IsGranted_EveryByte_OfThatPathOnly()
    {
        Grant(1, 4, 100, 50);
        Grant(1, 4, 150, 50);
        Assert.True(_mappings.IsGranted(1, 4, 120, 180));
        Assert.False(_mappings.IsGranted(1, 4, 120, 201));
        Assert.False(_mappings.IsGranted(2, 4, 120, 121));
    }

    [Fact]
    public void RevokePath_All_ReturnsWhatItHadOnce()
    {
        Grant(1, 4, 0, 10);
        Grant(1, 4, 20, 10);
        Grant(1, 8, 0, 10);
        Grant(2, 4, 0, 10);
        Assert.Equal([(4L, 0L, 10L), (4L, 20L, 30L), (8L, 0L, 10L)], _mappings.RevokePath(1).Order());
        Assert.Empty(_mappings.RevokePath(1));
        Assert.False(_mappings.IsGranted(1, 8, 0, 1));
        Assert.True(_mappings.IsGranted(2, 4, 0, 10));
    }

    [Fact]
    public void RevokePath_OneStream_LeavesTheOthers()
    {
        Grant(1, 4, 0, 10);
        Grant(1, 8, 0, 10);
        Assert.Equal([(4L, 0L, 10L)], _mappings.RevokePath(1, 4));
        Assert.Empty(_mappings.RevokePath(1, 4));
        Assert.True(_mappings.IsGranted(1, 8, 0, 10));
    }

    [Fact]
    public void TryRevokeAt_ByteInARange_TakesBackThatRangeOnly()
    {
        Grant(1, 4, 0, 10);
        Grant(1, 4, 10, 10);
        Grant(2, 4, 0, 20);
        Assert.False(_mappings.TryRevokeAt(1, 4, 20, out _));
        Assert.False(_mappings.TryRevokeAt(1, 8, 5, out _));
        Assert.True(_mappings.TryRevokeAt(1, 4, 15, out (long Offset, long End) range));
        Assert.Equal((10, 20), range);
        Assert.False(_mappings.TryRevokeAt(1, 4, 15, out _));
        Assert.True(_mappings.IsGranted(1, 4, 0, 10));
        Assert.True(_mappings.IsGranted(2, 4, 0, 20));
    }

    [Fact]
    public void WasGranted_AcrossWhatWasTakenBackAndWhatWasNot_UntilTheStreamCloses()
    {
        Grant(1, 4, 0, 10);
        Grant(1, 4, 10, 10);
        Assert.True(_mappings.TryRevokeAt(1, 4, 5, out _));
        Assert.False(_mappings.IsGranted(1, 4, 0, 20));
        Assert.True(_mappings.WasGranted(1, 4, 0, 20));
        Assert.False(_mappings.WasGranted(1, 4, 0, 21));
        Assert.False(_mappings.WasGranted(2, 4, 0, 1));
        Assert.Equal([(4L, 10L, 20L)], _mappings.RevokePath(1));
        Assert.True(_mappings.WasGranted(1, 4, 0, 20));
        _mappings.RemoveStream(4);
        Assert.False(_mappings.WasGranted(1, 4, 0, 1));
    }

    private InboundSecondaryStream Map(int path, long id, long streamId)
    {
        InboundSecondaryStream source = Inbound.Create(path, id);
        Assert.True(_mappings.TryMap(source, streamId));
        return source;
    }

    private void Grant(int path, long streamId, long offset, long length) =>
        Assert.True(_mappings.TryUpdateGrants(grants => grants.TryAdd(path, streamId, offset, length)));

    private StreamMapping Expect(int path, long request, long offset, long length)
    {
        var mapping = new StreamMapping(path, request, _peer.Stream, offset, length, new UncheckedReceiver(path, _peer.Stream));
        _mappings.Expect(mapping);
        return mapping;
    }
}
