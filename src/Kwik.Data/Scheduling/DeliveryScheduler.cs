namespace Kwik.Data;

/// <summary>
/// Shares the leaves of one content out among sources, so that the reader has them as early as all sources together can
/// bring them. A pure function of the events that it is told and of their times: the same events give the same steps. Not
/// safe for concurrent use.
/// </summary>
/// <remarks>
/// After every event, and at <see cref="NextWakeUp"/>, its owner calls <see cref="TryNext"/> until there is no step. What is
/// neither free nor leased has been verified. Terms: a lease <em>ends</em> when all its leaves are verified, when it is
/// cancelled, or when its source is gone.
/// </remarks>
internal sealed partial class DeliveryScheduler
{
    private readonly DeliveryOptions _options;
    private readonly Func<long> _nextRequestId;
    private readonly long _length;
    private readonly int _leafSize;
    private readonly long _window;
    private readonly RangeSet _free = new();
    private readonly SortedDictionary<int, DeliverySource> _sources = [];
    private readonly Dictionary<long, DeliveryLease> _leases = [];
    private readonly Queue<DeliveryStep> _steps = new();

    // What each source failed to bring: another one is to have it, if there is one that did not.
    private readonly Dictionary<int, RangeSet> _failed = [];
    private long _extraBytes;

    /// <param name="length">Bytes of the content.</param>
    /// <param name="leafSize">What is verified, and leased, as a whole.</param>
    /// <param name="window">Bytes that may wait ahead of the reader, at most; at least one leaf is asked for in any case.</param>
    /// <param name="options">Constants.</param>
    /// <param name="nextRequestId">Gives a number that no lease has had.</param>
    public DeliveryScheduler(
        long length, int leafSize, long window, DeliveryOptions options, Func<long> nextRequestId)
    {
        (_length, _leafSize, _window, _options, _nextRequestId) = (length, leafSize, window, options, nextRequestId);
        _free.Add(0, length);
    }

    /// <summary>False when pieces are wanted in any order. Default true.</summary>
    public bool InOrder { get; set; } = true;

    /// <summary>Sources that can be asked, the silent ones included.</summary>
    public int SourceCount => _sources.Count;

    /// <summary>The same sources, by their numbers, and how each of them does.</summary>
    public IEnumerable<DeliverySource> Sources => _sources.Values;

    /// <summary>True when every byte is here and verified.</summary>
    public bool IsComplete => _free.IsEmpty && _leases.Count == 0;

    /// <summary>Bytes of second copies that were asked for.</summary>
    public long ExtraBytes => _extraBytes;

    /// <summary>The first offset that is not verified.</summary>
    public long Head
    {
        get
        {
            long head = _free.IsEmpty ? _length : _free.Ranges[0].Start;
            foreach (DeliveryLease lease in _leases.Values)
            {
                for (long leaf = lease.VerifiedEnd; leaf < lease.End && leaf < head; leaf += _leafSize)
                {
                    head = lease.Awaits(leaf) ? leaf : head;
                }
            }

            return head;
        }
    }

    /// <summary>A source can be asked from now on.</summary>
    public void AddSource(int source, TimeSpan roundTrip) => _sources.TryAdd(source, new(source, roundTrip));

    /// <summary>A source can no longer be asked; what it owes goes back, and its leases end.</summary>
    public void RemoveSource(int source)
    {
        if (_sources.Remove(source, out DeliverySource? gone))
        {
            GiveAllBack(gone);
        }
    }

    /// <summary>A round trip to a source was measured, by whatever means.</summary>
    public void Measured(int source, TimeSpan roundTrip)
    {
        if (_sources.TryGetValue(source, out DeliverySource? known))
        {
            known.Measured(roundTrip);
        }
    }

    /// <summary>Bytes of a lease came, in order. False when it has ended.</summary>
    public bool Received(long requestId, long bytes, TimeSpan now)
    {
        if (!_leases.TryGetValue(requestId, out DeliveryLease? lease))
        {
            return false;
        }

        NoticeOwnStall(now);
        DeliverySource source = lease.Source;
        if (!lease.HasBegun && lease.WasAlone && now > lease.Asked)
        {
            source.Measured(now - lease.Asked);
        }

        // A lease that was shortened may bring more than is wanted of it.
        long counted = Math.Min(bytes, lease.Missing);
        source.Progressed(counted, now);
        lease.ReceivedEnd += bytes;
        if (source.Health != SourceHealth.Well)
        {
            source.Health = SourceHealth.Well;
            _steps.Enqueue(new(DeliveryStepKind.Back, source.Id));
        }

        if (lease.Missing == 0)
        {
            source.CompletedLeases += source.Leases.Remove(lease) ? 1 : 0;
        }

        return true;
    }

    /// <summary>
    /// A leaf of a lease came whole, and is right; leaves of one lease come in order. False when it was here already, from
    /// another source.
    /// </summary>
    public bool Verified(long requestId, long leaf)
    {
        if (!_leases.TryGetValue(requestId, out DeliveryLease? lease) || !lease.Awaits(leaf))
        {
            return false;
        }

        long end = Math.Min(leaf + _leafSize, _length);
        lease.VerifiedEnd = end;
        _free.Remove(leaf, end);
        if (!lease.IsWanted(_leafSize))
        {
            // Whoever was asked for more than is wanted now has to be stopped.
            End(lease);
        }

        foreach (DeliveryLease other in OthersAt(leaf, lease))
        {
            long missing = other.Missing;
            other.DeliveredElsewhere(leaf, end, _leafSize);
            if (missing > other.Missing)
            {
                other.Source.Owes(other.Missing - missing);
            }

            if (!other.IsWanted(_leafSize))
            {
                End(other);
            }
            else if (other.Missing == 0)
            {
                other.Source.Leases.Remove(other);
            }
        }

        return true;
    }

    /// <summary>
    /// A lease will not be fulfilled: what is missing of it is leased anew. With <paramref name="avoid"/> of another source, if
    /// there is one.
    /// </summary>
    public void GiveBack(long requestId, bool avoid)
    {
        if (_leases.TryGetValue(requestId, out DeliveryLease? lease))
        {
            if (avoid)
            {
                int source = lease.Source.Id;
                _failed.TryAdd(source, new RangeSet());
                _failed[source].Add(lease.VerifiedEnd, lease.End);
            }

            GiveBack(lease);
        }
    }

    /// <summary>What has not been verified of a lease; null when there is no such lease.</summary>
    public (long Offset, long Length)? Missing(long requestId) =>
        _leases.TryGetValue(requestId, out DeliveryLease? lease) ? (lease.VerifiedEnd, lease.End - lease.VerifiedEnd) : null;

    /// <summary>The request that is to bring the leaf with this offset; null when there is none.</summary>
    public long? RequestAt(long offset) => At(offset - (offset % _leafSize))?.RequestId;

    private DeliveryLease? At(long leaf)
    {
        DeliveryLease? found = null;
        foreach (DeliveryLease lease in _leases.Values)
        {
            found = lease.Awaits(leaf) && (found is null || lease.RequestId < found.RequestId) ? lease : found;
        }

        return found;
    }

    private List<DeliveryLease> OthersAt(long leaf, DeliveryLease? but) =>
        [.. _leases.Values.Where(lease => lease != but && lease.Awaits(leaf)).OrderBy(lease => lease.RequestId)];

    /// <summary>The lease ends; its sender is told when it may still send.</summary>
    private void End(DeliveryLease lease)
    {
        _leases.Remove(lease.RequestId);
        if (lease.Source.Leases.Remove(lease))
        {
            lease.Source.Owes(-lease.Missing);
        }

        _steps.Enqueue(new(DeliveryStepKind.Cancel, lease.Source.Id, lease.RequestId));
    }

    private void GiveBack(DeliveryLease lease)
    {
        End(lease);
        for (long leaf = lease.VerifiedEnd; leaf < lease.End; leaf += _leafSize)
        {
            if (lease.Awaits(leaf) && At(leaf) is null)
            {
                _free.Add(leaf, Math.Min(leaf + _leafSize, lease.End));
            }
        }
    }

    private void GiveAllBack(DeliverySource source)
    {
        foreach (DeliveryLease lease in _leases.Values.Where(lease => lease.Source == source).OrderBy(lease => lease.RequestId).ToArray())
        {
            GiveBack(lease);
        }
    }
}
