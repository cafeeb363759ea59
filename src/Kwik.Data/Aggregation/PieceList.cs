namespace Kwik.Data;

/// <summary>
/// Bytes of a stream that are here, or that have been delivered before the bytes in front of them: <paramref name="Lease"/>
/// is null then.
/// </summary>
internal record struct Piece(long Offset, long End, int Source, Lease? Lease);

/// <summary>
/// Pieces of one stream, sorted by offset, without overlaps. Pieces that touch belong to one run; a hole lies between two
/// runs. Moving the ends of a piece goes through this list, which counts the runs.
/// </summary>
internal sealed class PieceList
{
    // A window into the array: Count pieces from _head on; the front moves without copying.
    private Piece[] _pieces = new Piece[8];
    private int _head;

    public int Count { get; private set; }

    /// <summary>Groups of pieces that touch.</summary>
    public int Runs { get; private set; }

    /// <summary>A piece, by order of offset. Its <see cref="Piece.Offset"/> and <see cref="Piece.End"/> are set by <see cref="Resize"/> only.</summary>
    public ref Piece this[int index] => ref _pieces[_head + index];

    /// <summary>Index of the first piece that ends after <paramref name="offset"/>.</summary>
    public int IndexOfEndAfter(long offset)
    {
        // Most pieces come behind all others.
        if (Count == 0 || this[Count - 1].End <= offset)
        {
            return Count;
        }

        int low = 0;
        int high = Count - 1;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (this[middle].End > offset)
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

    public void Insert(int index, Piece piece)
    {
        if (_head + Count == _pieces.Length)
        {
            MoveToFront();
        }

        Runs -= Starts(index, index + 1);
        Array.Copy(_pieces, _head + index, _pieces, _head + index + 1, Count - index);
        Count++;
        this[index] = piece;
        Runs += Starts(index, index + 2);
    }

    public void Resize(int index, long offset, long end)
    {
        Runs -= Starts(index, index + 2);
        this[index].Offset = offset;
        this[index].End = end;
        Runs += Starts(index, index + 2);
    }

    public void Remove(int index, int count)
    {
        Runs -= Starts(index, index + count + 1);
        int behind = Count - index - count;
        if (index <= behind)
        {
            Array.Copy(_pieces, _head, _pieces, _head + count, index);
            Array.Clear(_pieces, _head, count);
            _head += count;
        }
        else
        {
            Array.Copy(_pieces, _head + index + count, _pieces, _head + index, behind);
            Array.Clear(_pieces, _head + Count - count, count);
        }

        Count -= count;
        _head = Count == 0 ? 0 : _head;
        Runs += Starts(index, index + 1);
    }

    public void Clear()
    {
        Array.Clear(_pieces);
        _head = Count = Runs = 0;
    }

    /// <summary>How many of these pieces start a run.</summary>
    private int Starts(int from, int to)
    {
        int starts = 0;
        for (int i = from; i < Math.Min(to, Count); i++)
        {
            starts += i > 0 && this[i - 1].End == this[i].Offset ? 0 : 1;
        }

        return starts;
    }

    private void MoveToFront()
    {
        Piece[] target = Count * 2 > _pieces.Length ? new Piece[_pieces.Length * 2] : _pieces;
        Array.Copy(_pieces, _head, target, 0, Count);
        if (target == _pieces)
        {
            Array.Clear(_pieces, Count, _pieces.Length - Count);
        }

        _pieces = target;
        _head = 0;
    }
}
