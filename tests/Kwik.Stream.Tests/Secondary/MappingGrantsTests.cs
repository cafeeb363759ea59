using Kwik.Data;

namespace Kwik.Streams.Tests;

public sealed class MappingGrantsTests
{
    private readonly MappingGrants _grants = new();

    [Theory]
    [InlineData(0, 0)]
    [InlineData(0, -1)]
    [InlineData(-1, 1)]
    [InlineData(StreamFrame.MaxOffset, 1)]
    [InlineData(1, StreamFrame.MaxOffset)]
    [InlineData(1, long.MaxValue)]
    [InlineData(long.MaxValue, 1)]
    [InlineData(long.MaxValue, long.MaxValue)]
    public void TryAdd_EmptyOrOutsideTheOffsets_IsRefused(long offset, long length)
    {
        Assert.False(_grants.TryAdd(1, 4, offset, length));
        Assert.Empty(_grants.OfPath(1));
    }

    [Theory]
    [InlineData(0, StreamFrame.MaxOffset)]
    [InlineData(StreamFrame.MaxOffset - 1, 1)]
    [InlineData(0, 1)]
    public void TryAdd_EdgeOfTheOffsets_IsGranted(long offset, long length)
    {
        Assert.True(_grants.TryAdd(1, 4, offset, length));
        Assert.Equal([(4L, offset, offset + length)], _grants.OfPath(1));
        Assert.True(_grants.Cover(1, 4, offset, offset + length));
    }

    [Theory]
    [InlineData(100, 50)]
    [InlineData(90, 11)]
    [InlineData(149, 1)]
    [InlineData(149, 50)]
    [InlineData(120, 10)]
    [InlineData(0, 1000)]
    [InlineData(90, 60)]
    [InlineData(100, 100)]
    public void TryAdd_Overlapping_IsRefusedAndChangesNothing(long offset, long length)
    {
        Assert.True(_grants.TryAdd(1, 4, 100, 50));
        Assert.False(_grants.TryAdd(1, 4, offset, length));
        Assert.Equal([(4L, 100L, 150L)], _grants.OfPath(1));
    }

    [Theory]
    [InlineData(90, 10)]
    [InlineData(150, 10)]
    public void TryAdd_Touching_IsARangeOfItsOwn(long offset, long length)
    {
        Assert.True(_grants.TryAdd(1, 4, 100, 50));
        Assert.True(_grants.TryAdd(1, 4, offset, length));
        Assert.Equal(2, _grants.OfPath(1).Count);
        Assert.True(_grants.Cover(1, 4, Math.Min(offset, 100), Math.Max(offset + length, 150)));
    }

    [Fact]
    public void TryAdd_SameRangeOfAnotherPathOrStream_IsGranted()
    {
        Assert.True(_grants.TryAdd(1, 4, 100, 50));
        Assert.True(_grants.TryAdd(2, 4, 120, 50));
        Assert.True(_grants.TryAdd(1, 8, 120, 50));
        Assert.Equal([(4L, 100L, 150L), (8L, 120L, 170L)], _grants.OfPath(1));
        Assert.Equal([(4L, 120L, 170L)], _grants.OfPath(2));
        Assert.Empty(_grants.OfPath(3));
    }

    [Fact]
    public void TryAdd_OneMoreThanAPathMayHaveInAStream_IsRefusedUntilOneIsRemoved()
    {
        for (int i = 0; i < MappingGrants.MaxRanges; i++)
        {
            Assert.True(_grants.TryAdd(1, 4, 2 * i, 1));
        }

        Assert.Equal(1024, MappingGrants.MaxRanges);
        Assert.False(_grants.TryAdd(1, 4, 1_000_000, 1));
        Assert.True(_grants.TryAdd(1, 8, 1_000_000, 1));
        Assert.True(_grants.TryAdd(2, 4, 1_000_000, 1));

        Assert.True(_grants.Remove(1, 4, 0));
        Assert.True(_grants.TryAdd(1, 4, 1_000_000, 1));
        Assert.False(_grants.TryAdd(1, 4, 2_000_000, 1));
    }

    [Fact]
    public void TryAdd_OneMoreThanThereMayBeInAll_IsRefusedUntilThereIsRoom()
    {
        const int Streams = 64;
        Assert.Equal(65536, MappingGrants.MaxTotal);
        for (int i = 0; i < MappingGrants.MaxTotal; i++)
        {
            Assert.True(_grants.TryAdd(1, i % Streams, 2 * i, 1));
        }

        Assert.False(_grants.TryAdd(2, 1000, 0, 1));

        // What was refused takes no room; each of these gives back exactly what it took.
        Assert.True(_grants.Remove(1, 5, 10));
        AssertRoomFor(1, path: 2);
        _grants.RemoveStream(7);
        AssertRoomFor(MappingGrants.MaxTotal / Streams, path: 3);
        _grants.RemoveStream(7);
        Assert.False(_grants.Remove(1, 5, 10));
        Assert.True(_grants.TryResize(1, 6, 12, 2));
        AssertRoomFor(0, path: 4);
    }

    [Fact]
    public void TryResize_ToALengthThatFits_ChangesIt()
    {
        Assert.True(_grants.TryAdd(1, 4, 100, 50));
        Assert.True(_grants.TryAdd(1, 4, 200, 50));
        Assert.True(_grants.TryResize(1, 4, 100, 100));
        Assert.True(_grants.TryResize(1, 4, 200, 10));
        Assert.True(_grants.TryResize(1, 4, 200, 10));
        Assert.Equal([(4L, 100L, 200L), (4L, 200L, 210L)], _grants.OfPath(1));
    }

    [Theory]
    [InlineData(1, 4, 100, 101)]
    [InlineData(1, 4, 100, 0)]
    [InlineData(1, 4, 100, -50)]
    [InlineData(1, 4, 100, StreamFrame.MaxOffset - 99)]
    [InlineData(1, 4, 100, long.MaxValue)]
    [InlineData(1, 4, 101, 10)]
    [InlineData(1, 8, 100, 10)]
    [InlineData(2, 4, 100, 10)]
    public void TryResize_NoSuchRangeOrBadLength_IsRefusedAndChangesNothing(int path, long stream, long offset, long length)
    {
        Assert.True(_grants.TryAdd(1, 4, 100, 50));
        Assert.True(_grants.TryAdd(1, 4, 200, 50));
        Assert.False(_grants.TryResize(path, stream, offset, length));
        Assert.Equal([(4L, 100L, 150L), (4L, 200L, 250L)], _grants.OfPath(1));
        Assert.Empty(_grants.OfPath(2));
    }

    [Fact]
    public void Remove_OnlyByTheFirstByte_TakesTheRangeBackOnce()
    {
        Assert.True(_grants.TryAdd(1, 4, 100, 50));
        Assert.False(_grants.Remove(1, 4, 101));
        Assert.False(_grants.Remove(1, 8, 100));
        Assert.False(_grants.Remove(2, 4, 100));
        Assert.True(_grants.Remove(1, 4, 100));
        Assert.False(_grants.Remove(1, 4, 100));
        Assert.Empty(_grants.OfPath(1));
        Assert.True(_grants.TryAdd(1, 4, 120, 50));
    }

    [Fact]
    public void RemoveStream_OfManyPaths_LeavesTheOtherStreams()
    {
        Assert.True(_grants.TryAdd(1, 4, 0, 10));
        Assert.True(_grants.TryAdd(2, 4, 0, 10));
        Assert.True(_grants.TryAdd(2, 8, 0, 10));
        _grants.RemoveStream(4);
        Assert.Empty(_grants.OfPath(1));
        Assert.Equal([(8L, 0L, 10L)], _grants.OfPath(2));
        Assert.Empty(_grants.PathsAt(4, 5));
    }

    [Theory]
    [InlineData(99, null)]
    [InlineData(100, 100L)]
    [InlineData(149, 100L)]
    [InlineData(150, 150L)]
    [InlineData(159, 150L)]
    [InlineData(160, null)]
    public void TryFind_EveryEdge_GivesTheRangeThatHoldsTheByte(long offset, long? start)
    {
        Assert.True(_grants.TryAdd(1, 4, 100, 50));
        Assert.True(_grants.TryAdd(1, 4, 150, 10));
        Assert.Equal(start is not null, _grants.TryFind(1, 4, offset, out (long Offset, long End) range));
        Assert.Equal(start ?? 0, range.Offset);
        Assert.False(_grants.TryFind(2, 4, offset, out _));
    }

    [Theory]
    [InlineData(100, 160, true)]
    [InlineData(149, 151, true)]
    [InlineData(99, 101, false)]
    [InlineData(100, 161, false)]
    [InlineData(150, 171, false)]
    [InlineData(170, 180, true)]
    [InlineData(165, 165, true)]
    public void Cover_RangesThatTouch_CountAsOne(long offset, long end, bool covered)
    {
        Assert.True(_grants.TryAdd(1, 4, 150, 10));
        Assert.True(_grants.TryAdd(1, 4, 100, 50));
        Assert.True(_grants.TryAdd(1, 4, 170, 10));
        Assert.Equal(covered, _grants.Cover(1, 4, offset, end));
        Assert.Equal(offset == end, _grants.Cover(2, 4, offset, end));
    }

    [Fact]
    public void PathsAt_SeveralPaths_AreInTheOrderOfTheirNumbers()
    {
        Assert.True(_grants.TryAdd(3, 4, 0, 10));
        Assert.True(_grants.TryAdd(1, 4, 5, 10));
        Assert.True(_grants.TryAdd(2, 8, 0, 100));
        Assert.Equal([1, 3], _grants.PathsAt(4, 7));
        Assert.Equal([3], _grants.PathsAt(4, 4));
        Assert.Equal([1], _grants.PathsAt(4, 10));
        Assert.Empty(_grants.PathsAt(4, 15));
    }

    /// <summary>True for exactly so many more.</summary>
    private void AssertRoomFor(int count, int path)
    {
        for (int i = 0; i < count; i++)
        {
            Assert.True(_grants.TryAdd(path, 1000, 2 * i, 1));
        }

        Assert.False(_grants.TryAdd(path, 1000, 1_000_000, 1));
    }
}
