namespace Kwik.Data;

/// <summary>A set of offsets, kept as ranges that neither overlap nor touch. Not safe for concurrent use.</summary>
internal sealed class RangeSet
{
    // Sorted by start. Few ranges: one for each place where somebody works.
    private readonly List<(long Start, long End)> _ranges = [];

    public bool IsEmpty => _ranges.Count == 0;

    /// <summary>How many offsets are in it.</summary>
    public long Count { get; private set; }

    /// <summary>The ranges, the lowest first.</summary>
    public IReadOnlyList<(long Start, long End)> Ranges => _ranges;

    public void Add(long start, long end)
    {
        if (start >= end)
        {
            return;
        }

        // The first that ends at or behind the start: it touches, or lies behind.
        int first = IndexOfEndFrom(start);
        int behind = first;
        while (behind < _ranges.Count && _ranges[behind].Start <= end)
        {
            start = Math.Min(start, _ranges[behind].Start);
            end = Math.Max(end, _ranges[behind].End);
            Count -= _ranges[behind].End - _ranges[behind].Start;
            behind++;
        }

        _ranges.RemoveRange(first, behind - first);
        _ranges.Insert(first, (start, end));
        Count += end - start;
    }

    public void Remove(long start, long end)
    {
        if (start >= end)
        {
            return;
        }

        for (int i = IndexOfEndFrom(start); i < _ranges.Count && _ranges[i].Start < end;)
        {
            (long from, long to) = _ranges[i];
            if (to <= start)
            {
                i++;
                continue;
            }

            _ranges.RemoveAt(i);
            Count -= to - from;
            if (to > end)
            {
                _ranges.Insert(i, (end, to));
                Count += to - end;
            }

            if (from < start)
            {
                _ranges.Insert(i++, (from, start));
                Count += start - from;
            }
        }
    }

    public bool Contains(long offset) => EndAt(offset) > offset;

    /// <summary>True when all of these offsets are in it; there is at least one.</summary>
    public bool Covers(long start, long end) => EndAt(start) >= end;

    /// <summary>Where the range ends that an offset is in; the offset itself when it is in none.</summary>
    public long EndAt(long offset)
    {
        int index = IndexOfEndFrom(offset + 1);
        return index < _ranges.Count && _ranges[index].Start <= offset ? _ranges[index].End : offset;
    }

    /// <summary>The first offset in it from there on; null when there is none.</summary>
    public long? StartFrom(long offset)
    {
        int index = IndexOfEndFrom(offset + 1);
        return index < _ranges.Count ? Math.Max(offset, _ranges[index].Start) : null;
    }

    private int IndexOfEndFrom(long offset)
    {
        int low = 0;
        int high = _ranges.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_ranges[middle].End >= offset)
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
}
