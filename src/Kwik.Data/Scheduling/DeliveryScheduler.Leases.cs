namespace Kwik.Data;

/// <content>
/// Which lease is to bring which leaf. Each leaf that is neither free nor verified has one owner; beside it there may be second
/// copies, which do not count: hedges and duplicates of what an owner is to bring, and probes, of leaves that may even be free.
/// </content>
internal sealed partial class DeliveryScheduler
{
    private readonly Dictionary<long, DeliveryLease> _leases = [];

    // By offset; they do not overlap.
    private readonly List<DeliveryLease> _owners = [];

    // By number. Few.
    private readonly List<DeliveryLease> _copies = [];

    /// <summary>The first offset that is not verified.</summary>
    public long Head
    {
        get
        {
            long free = _free.IsEmpty ? _length : _free.Ranges[0].Start;
            return _owners.Count == 0 ? free : Math.Min(free, _owners[0].FirstAwaited);
        }
    }

    private DeliveryLease? OwnerAt(long leaf)
    {
        int at = OwnersUpTo(leaf) - 1;
        return at >= 0 && _owners[at].Awaits(leaf) ? _owners[at] : null;
    }

    /// <summary>How many owners begin there or before.</summary>
    private int OwnersUpTo(long offset)
    {
        (int low, int high) = (0, _owners.Count);
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = _owners[middle].Offset <= offset ? (middle + 1, high) : (low, middle);
        }

        return low;
    }

    private void Own(DeliveryLease lease)
    {
        _owners.Insert(OwnersUpTo(lease.Offset), lease);
        _free.Remove(lease.Offset, lease.End);
    }

    private bool HasCopy(DeliveryLease lease)
    {
        foreach (DeliveryLease copy in _copies)
        {
            if (copy.CopyOf == lease)
            {
                return true;
            }
        }

        return false;
    }

    private bool HasCopyOfAWellSource(long leaf)
    {
        foreach (DeliveryLease copy in _copies)
        {
            if (copy.Awaits(leaf) && copy.Source.Health == SourceHealth.Well)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Second copies of one lease do not overlap: one that is in the way of a better one ends, one behind it limits it.</summary>
    private void MakeWay(DeliveryLease lease, long start, ref long end)
    {
        for (int i = _copies.Count - 1; i >= 0; i--)
        {
            DeliveryLease copy = _copies[i];
            if (copy.CopyOf == lease && copy.Offset > start)
            {
                end = Math.Min(end, copy.Offset);
            }
            else if (copy.CopyOf == lease && copy.End > start)
            {
                End(copy, LeaseEnd.Superseded);
            }
        }
    }

    /// <summary>Bytes that were asked for or are here.</summary>
    private long Asked()
    {
        long asked = _length - _free.Count;
        foreach (DeliveryLease copy in _copies)
        {
            asked += copy.IsProbe && _free.Contains(copy.Offset) ? copy.End - copy.Offset : 0;
        }

        return asked;
    }

    private void DeliveredElsewhere(DeliveryLease lease, long leaf, long end)
    {
        long missing = lease.Missing;
        lease.DeliveredElsewhere(leaf, end, _leafSize);
        Shortened(lease, missing);
    }

    /// <summary>A lease is to bring less than before.</summary>
    private void Shortened(DeliveryLease lease, long missingBefore)
    {
        if (missingBefore > lease.Missing)
        {
            lease.Source.Owes(lease.Missing - missingBefore);
        }

        if (!lease.IsWanted)
        {
            End(lease, LeaseEnd.Superseded);
        }
        else if (lease.Missing == 0)
        {
            lease.Source.Leases.Remove(lease);
        }
    }

    /// <summary>The lease ends; its sender is told when it may still send.</summary>
    private void End(DeliveryLease lease, LeaseEnd why)
    {
        _leases.Remove(lease.RequestId);
        int at = OwnersUpTo(lease.Offset) - 1;
        if (at >= 0 && _owners[at] == lease)
        {
            _owners.RemoveAt(at);
        }
        else
        {
            _copies.Remove(lease);
        }

        if (lease.Source.Leases.Remove(lease))
        {
            lease.Source.Owes(-lease.Missing);
        }

        _steps.Enqueue(Explain(
            new(DeliveryStepKind.Cancel, lease.Source.Id, lease.RequestId, lease.Offset, lease.End, Why: why), lease.Source));
    }

    private void GiveBack(DeliveryLease lease, LeaseEnd why)
    {
        bool isCopy = lease.IsCopy;
        End(lease, why);
        if (isCopy)
        {
            // The owner still owes all of it, or it has always been free.
            return;
        }

        for (long leaf = lease.VerifiedEnd; leaf < lease.End; leaf += _leafSize)
        {
            if (lease.Awaits(leaf))
            {
                _free.Add(leaf, Math.Min(leaf + _leafSize, _length));
            }
        }

        // Its copies do not overlap: each owns its part from now on.
        for (int i = _copies.Count - 1; i >= 0; i--)
        {
            if (_copies[i].CopyOf == lease)
            {
                Promote(_copies[i]);
            }
        }
    }

    private void GiveAllBack(DeliverySource source, LeaseEnd why)
    {
        foreach (DeliveryLease lease in _leases.Values.Where(lease => lease.Source == source).OrderBy(lease => lease.RequestId).ToArray())
        {
            GiveBack(lease, why);
        }
    }

    /// <summary>What a source that is there again was asked for as a probe is its to bring, unless it is somebody else's by now.</summary>
    private void Adopt(DeliverySource source)
    {
        for (int i = _copies.Count - 1; i >= 0; i--)
        {
            if (_copies[i].Source == source && _copies[i].IsProbe && _free.Contains(_copies[i].Offset))
            {
                Promote(_copies[i]);
            }
        }
    }

    private void Promote(DeliveryLease copy)
    {
        (copy.CopyOf, copy.IsProbe) = (null, false);
        _copies.Remove(copy);
        Own(copy);
    }
}
