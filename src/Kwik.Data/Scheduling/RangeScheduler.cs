namespace Kwik.Data;

/// <summary>One range of a content that one source was asked for.</summary>
internal readonly record struct RangeLease(long RequestId, int Source, long Offset, long Length)
{
    public long End => Offset + Length;
}

/// <summary>
/// Shares the ranges of one content out among sources. A pure function of the events it is told: the same events give
/// the same leases. Not safe for concurrent use.
/// </summary>
/// <remarks>
/// Ranges are leased in order, the lowest first, to the source with the fewest bytes outstanding; each source has at
/// most two leases, so that it never runs dry while an answer is under way and a slow one never holds much. Nothing is
/// leased beyond the window, so the bytes that wait ahead of the reader are bounded by it.
/// </remarks>
internal sealed class RangeScheduler
{
    /// <summary>Most bytes of one lease: four leaves of the default size. Less for small windows.</summary>
    public const int MaxLeaseLength = 1024 * 1024;

    private const int Nobody = -1;

    // A window holds at least this many leases, so that several sources always have work.
    private const int LeasesPerWindow = 8;

    /// <summary>Leases that one source may have.</summary>
    public const int LeasesPerSource = 2;

    private readonly Func<long> _nextRequestId;
    private readonly long _length;
    private readonly long _window;
    private readonly long _leaseLength;
    private readonly Dictionary<long, (RangeLease Lease, long Received)> _leases = [];
    private readonly SortedDictionary<int, long> _outstanding = [];

    // Ranges that came back, by offset; they precede everything that was never leased.
    private readonly SortedDictionary<long, (long Length, int AvoidSource)> _returned = [];
    private long _nextOffset;

    /// <param name="length">Bytes of the content.</param>
    /// <param name="window">Bytes behind the reader's offset that may be leased.</param>
    /// <param name="nextRequestId">Gives a number that no lease has had, on any connection that the leases are asked on.</param>
    public RangeScheduler(long length, long window, Func<long> nextRequestId)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(window, LeasesPerWindow);
        _length = length;
        _nextRequestId = nextRequestId;
        _leaseLength = Math.Min(MaxLeaseLength, window / LeasesPerWindow);
        _window = window;
    }

    /// <summary>Sources that can be asked.</summary>
    public int SourceCount => _outstanding.Count;

    /// <summary>True when every byte has been received.</summary>
    public bool IsComplete => _nextOffset == _length && _returned.Count == 0 && _leases.Count == 0;

    /// <summary>A source can be asked from now on.</summary>
    public void AddSource(int source) => _outstanding.TryAdd(source, 0);

    /// <summary>What has not come of a lease; null when there is no such lease, or nothing is missing.</summary>
    public (long Offset, long Length)? Missing(long requestId) =>
        _leases.TryGetValue(requestId, out var entry) && entry.Received < entry.Lease.Length
            ? (entry.Lease.Offset + entry.Received, entry.Lease.Length - entry.Received)
            : null;

    /// <summary>A source can no longer be asked; what it owes goes back. Its leases are returned for the caller to cancel.</summary>
    public List<RangeLease> RemoveSource(int source)
    {
        List<RangeLease> lost = [.. _leases.Values.Where(entry => entry.Lease.Source == source).Select(entry => entry.Lease)];
        foreach (RangeLease lease in lost)
        {
            GiveBack(lease.RequestId);
        }

        _outstanding.Remove(source);
        return lost;
    }

    /// <summary>
    /// The next lease to ask for, if there is one for a source with room, within the window: so many bytes more than the
    /// application has taken. Call until false after every event.
    /// </summary>
    /// <param name="takenBytes">Bytes that the application has taken.</param>
    /// <param name="lease">What to ask of whom.</param>
    /// <param name="isFree">Tells which sources take requests now; null: all.</param>
    /// <param name="reserve">
    /// Makes room for bytes up to an offset, and tells up to which one there is; null: there is always room. With little
    /// room the lease is short, and the only one.
    /// </param>
    public bool TryLease(long takenBytes, out RangeLease lease, Predicate<int>? isFree = null, Func<long, long>? reserve = null)
    {
        lease = default;
        if (!TryPickReturned(isFree, out int source, out long offset, out long length)
            && !(TryPickSource(isFree, avoid: Nobody, out source) && TryPickNew(takenBytes, reserve, out offset, out length)))
        {
            return false;
        }

        lease = new(_nextRequestId(), source, offset, length);
        _leases.Add(lease.RequestId, (lease, 0));
        _outstanding[source] += length;
        return true;
    }

    /// <summary>Bytes of a lease arrived, in order. Returns false when there is no such lease (any more).</summary>
    public bool Received(long requestId, long bytes)
    {
        if (!_leases.TryGetValue(requestId, out var entry))
        {
            return false;
        }

        long received = entry.Received + bytes;
        ArgumentOutOfRangeException.ThrowIfGreaterThan(received, entry.Lease.Length, nameof(bytes));
        _outstanding[entry.Lease.Source] -= bytes;
        if (received == entry.Lease.Length)
        {
            _leases.Remove(requestId);
        }
        else
        {
            _leases[requestId] = (entry.Lease, received);
        }

        return true;
    }

    /// <summary>
    /// A lease will not be fulfilled by its source: what is missing of it is leased anew. Unknown leases are ignored. With
    /// <paramref name="avoidSource"/> it waits for another source; the same one gets it again only while it is the only one.
    /// </summary>
    public void GiveBack(long requestId, bool avoidSource = false)
    {
        if (_leases.Remove(requestId, out var entry))
        {
            long missing = entry.Lease.Length - entry.Received;
            _outstanding[entry.Lease.Source] -= missing;
            _returned.Add(entry.Lease.Offset + entry.Received, (missing, avoidSource ? entry.Lease.Source : Nobody));
        }
    }

    /// <summary>Picks a source with room, other than the one to avoid unless there is no other.</summary>
    private bool TryPickSource(Predicate<int>? isFree, int avoid, out int source)
    {
        source = Nobody;
        long least = long.MaxValue;
        foreach ((int candidate, long outstanding) in _outstanding)
        {
            if (outstanding < least && (candidate != avoid || _outstanding.Count == 1) && (isFree?.Invoke(candidate) ?? true)
                && _leases.Values.Count(entry => entry.Lease.Source == candidate) < LeasesPerSource)
            {
                (source, least) = (candidate, outstanding);
            }
        }

        return source != Nobody;
    }

    /// <summary>The first of the returned ranges that somebody with room may have.</summary>
    private bool TryPickReturned(Predicate<int>? isFree, out int source, out long offset, out long length)
    {
        foreach ((long start, (long missing, int avoid)) in _returned)
        {
            if (TryPickSource(isFree, avoid, out source))
            {
                (offset, length) = (start, missing);
                return _returned.Remove(start);
            }
        }

        (source, offset, length) = (Nobody, 0, 0);
        return false;
    }

    private bool TryPickNew(long takenBytes, Func<long, long>? reserve, out long offset, out long length)
    {
        long limit = Math.Min(_length, takenBytes + _window);
        offset = _nextOffset;
        length = Math.Min(_leaseLength, limit - offset);
        // A sliver at the edge of the window waits until the reader has moved on; the end of the content does not.
        if (length <= 0 || (length < _leaseLength && limit < _length))
        {
            return false;
        }

        long room = (reserve?.Invoke(offset + length) ?? offset + length) - offset;
        if (room <= 0 || (room < length && _leases.Count > 0))
        {
            return false;
        }

        length = Math.Min(length, room);
        _nextOffset += length;
        return true;
    }
}
