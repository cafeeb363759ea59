using Kwik.Data;

namespace Kwik.Transfer;

/// <summary>Which bytes of a file are written: ranges that neither overlap nor touch. Not safe for concurrent use.</summary>
internal sealed class WrittenRanges
{
    // Few: one for each server, and what these finished out of order.
    private readonly List<(long Start, long End)> _ranges = [];

    private static readonly Comparer<(long Start, long End)> ByEnd =
        Comparer<(long Start, long End)>.Create((one, other) => one.End.CompareTo(other.End));

    /// <summary>How many bytes are written.</summary>
    public long Count { get; private set; }

    /// <summary>Everything before this offset is written.</summary>
    public long Prefix => _ranges is [(0, var end), ..] ? end : 0;

    /// <summary>Adds what does not overlap what is there.</summary>
    /// <exception cref="ArgumentException">It does.</exception>
    public void Add(long start, long end)
    {
        if (start >= end)
        {
            return;
        }

        // The first that ends at or behind the start.
        int at = _ranges.BinarySearch((start, start), ByEnd);
        at = at < 0 ? ~at : at;
        bool joinsLeft = at < _ranges.Count && _ranges[at].End == start;
        int right = joinsLeft ? at + 1 : at;
        if (right < _ranges.Count && _ranges[right].Start < end)
        {
            throw new ArgumentException($"Bytes {start} to {end} are written already, in part.", nameof(start));
        }

        Count += end - start;
        if (right < _ranges.Count && _ranges[right].Start == end)
        {
            end = _ranges[right].End;
            _ranges.RemoveAt(right);
        }

        if (joinsLeft)
        {
            _ranges[at] = (_ranges[at].Start, end);
        }
        else
        {
            _ranges.Insert(at, (start, end));
        }
    }

    public void Clear()
    {
        _ranges.Clear();
        Count = 0;
    }

    /// <summary>The leaves of a content that are written whole, as ranges; the first <paramref name="most"/> of them.</summary>
    public List<(long Offset, long Length)> WholeLeaves(ContentOffer offer, int most)
    {
        var leaves = new List<(long Offset, long Length)>();
        foreach ((long start, long end) in _ranges)
        {
            long first = (start + offer.LeafSize - 1) / offer.LeafSize * offer.LeafSize;
            long behind = end == offer.Length ? end : end / offer.LeafSize * offer.LeafSize;
            if (first < behind && leaves.Count < most)
            {
                leaves.Add((first, behind - first));
            }
        }

        return leaves;
    }
}
