using System.Runtime.InteropServices;

namespace Kwik.Data;

/// <content>Bytes come in: what is refused, what fills a hole, and who wins where bytes differ.</content>
internal sealed partial class OffsetAggregator
{
    // What AggregatorOptions.MaxPendingBytes documents, less what filling the hole at NextOffset may take once.
    private long MaxAllocatedBytes =>
        Math.Max(1024 * 1024, (2 * _options.MaxPendingBytes) + ((long)LeasePool.SmallSize * _options.MaxGaps));

    /// <summary>
    /// What a piece of this place and length would be refused with now (<see cref="AcceptOutcome.FinalSize"/>,
    /// <see cref="AcceptOutcome.Overflow"/>), or <see cref="AcceptOutcome.Accepted"/>, whatever its bytes are.
    /// </summary>
    public AcceptOutcome Validate(long offset, int length) => Check(offset, length, _pieces.IndexOfEndAfter(offset));

    /// <summary>
    /// Takes a piece and the ownership of its lease, whatever the result. Bytes that are there already are dropped after
    /// a comparison; a piece that fills the hole at <see cref="NextOffset"/> is never an overflow, and none is when
    /// <paramref name="isReserved"/>: its room was made before it was asked for.
    /// </summary>
    public AcceptResult Accept(int source, long offset, Lease lease, bool isReserved = false)
    {
        int length = lease.Length;
        int index = _pieces.IndexOfEndAfter(offset);
        AcceptOutcome refused = Check(offset, length, index);
        refused = isReserved && refused == AcceptOutcome.Overflow ? AcceptOutcome.Accepted : refused;
        if (refused != AcceptOutcome.Accepted || length == 0)
        {
            lease.Return();
            return new(refused);
        }

        // What has left never changes.
        int old = (int)Math.Clamp(NextOffset - offset, 0, length);
        lease.TrimStart(old);
        AcceptResult result = Place(index, source, offset + old, lease);
        if (result.Outcome != AcceptOutcome.Rejected)
        {
            DuplicateBytes += old;
            ref long end = ref CollectionsMarshal.GetValueRefOrAddDefault(_sourceEnds, source, out _);
            end = Math.Max(end, offset + length);
        }

        return result;
    }

    private AcceptOutcome Check(long offset, int length, int index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (offset > (FinalSize ?? StreamFrame.MaxOffset) - length)
        {
            return AcceptOutcome.FinalSize;
        }

        // Only the hole at the head is filled at any price in memory: once the next byte is here, the reader can make room.
        bool fillsHead = offset <= NextOffset;
        if (HoldsNext || !fillsHead)
        {
            long growth = Growth(offset, length, index);
            if (growth > 0 && AllocatedBytes + growth > MaxAllocatedBytes)
            {
                return AcceptOutcome.Overflow;
            }
        }

        bool exceedsWindow = IsPositioned
            ? BufferedBytes + length > _options.MaxPendingBytes
            : offset + length > WindowEnd;
        bool exceedsGaps = Gaps >= _options.MaxGaps && StandsAlone(index, offset, offset + length);
        return !fillsHead && (exceedsWindow || exceedsGaps) ? AcceptOutcome.Overflow : AcceptOutcome.Accepted;
    }

    /// <summary>True when no piece touches or overlaps these bytes, so that they would make a run of their own.</summary>
    private bool StandsAlone(int index, long start, long end) =>
        (index == 0 || _pieces[index - 1].End < start) && (index == _pieces.Count || _pieces[index].Offset > end);

    /// <summary>Most memory that a piece may take, bytes: a block for every hole that it fills.</summary>
    private long Growth(long offset, int length, int index)
    {
        long growth = 0;
        long end = offset + length;
        long at = Math.Max(offset, NextOffset);
        bool overlaps = index < _pieces.Count && _pieces[index].Offset < end;
        for (; at < end; index++)
        {
            long hole = index < _pieces.Count ? Math.Min(_pieces[index].Offset, end) : end;
            growth += hole > at ? BlocksFor(hole - at) : 0;
            at = index < _pieces.Count ? _pieces[index].End : end;
        }

        // Bytes that win get blocks of their own, and may cut one piece in two.
        bool mayWin = _options.ConflictResolution is ConflictResolution.LastWins or ConflictResolution.PrimaryWins;
        return growth + (overlaps && mayWin ? (2L * length) + LeasePool.LargeSize : 0);
    }

    private static long BlocksFor(long size) => size <= LeasePool.LargeSize ? LeasePool.CapacityFor((int)size) : 2 * size;

    /// <summary>Places a piece that was not refused, <paramref name="index"/> being the first that ends after its offset.</summary>
    private AcceptResult Place(int index, int source, long offset, Lease lease)
    {
        if (lease.Length == 0)
        {
            lease.Return();
            return new(AcceptOutcome.Duplicate);
        }

        if (index < _pieces.Count && _pieces[index].Offset < offset + lease.Length)
        {
            return Merge(index, source, offset, lease);
        }

        int length = lease.Length;
        Insert(index, source, offset, lease);
        return new(AcceptOutcome.Accepted, length);
    }

    /// <summary>
    /// Places a piece that overlaps others: walks the pieces that it meets, fills the holes between them, and compares the
    /// rest.
    /// </summary>
    private AcceptResult Merge(int index, int source, long offset, Lease lease)
    {
        (long start, long end) = (offset, offset + lease.Length);
        int conflictWith = -1;
        long newBytes = 0;
        bool mayWin = _options.ConflictResolution == ConflictResolution.LastWins
            || (_options.ConflictResolution == ConflictResolution.PrimaryWins && source == 0);
        if ((mayWin || _options.ConflictResolution == ConflictResolution.Reject)
            && (conflictWith = FindConflict(index, offset, lease.Span)) >= 0)
        {
            if (!mayWin)
            {
                Conflicts++;
                lease.Return();
                return new(AcceptOutcome.Rejected, 0, conflictWith);
            }

            // What it overlaps makes way; then there are only holes, and delivered bytes, to be met.
            newBytes -= Overwrite(index, source, offset, lease.Span);
            index = _pieces.IndexOfEndAfter(offset);
        }

        for (int i = index; offset < end; i++)
        {
            int hole = (int)(Math.Clamp(i < _pieces.Count ? _pieces[i].Offset : end, offset, end) - offset);
            newBytes += hole;
            if (hole == end - offset)
            {
                lease.TrimStart((int)(offset - start));
                Insert(i, source, offset, lease);
                return Merged(newBytes, conflictWith);
            }

            if (hole > 0)
            {
                // A piece that joins its neighbour leaves the index where it was.
                i += Insert(i, source, offset, Copy(lease.Span.Slice((int)(offset - start), hole))) ? 1 : 0;
                offset += hole;
            }

            int common = (int)(Math.Min(_pieces[i].End, end) - offset);
            if (!CountEqual(_pieces[i], offset, lease.Span.Slice((int)(offset - start), common)) && conflictWith < 0)
            {
                conflictWith = _pieces[i].Source;
            }

            offset += common;
        }

        lease.Return();
        return Merged(newBytes, conflictWith);
    }

    private AcceptResult Merged(long newBytes, int conflictWith)
    {
        Conflicts += conflictWith >= 0 ? 1 : 0;
        return conflictWith >= 0 ? new(AcceptOutcome.Conflict, newBytes, conflictWith)
            : new(newBytes > 0 ? AcceptOutcome.Accepted : AcceptOutcome.Duplicate, newBytes);
    }

    /// <summary>The source of the first held piece, from index on, whose bytes differ from these; -1 when there is none.</summary>
    private int FindConflict(int index, long offset, ReadOnlySpan<byte> bytes)
    {
        long end = offset + bytes.Length;
        for (; index < _pieces.Count && _pieces[index].Offset < end; index++)
        {
            if (!Overlap(_pieces[index], offset, bytes, out ReadOnlySpan<byte> arrived).SequenceEqual(arrived))
            {
                return _pieces[index].Source;
            }
        }

        return -1;
    }

    /// <summary>The held bytes of a piece that these overlap, and the part of these that lies there; nothing where bytes were delivered.</summary>
    private static Span<byte> Overlap(in Piece piece, long offset, ReadOnlySpan<byte> bytes, out ReadOnlySpan<byte> arrived)
    {
        arrived = default;
        if (piece.Lease is null)
        {
            return default;
        }

        long start = Math.Max(offset, piece.Offset);
        int length = (int)(Math.Min(offset + bytes.Length, piece.End) - start);
        arrived = bytes.Slice((int)(start - offset), length);
        return piece.Lease.Span.Slice((int)(start - piece.Offset), length);
    }

    /// <summary>Counts the bytes that a piece has already; true when these, all of which it overlaps, are the same.</summary>
    private bool CountEqual(in Piece piece, long offset, ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> held = Overlap(piece, offset, bytes, out ReadOnlySpan<byte> arrived);
        if (held.SequenceEqual(arrived))
        {
            DuplicateBytes += bytes.Length;
            return true;
        }

        for (int i = 0; i < held.Length; i++)
        {
            DuplicateBytes += held[i] == arrived[i] ? 1 : 0;
        }

        return false;
    }

    /// <summary>
    /// Lets a piece take over what it overlaps: removes the held bytes there and returns how many they were. A primary that
    /// contradicts itself keeps what it said first: that is copied into the piece.
    /// </summary>
    private long Overwrite(int index, int source, long offset, Span<byte> bytes)
    {
        long removed = 0;
        long end = offset + bytes.Length;
        for (int i = index; i < _pieces.Count && _pieces[i].Offset < end; i++)
        {
            Span<byte> held = Overlap(_pieces[i], offset, bytes, out ReadOnlySpan<byte> arrived);
            if (held.IsEmpty)
            {
                continue;
            }

            long start = Math.Max(offset, _pieces[i].Offset);
            CountEqual(_pieces[i], start, arrived);
            removed += held.Length;
            if (_options.ConflictResolution == ConflictResolution.PrimaryWins && _pieces[i].Source == source)
            {
                held.CopyTo(bytes[(int)(start - offset)..]);
            }
        }

        CutOut(index, offset, end);
        return removed;
    }

    /// <summary>Removes the held bytes of a range; what remains of a piece at its edges moves to the smallest block.</summary>
    private void CutOut(int index, long start, long end)
    {
        while (index < _pieces.Count && _pieces[index].Offset < end)
        {
            Piece piece = _pieces[index];
            if (piece.Lease is null)
            {
                index++;
            }
            else if (piece.Offset >= start && piece.End <= end)
            {
                RemoveHeld(index, end);
            }
            else
            {
                // An edge lies in it; what remains comes back, at most twice for a piece.
                Forget(piece.Lease);
                _pieces.Remove(index, 1);
                index += KeepPart(index, piece, piece.Offset, Math.Min(start, piece.End));
                index += KeepPart(index, piece, Math.Max(end, piece.Offset), piece.End);
                piece.Lease.Return();
            }
        }
    }

    /// <summary>Removes held pieces from <paramref name="index"/> on, as far as they lie before <paramref name="end"/>.</summary>
    private void RemoveHeld(int index, long end)
    {
        int last = index;
        for (; last < _pieces.Count && _pieces[last].End <= end && _pieces[last].Lease is { } lease; last++)
        {
            Forget(lease);
            lease.Return();
        }

        _pieces.Remove(index, last - index);
    }

    private int KeepPart(int index, in Piece piece, long start, long end) =>
        end > start && Insert(index, piece.Source, start, Copy(piece.Lease!.Span[(int)(start - piece.Offset)..(int)(end - piece.Offset)])) ? 1 : 0;

    /// <summary>
    /// Puts a piece before <paramref name="index"/>, where it overlaps nothing, in the smallest block that holds it. It
    /// joins the piece before it when that one is of the same source and has room; false then: no piece was added.
    /// </summary>
    private bool Insert(int index, int source, long offset, Lease lease)
    {
        int length = lease.Length;
        BufferedBytes += length;
        if (index > 0 && _pieces[index - 1] is { Lease: { } previous } neighbour && neighbour.End == offset
            && neighbour.Source == source && length <= previous.Room)
        {
            lease.Span.CopyTo(previous.Free.Span);
            previous.Extend(length);
            _pieces.Resize(index - 1, neighbour.Offset, neighbour.End + length);
            lease.Return();
            return false;
        }

        if (LeasePool.CapacityFor(length) < lease.Capacity)
        {
            Lease large = lease;
            lease = Copy(large.Span);
            large.Return();
        }

        _pieces.Insert(index, new(offset, offset + length, source, lease));
        AllocatedBytes += lease.Capacity;
        _heldFrom = Math.Min(_heldFrom, offset);
        return true;
    }

    private Lease Copy(ReadOnlySpan<byte> bytes)
    {
        Lease lease = _pool.Rent(bytes.Length);
        bytes.CopyTo(lease.Free.Span);
        lease.Extend(bytes.Length);
        return lease;
    }
}
