namespace Kwik.Data;

/// <summary>
/// Merges pieces of one stream, from any number of sources and in any order, into the bytes of the stream: in order, or
/// each where it belongs (positioned delivery). The only one of its kind. Not safe for concurrent use: the stream's lock
/// guards it. Does no I/O and knows no time.
/// </summary>
/// <remarks>
/// Who takes a piece out owns its lease and copies outside the lock. A byte belongs to the source that gave it first; a
/// source whose bytes win a conflict takes over everything that its piece overlaps.
/// </remarks>
internal sealed partial class OffsetAggregator
{
    private readonly AggregatorOptions _options;
    private readonly LeasePool _pool;
    private readonly PieceList _pieces = new();

    // Offset behind the highest byte of each source that gave any.
    private readonly Dictionary<int, long> _sourceEnds = [];

    // Every held piece ends behind this offset: where TakeAny looks first.
    private long _heldFrom;

    public OffsetAggregator(AggregatorOptions options, LeasePool pool)
    {
        _options = options;
        _pool = pool;
    }

    /// <summary>Everything before this offset has been taken.</summary>
    public long NextOffset { get; private set; }

    /// <summary>Bytes that have been taken: <see cref="NextOffset"/>, and in positioned delivery what was taken beyond it.</summary>
    public long TakenBytes { get; private set; }

    /// <summary>Size of the whole stream, once somebody who may say so has said it; else null.</summary>
    public long? FinalSize { get; private set; }

    /// <summary>True when pieces are taken wherever they lie; see <see cref="DeliverAnywhere"/>.</summary>
    public bool IsPositioned { get; private set; }

    /// <summary>True when every byte up to the final size has been taken.</summary>
    public bool IsComplete => NextOffset == FinalSize;

    /// <summary>True when every byte up to the final size has been taken or is held.</summary>
    public bool IsWhole => TakenBytes + BufferedBytes == FinalSize;

    /// <summary>True when the next take gives a piece: <see cref="TakeNext"/>, or <see cref="TakeAny"/> in positioned delivery.</summary>
    public bool CanTake => IsPositioned ? BufferedBytes > 0 : HoldsNext;

    /// <summary>Payload bytes held.</summary>
    public long BufferedBytes { get; private set; }

    /// <summary>Memory held, bytes: the blocks behind the payload.</summary>
    public long AllocatedBytes { get; private set; }

    /// <summary>Bytes that arrived and were there already, the same; or for an offset that was taken, whatever they were.</summary>
    public long DuplicateBytes { get; private set; }

    /// <summary>Times that two sources sent different bytes for one offset.</summary>
    public long Conflicts { get; private set; }

    /// <summary>Holes before or between the bytes that are held or delivered.</summary>
    public int Gaps => _pieces.Runs - (HoldsNext ? 1 : 0);

    /// <summary>
    /// Offset behind the last byte that may be accepted now; pieces beyond it wait at their sender. In positioned delivery
    /// the number of held bytes decides, not their place.
    /// </summary>
    public long WindowEnd => IsPositioned ? StreamFrame.MaxOffset : NextOffset + _options.MaxPendingBytes;

    /// <summary>Offset behind the last byte held or taken.</summary>
    public long HighestOffset => _pieces.Count > 0 ? _pieces[_pieces.Count - 1].End : NextOffset;

    /// <summary>End of the run that starts at <see cref="NextOffset"/>: what is contiguous from there.</summary>
    public long ContiguousEnd
    {
        get
        {
            long end = NextOffset;
            for (int i = 0; i < _pieces.Count && _pieces[i].Offset == end; i++)
            {
                end = _pieces[i].End;
            }

            return end;
        }
    }

    /// <summary>
    /// The hole at <see cref="NextOffset"/>, up to the next byte that is here or to the final size; null when nothing is
    /// known to lie behind it, or when the next byte is here.
    /// </summary>
    public (long Offset, long End)? FirstHole
    {
        get
        {
            long end = _pieces.Count > 0 ? _pieces[0].Offset : FinalSize ?? NextOffset;
            return end > NextOffset ? (NextOffset, end) : null;
        }
    }

    private bool HoldsNext => _pieces.Count > 0 && _pieces[0].Offset == NextOffset;

    /// <summary>
    /// From now on, and for good, pieces are taken with <see cref="TakeAny"/>, wherever they lie. What is remembered of
    /// delivered bytes is their ranges, merged: each counts toward <see cref="AggregatorOptions.MaxGaps"/>.
    /// </summary>
    public void DeliverAnywhere() => IsPositioned = true;

    /// <summary>
    /// These bytes count as delivered: whoever reads has them. Before anything else is here; the ranges in order, without
    /// overlaps. Pieces are taken wherever they lie from now on.
    /// </summary>
    public void Skip(long start, long end)
    {
        DeliverAnywhere();
        TakenBytes += end - start;
        _pieces.Insert(_pieces.Count, new Piece(start, end, 0, null));
        MarkDelivered(_pieces.Count - 1);
    }

    /// <summary>Says how long the stream is. False when it contradicts an earlier word or bytes that are here.</summary>
    public bool TrySetFinalSize(long size)
    {
        if (size < HighestOffset || size > StreamFrame.MaxOffset || (FinalSize ?? size) != size)
        {
            return false;
        }

        FinalSize = size;
        return true;
    }

    /// <summary>Offset behind the highest byte that a source gave, duplicates included; -1 when it gave none.</summary>
    public long SourceOffset(int source) => _sourceEnds.GetValueOrDefault(source, -1);

    /// <summary>
    /// Adds the ranges from <paramref name="start"/> to <paramref name="end"/> that are neither held nor taken, in order.
    /// </summary>
    public void Missing(long start, long end, List<(long Offset, long Length)> into)
    {
        long at = Math.Max(start, NextOffset);
        for (int i = _pieces.IndexOfEndAfter(at); at < end; i++)
        {
            long hole = i < _pieces.Count ? Math.Min(_pieces[i].Offset, end) : end;
            if (hole > at)
            {
                into.Add((at, hole - at));
            }

            at = i < _pieces.Count ? _pieces[i].End : end;
        }
    }

    /// <summary>Takes out the piece at <see cref="NextOffset"/>; null when it is not here. The caller owns the lease.</summary>
    /// <exception cref="InvalidOperationException">Pieces are delivered anywhere.</exception>
    public Lease? TakeNext()
    {
        if (IsPositioned)
        {
            throw new InvalidOperationException("Pieces are delivered wherever they lie; take them with their offset.");
        }

        if (!HoldsNext)
        {
            return null;
        }

        Lease lease = _pieces[0].Lease!;
        NextOffset = _pieces[0].End;
        TakenBytes = NextOffset;
        _pieces.Remove(0, 1);
        Forget(lease);
        return lease;
    }

    /// <summary>
    /// Takes out the held piece with the lowest offset, wherever it lies; null when none is held. Its bytes count as
    /// delivered. The caller owns the lease.
    /// </summary>
    /// <exception cref="InvalidOperationException"><see cref="DeliverAnywhere"/> was not called.</exception>
    public Lease? TakeAny(out long offset)
    {
        if (!IsPositioned)
        {
            throw new InvalidOperationException("Pieces are delivered in order.");
        }

        offset = 0;
        if (BufferedBytes == 0)
        {
            return null;
        }

        int index = _pieces.IndexOfEndAfter(_heldFrom);
        while (_pieces[index].Lease is null)
        {
            index++;
        }

        Piece piece = _pieces[index];
        offset = piece.Offset;
        _heldFrom = piece.End;
        TakenBytes += piece.Lease!.Length;
        MarkDelivered(index);
        Forget(piece.Lease);
        return piece.Lease;
    }

    /// <summary>Returns every lease; the stream takes no more bytes.</summary>
    public void Clear()
    {
        for (int i = 0; i < _pieces.Count; i++)
        {
            if (_pieces[i].Lease is { } lease)
            {
                Forget(lease);
                lease.Return();
            }
        }

        _pieces.Clear();
    }

    private bool IsDelivered(int index) => index >= 0 && index < _pieces.Count && _pieces[index].Lease is null;

    /// <summary>Remembers a piece that is taken as delivered, in one range with what was delivered next to it.</summary>
    private void MarkDelivered(int index)
    {
        int first = IsDelivered(index - 1) && _pieces[index - 1].End == _pieces[index].Offset ? index - 1 : index;
        int last = IsDelivered(index + 1) && _pieces[index + 1].Offset == _pieces[index].End ? index + 1 : index;
        (long offset, long end) = (_pieces[first].Offset, _pieces[last].End);
        if (offset == NextOffset)
        {
            NextOffset = end;
            _pieces.Remove(first, last + 1 - first);
            return;
        }

        _pieces.Remove(first + 1, last - first);
        _pieces[first].Lease = null;
        _pieces.Resize(first, offset, end);
    }

    private void Forget(Lease lease)
    {
        BufferedBytes -= lease.Length;
        AllocatedBytes -= lease.Capacity;
    }
}
