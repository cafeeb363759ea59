namespace Kwik.Data;

/// <summary>
/// Shares the leaves of one content out among sources, so that the reader has them as early as all sources together can
/// bring them. A pure function of the events that it is told and of their times: the same events give the same steps. Not
/// safe for concurrent use.
/// </summary>
/// <remarks>
/// After every event, and at <see cref="NextWakeUp"/>, its owner calls <see cref="TryNext"/> until there is no step. What is
/// neither free nor leased has been verified. Terms: a lease <em>ends</em> when all its leaves are verified, when it is
/// cancelled, or when its source is gone. A leaf may be received long before it is verified: until then it is its lease's.
/// </remarks>
internal sealed partial class DeliveryScheduler
{
    private readonly DeliveryOptions _options;
    private readonly Func<long> _nextRequestId;
    private readonly long _length;
    private readonly int _leafSize;
    private readonly long _window;
    private readonly RangeSet _free = new();
    private readonly Queue<DeliveryStep> _steps = new();

    // By number. Few: one for each server.
    private readonly List<DeliverySource> _sources = [];

    // What each source failed to bring: another one is to have it, if there is one that did not.
    private readonly Dictionary<int, RangeSet> _failed = [];
    private long _extraBytes;

    /// <param name="length">Bytes of the content.</param>
    /// <param name="leafSize">What is verified, and leased, as a whole.</param>
    /// <param name="window">Bytes that may wait ahead of the reader, at most; at least one leaf is asked for in any case.</param>
    /// <param name="options">Constants.</param>
    /// <param name="nextRequestId">Gives a number that no lease has had, larger than all before.</param>
    public DeliveryScheduler(
        long length, int leafSize, long window, DeliveryOptions options, Func<long> nextRequestId)
    {
        (_length, _leafSize, _window, _options, _nextRequestId) = (length, leafSize, window, options, nextRequestId);
        _free.Add(0, length);
    }

    /// <summary>False when pieces are wanted in any order. Default true.</summary>
    public bool InOrder { get; set; } = true;

    /// <summary>The sources that can be asked, the silent ones included, by their numbers, and how each of them does.</summary>
    public IReadOnlyList<DeliverySource> Sources => _sources;

    /// <summary>True when every byte is here and verified.</summary>
    public bool IsComplete => _free.IsEmpty && _leases.Count == 0;

    /// <summary>Bytes of second copies that were asked for.</summary>
    public long ExtraBytes => _extraBytes;

    /// <summary>A source can be asked from now on.</summary>
    public void AddSource(int source, TimeSpan roundTrip)
    {
        if (Find(source) is null)
        {
            int behind = _sources.FindIndex(other => other.Id > source);
            _sources.Insert(behind < 0 ? _sources.Count : behind, new(source, roundTrip));
        }
    }

    /// <summary>Whole leaves that are here already. Before anything is leased.</summary>
    public void Skip(long start, long end) => _free.Remove(start, end);

    /// <summary>A source can no longer be asked; what it owes goes back, and its leases end.</summary>
    public void RemoveSource(int source)
    {
        if (Find(source) is { } gone)
        {
            _sources.Remove(gone);
            GiveAllBack(gone, LeaseEnd.GivenBack);
        }
    }

    /// <summary>A round trip to a source was measured, by whatever means.</summary>
    public void Measured(int source, TimeSpan roundTrip) => Find(source)?.Measured(roundTrip);

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
        source.Progressed(lease, counted, now);
        lease.ReceivedEnd += bytes;
        if (source.Health != SourceHealth.Well)
        {
            source.Health = SourceHealth.Well;
            Adopt(source);
            Tell(DeliveryStepKind.Back, source);
        }

        if (lease.Missing == 0)
        {
            source.CompletedLeases += source.Leases.Remove(lease) ? 1 : 0;
        }

        return true;
    }

    /// <summary>
    /// A leaf of a lease came whole, and is right; in whatever order, as late as its check takes. False when it was here already,
    /// from another source, or when the lease has ended.
    /// </summary>
    public bool Verified(long requestId, long leaf)
    {
        if (!_leases.TryGetValue(requestId, out DeliveryLease? lease) || !lease.Awaits(leaf))
        {
            return false;
        }

        long end = Math.Min(leaf + _leafSize, _length);
        lease.Verified(leaf, end, _leafSize);
        _free.Remove(leaf, end);
        if (!lease.IsWanted)
        {
            // Whoever was asked for more than is wanted now has to be stopped.
            End(lease, LeaseEnd.Done);
        }

        if (OwnerAt(leaf) is { } owner && owner != lease)
        {
            DeliveredElsewhere(owner, leaf, end);
        }

        for (int i = _copies.Count - 1; i >= 0; i--)
        {
            if (_copies[i] != lease && _copies[i].Awaits(leaf))
            {
                DeliveredElsewhere(_copies[i], leaf, end);
            }
        }

        return true;
    }

    /// <summary>
    /// A lease will not be fulfilled, or what it brought is wrong: what is not verified of it is leased anew. With
    /// <paramref name="avoid"/> of another source, if there is one.
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

            GiveBack(lease, LeaseEnd.GivenBack);
        }
    }

    /// <summary>What has not been verified of a lease; null when there is no such lease.</summary>
    public (long Offset, long Length)? Missing(long requestId) =>
        _leases.TryGetValue(requestId, out DeliveryLease? lease) ? (lease.VerifiedEnd, lease.End - lease.VerifiedEnd) : null;

    /// <summary>The request that is to bring the leaf with this offset, not a second copy; null when there is none.</summary>
    public long? RequestAt(long offset) => OwnerAt(offset - (offset % _leafSize))?.RequestId;

    private DeliverySource? Find(int id)
    {
        foreach (DeliverySource source in _sources)
        {
            if (source.Id == id)
            {
                return source;
            }
        }

        return null;
    }

    private void Tell(DeliveryStepKind kind, DeliverySource source) => _steps.Enqueue(Explain(new(kind, source.Id), source));

    private static DeliveryStep Explain(DeliveryStep step, DeliverySource source) =>
        step with { Rate = source.Rate.BytesPerSecond, RoundTrip = source.RoundTrip, Outstanding = source.Outstanding };
}
