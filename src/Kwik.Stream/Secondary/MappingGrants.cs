using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// The ranges of public streams that paths may write without being asked (push). Kept by the primary that grants them and
/// by the client that holds servers to them. Not safe for concurrent use: its owner's lock guards it.
/// </summary>
internal sealed class MappingGrants
{
    /// <summary>Ranges remembered for one path in one stream.</summary>
    public const int MaxRanges = 1024;

    /// <summary>Ranges remembered in all: about 100 bytes each, 6.5 MiB when each is of another stream.</summary>
    public const int MaxTotal = 65536;

    // Offset -> end, by path and stream; the ranges of one path in one stream never overlap.
    private readonly Dictionary<(int Path, long Stream), SortedList<long, long>> _ranges = [];
    private int _total;

    /// <summary>
    /// Grants a range. False when it is empty, ends beyond 2^62-1, overlaps another one of this path, or is one too many.
    /// </summary>
    public bool TryAdd(int pathId, long streamId, long offset, long length)
    {
        SortedList<long, long> ranges = _ranges.GetValueOrDefault((pathId, streamId)) ?? [];
        if (!IsRange(offset, length) || _total == MaxTotal || ranges.Count == MaxRanges || Overlaps(ranges, offset, offset + length))
        {
            return false;
        }

        ranges.Add(offset, offset + length);
        _ranges[(pathId, streamId)] = ranges;
        _total++;
        return true;
    }

    /// <summary>Changes the length of the range that begins at <paramref name="offset"/>; false as for <see cref="TryAdd"/>, or when there is none.</summary>
    public bool TryResize(int pathId, long streamId, long offset, long length)
    {
        if (!_ranges.TryGetValue((pathId, streamId), out SortedList<long, long>? ranges) || !ranges.Remove(offset, out long end))
        {
            return false;
        }

        bool fits = IsRange(offset, length) && !Overlaps(ranges, offset, offset + length);
        ranges.Add(offset, fits ? offset + length : end);
        return fits;
    }

    /// <summary>Takes back the range that begins at <paramref name="offset"/>; false when there is none.</summary>
    public bool Remove(int pathId, long streamId, long offset)
    {
        if (!_ranges.TryGetValue((pathId, streamId), out SortedList<long, long>? ranges) || !ranges.Remove(offset))
        {
            return false;
        }

        _total--;
        if (ranges.Count == 0)
        {
            _ranges.Remove((pathId, streamId));
        }

        return true;
    }

    /// <summary>Takes back every range of a path in a stream that has a byte between two offsets; returns how many.</summary>
    public int RemoveWithin(int pathId, long streamId, long offset, long end)
    {
        if (!_ranges.TryGetValue((pathId, streamId), out SortedList<long, long>? ranges))
        {
            return 0;
        }

        int before = ranges.Count;
        for (int index = IndexAtOrBefore(ranges, end - 1); index >= 0 && ranges.Values[index] > offset; index--)
        {
            ranges.RemoveAt(index);
        }

        int removed = before - ranges.Count;
        _total -= removed;
        if (ranges.Count == 0)
        {
            _ranges.Remove((pathId, streamId));
        }

        return removed;
    }

    /// <summary>Takes back every range in a stream; false when there was none.</summary>
    public bool RemoveStream(long streamId)
    {
        int before = _total;
        foreach (((int Path, long Stream) key, SortedList<long, long> ranges) in _ranges)
        {
            if (key.Stream == streamId)
            {
                _total -= ranges.Count;
                _ranges.Remove(key);
            }
        }

        return _total < before;
    }

    /// <summary>The range that holds <paramref name="offset"/>, if this path has one there.</summary>
    public bool TryFind(int pathId, long streamId, long offset, out (long Offset, long End) range)
    {
        range = default;
        if (!_ranges.TryGetValue((pathId, streamId), out SortedList<long, long>? ranges))
        {
            return false;
        }

        int index = IndexAtOrBefore(ranges, offset);
        if (index < 0 || ranges.Values[index] <= offset)
        {
            return false;
        }

        range = (ranges.Keys[index], ranges.Values[index]);
        return true;
    }

    /// <summary>True when every byte lies in a range of this path; ranges that touch count as one.</summary>
    public bool Cover(int pathId, long streamId, long offset, long end)
    {
        while (offset < end && TryFind(pathId, streamId, offset, out (long Offset, long End) range))
        {
            offset = range.End;
        }

        return offset >= end;
    }

    /// <summary>Every range of a path, and the stream that it lies in.</summary>
    public List<(long StreamId, long Offset, long End)> OfPath(int pathId) =>
        [.. from entry in _ranges where entry.Key.Path == pathId
            from range in entry.Value select (entry.Key.Stream, range.Key, range.Value)];

    /// <summary>The streams in which a path has a range.</summary>
    public HashSet<long> StreamsOf(int pathId) => [.. _ranges.Keys.Where(key => key.Path == pathId).Select(key => key.Stream)];

    /// <summary>The paths that may write the byte at <paramref name="offset"/>, the lowest first.</summary>
    public List<int> PathsAt(long streamId, long offset) =>
        [.. _ranges.Keys.Where(key => key.Stream == streamId && TryFind(key.Path, streamId, offset, out _)).Select(key => key.Path).Order()];

    private static bool IsRange(long offset, long length) =>
        offset >= 0 && length > 0 && offset <= StreamFrame.MaxOffset && length <= StreamFrame.MaxOffset - offset;

    private static bool Overlaps(SortedList<long, long> ranges, long offset, long end)
    {
        int index = IndexAtOrBefore(ranges, end - 1);
        return index >= 0 && ranges.Values[index] > offset;
    }

    /// <summary>Index of the last range that begins at or before <paramref name="offset"/>; -1 when there is none.</summary>
    private static int IndexAtOrBefore(SortedList<long, long> ranges, long offset)
    {
        int low = 0;
        int high = ranges.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (ranges.Keys[middle] <= offset)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low - 1;
    }
}
