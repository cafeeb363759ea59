namespace Kwik.Data;

/// <summary>
/// Merges pieces of one stream, from any number of sources and in any order, into the bytes of the stream in order.
/// The only one of its kind. Not safe for concurrent use: the stream's lock guards it. Does no I/O and knows no time.
/// </summary>
/// <remarks>
/// Pieces are kept sorted and never overlap. Piece i and i+1 belong to one run when they touch; a hole lies between two
/// runs. Who takes a piece out owns its lease and copies outside the lock.
/// </remarks>
internal sealed class OffsetAggregator
{
    private readonly AggregatorOptions _options;
    private readonly LeasePool _pool;

    // A window into the array: _count pieces from _head on; the front moves without copying.
    private Piece[] _pieces = new Piece[8];
    private int _head;
    private int _count;
    private int _runs;

    public OffsetAggregator(AggregatorOptions options, LeasePool pool)
    {
        _options = options;
        _pool = pool;
    }

    private record struct Piece(long Offset, int Source, Lease Lease)
    {
        public readonly long End => Offset + Lease.Length;
    }

    /// <summary>Offset of the next byte to be taken: everything before it has left.</summary>
    public long NextOffset { get; private set; }

    /// <summary>Size of the whole stream, once somebody who may say so has said it; else null.</summary>
    public long? FinalSize { get; private set; }

    /// <summary>True when every byte up to the final size has been taken.</summary>
    public bool IsComplete => NextOffset == FinalSize;

    /// <summary>True when the next byte is here.</summary>
    public bool CanTake => _count > 0 && _pieces[_head].Offset == NextOffset;

    /// <summary>Payload bytes held.</summary>
    public long BufferedBytes { get; private set; }

    /// <summary>Memory held, bytes: the blocks behind the payload.</summary>
    public long AllocatedBytes { get; private set; }

    /// <summary>Bytes that arrived and were there already.</summary>
    public long DuplicateBytes { get; private set; }

    /// <summary>Times that two sources sent different bytes for one offset.</summary>
    public long Conflicts { get; private set; }

    /// <summary>Holes before or between the pieces held.</summary>
    public int Gaps => _runs - (CanTake ? 1 : 0);

    /// <summary>Offset behind the last byte that may be accepted now; pieces beyond it wait at their sender.</summary>
    public long WindowEnd => NextOffset + _options.MaxPendingBytes;

    /// <summary>End of the run that starts at <see cref="NextOffset"/>: what is contiguous from there.</summary>
    public long ContiguousEnd
    {
        get
        {
            long end = NextOffset;
            for (int i = 0; i < _count && At(i).Offset == end; i++)
            {
                end = At(i).End;
            }

            return end;
        }
    }

    /// <summary>Says how long the stream is. False when it contradicts an earlier word or bytes that are here.</summary>
    public bool TrySetFinalSize(long size)
    {
        long highest = _count > 0 ? At(_count - 1).End : NextOffset;
        if (size < highest || size > StreamFrame.MaxOffset || (FinalSize ?? size) != size)
        {
            return false;
        }

        FinalSize = size;
        return true;
    }

    /// <summary>
    /// Takes a piece and the ownership of its lease, whatever the result. Bytes that are there already are dropped after
    /// a comparison; a piece that starts at <see cref="NextOffset"/> is never an overflow.
    /// </summary>
    public AcceptResult Accept(int source, long offset, Lease lease)
    {
        AcceptResult refused = Check(offset, lease.Length);
        if (refused.Outcome != AcceptOutcome.Accepted || lease.Length == 0)
        {
            lease.Return();
            return refused;
        }

        if (offset < NextOffset)
        {
            int old = (int)Math.Min(NextOffset - offset, lease.Length);
            DuplicateBytes += old;
            lease.TrimStart(old);
            offset += old;
            if (lease.Length == 0)
            {
                lease.Return();
                return new(AcceptOutcome.Duplicate);
            }
        }

        if (_count == 0 || offset >= At(_count - 1).End)
        {
            int length = lease.Length;
            Insert(_count, new(offset, source, lease));
            return new(AcceptOutcome.Accepted, length);
        }

        return Merge(source, offset, lease);
    }

    /// <summary>Takes out the piece at <see cref="NextOffset"/>; null when it is not here. The caller owns the lease.</summary>
    public Lease? TakeNext()
    {
        if (!CanTake)
        {
            return null;
        }

        Piece first = _pieces[_head];
        _pieces[_head] = default;
        _head++;
        _count--;
        NextOffset = first.End;
        if (_count == 0)
        {
            _head = 0;
        }

        if (!CanTake)
        {
            _runs--;
        }

        Forget(first.Lease);
        return first.Lease;
    }

    /// <summary>Returns every lease; the stream takes no more bytes.</summary>
    public void Clear()
    {
        for (int i = 0; i < _count; i++)
        {
            Lease lease = At(i).Lease;
            Forget(lease);
            lease.Return();
        }

        Array.Clear(_pieces);
        _head = _count = _runs = 0;
    }

    // The worst case that AggregatorOptions.MaxPendingBytes documents.
    private long MaxAllocatedBytes =>
        Math.Max(1024 * 1024, (2 * _options.MaxPendingBytes) + ((long)LeasePool.SmallSize * _options.MaxGaps));

    private ref Piece At(int index) => ref _pieces[_head + index];

    private AcceptResult Check(long offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (offset > (FinalSize ?? StreamFrame.MaxOffset) - length)
        {
            return new(AcceptOutcome.FinalSize);
        }

        bool fillsHead = offset <= NextOffset;
        if (!fillsHead && offset + length > WindowEnd)
        {
            return new(AcceptOutcome.Overflow);
        }

        bool exceedsMemory = AllocatedBytes + LeasePool.CapacityFor(length) > MaxAllocatedBytes;
        bool exceedsGaps = Gaps >= _options.MaxGaps && StandsAlone(offset, offset + length);
        return !fillsHead && (exceedsMemory || exceedsGaps) ? new(AcceptOutcome.Overflow) : new(AcceptOutcome.Accepted);
    }

    /// <summary>True when no piece touches or overlaps these bytes, so that they would make a run of their own.</summary>
    private bool StandsAlone(long start, long end)
    {
        int next = IndexOfEndAfter(start - 1);
        return next == _count || At(next).Offset > end;
    }

    /// <summary>
    /// Places a piece that may overlap others: walks the pieces that it meets, fills the holes between them, and
    /// compares the rest.
    /// </summary>
    private AcceptResult Merge(int source, long offset, Lease lease)
    {
        long newBytes = 0;
        int conflictWith = -1;
        int i = IndexOfEndAfter(offset);
        if (_options.ConflictResolution == ConflictResolution.Reject && (conflictWith = FindConflict(i, offset, lease.Span)) >= 0)
        {
            Conflicts++;
            lease.Return();
            return new(AcceptOutcome.Rejected, 0, conflictWith);
        }

        while (lease.Length > 0)
        {
            if (i == _count || At(i).Offset >= offset + lease.Length)
            {
                newBytes += lease.Length;
                Insert(i, new(offset, source, lease));
                lease = null!;
                break;
            }

            int hole = (int)Math.Max(0, At(i).Offset - offset);
            if (hole > 0)
            {
                newBytes += hole;
                // A piece that joins its neighbour leaves the index where it was.
                i += Insert(i, new(offset, source, Copy(lease.Span[..hole]))) ? 1 : 0;
                lease.TrimStart(hole);
                offset += hole;
            }

            int within = (int)(offset - At(i).Offset);
            int common = Math.Min(At(i).Lease.Length - within, lease.Length);
            if (Reconcile(ref At(i), within, lease.Span[..common], source))
            {
                conflictWith = At(i).Source;
            }

            lease.TrimStart(common);
            offset += common;
            i++;
        }

        lease?.Return();
        Conflicts += conflictWith >= 0 ? 1 : 0;
        return conflictWith >= 0 ? new(AcceptOutcome.Conflict, newBytes, conflictWith)
            : new(newBytes > 0 ? AcceptOutcome.Accepted : AcceptOutcome.Duplicate, newBytes);
    }

    /// <summary>The source of the first piece, from index on, whose bytes differ from these; -1 when there is none.</summary>
    private int FindConflict(int index, long offset, ReadOnlySpan<byte> bytes)
    {
        for (; index < _count && At(index).Offset < offset + bytes.Length; index++)
        {
            long start = Math.Max(offset, At(index).Offset);
            int common = (int)(Math.Min(offset + bytes.Length, At(index).End) - start);
            if (!bytes.Slice((int)(start - offset), common).SequenceEqual(At(index).Lease.Span.Slice((int)(start - At(index).Offset), common)))
            {
                return At(index).Source;
            }
        }

        return -1;
    }

    /// <summary>Compares bytes with those of a piece and lets one of both win; true when they differed.</summary>
    private bool Reconcile(ref Piece piece, int within, ReadOnlySpan<byte> bytes, int source)
    {
        Span<byte> present = piece.Lease.Span.Slice(within, bytes.Length);
        if (bytes.SequenceEqual(present))
        {
            DuplicateBytes += bytes.Length;
            return false;
        }

        bool wins = _options.ConflictResolution switch
        {
            ConflictResolution.LastWins => true,
            ConflictResolution.PrimaryWins => source == 0 && piece.Source != 0,
            _ => false,
        };
        if (wins)
        {
            bytes.CopyTo(present);
        }

        return true;
    }

    /// <summary>Index of the first piece that ends after <paramref name="offset"/>.</summary>
    private int IndexOfEndAfter(long offset)
    {
        int low = 0;
        int high = _count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (At(middle).End > offset)
            {
                high = middle;
            }
            else
            {
                low = middle + 1;
            }
        }

        return low;
    }

    /// <summary>
    /// Puts a piece before <paramref name="index"/>, where it overlaps nothing, in the smallest block that holds it. It
    /// joins the piece before it when that one is of the same source and has room; false then: no piece was added.
    /// </summary>
    private bool Insert(int index, Piece piece)
    {
        bool touchesPrevious = index > 0 && At(index - 1).End == piece.Offset;
        bool touchesNext = index < _count && At(index).Offset == piece.End;
        _runs += 1 - (touchesPrevious ? 1 : 0) - (touchesNext ? 1 : 0);
        BufferedBytes += piece.Lease.Length;
        if (touchesPrevious && At(index - 1).Source == piece.Source && piece.Lease.Length <= At(index - 1).Lease.Room)
        {
            Lease previous = At(index - 1).Lease;
            piece.Lease.Span.CopyTo(previous.Free.Span);
            previous.Extend(piece.Lease.Length);
            piece.Lease.Return();
            return false;
        }

        if (LeasePool.CapacityFor(piece.Lease.Length) < piece.Lease.Capacity)
        {
            Lease large = piece.Lease;
            piece.Lease = Copy(large.Span);
            large.Return();
        }

        MakeRoom(index);
        At(index) = piece;
        AllocatedBytes += piece.Lease.Capacity;
        return true;
    }

    private void MakeRoom(int index)
    {
        if (_head + _count == _pieces.Length)
        {
            Piece[] target = _count * 2 > _pieces.Length ? new Piece[_pieces.Length * 2] : _pieces;
            Array.Copy(_pieces, _head, target, 0, _count);
            if (target == _pieces)
            {
                Array.Clear(_pieces, _count, _pieces.Length - _count);
            }

            _pieces = target;
            _head = 0;
        }

        Array.Copy(_pieces, _head + index, _pieces, _head + index + 1, _count - index);
        _count++;
    }

    private Lease Copy(ReadOnlySpan<byte> bytes)
    {
        Lease lease = _pool.Rent(bytes.Length);
        bytes.CopyTo(lease.Free.Span);
        lease.Extend(bytes.Length);
        return lease;
    }

    private void Forget(Lease lease)
    {
        BufferedBytes -= lease.Length;
        AllocatedBytes -= lease.Capacity;
    }
}
