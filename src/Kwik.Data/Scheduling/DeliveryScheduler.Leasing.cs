namespace Kwik.Data;

/// <content>Who is asked for what.</content>
internal sealed partial class DeliveryScheduler
{
    // What is not known is taken for a slow line, which gets what is needed late.
    private const double UnknownRate = 1_000_000;

    // Seconds of a rate that is believed; before, leases double.
    private const double Settled = 0.1;

    // A source that takes over must be earlier by this.
    private const double WorthTheTrouble = 0.02;

    // Sources that can be given work, for the time of one decision.
    private readonly List<DeliverySource> _idle = [];

    // Bytes a second of all that can be asked, and bytes that are wanted ahead of the reader; set anew before each decision.
    private double _total;
    private long _wanted;

    /// <summary>The next step, if there is one now.</summary>
    /// <param name="taken">Bytes that the reader has taken: in order, the offset that it is at.</param>
    /// <param name="now">Never earlier than before.</param>
    /// <param name="step">What to do.</param>
    /// <param name="takes">Tells which sources take requests now; null: all.</param>
    /// <param name="reserve">Makes room for bytes up to an offset, and tells up to which one there is; null: there is always room.</param>
    public bool TryNext(
        long taken, TimeSpan now, out DeliveryStep step, Predicate<int>? takes = null, Func<long, long>? reserve = null)
    {
        Examine(now);
        if (_steps.TryDequeue(out step))
        {
            return true;
        }

        if (IsComplete || _sources.Count == 0)
        {
            return false;
        }

        Estimate();
        long limit = InOrder ? taken + Math.Max(_leafSize, _wanted) : _length;
        limit = limit >= _length ? _length : limit / _leafSize * _leafSize;
        return TryHedge(taken, now, takes, out step)
            || TryProbe(taken, limit, now, takes, reserve, out step)
            || TryGiveWork(taken, limit, now, takes, reserve, out step);
    }

    /// <summary>Who would be done first is asked first.</summary>
    private bool TryGiveWork(
        long taken, long limit, TimeSpan now, Predicate<int>? takes, Func<long, long>? reserve, out DeliveryStep step)
    {
        _idle.Clear();
        foreach (DeliverySource source in _sources)
        {
            if (IsAskable(source) && (HasRoom(source) || MayTakeOver(source)) && (takes?.Invoke(source.Id) ?? true))
            {
                int behind = _idle.Count;
                while (behind > 0 && _idle[behind - 1].Finish(_idle[behind - 1].LeaseLength) > source.Finish(source.LeaseLength))
                {
                    behind--;
                }

                _idle.Insert(behind, source);
            }
        }

        foreach (DeliverySource source in _idle)
        {
            if (TryPlace(source, taken, limit, reserve, now, out step) || TryTakeOver(source, taken, limit, now, out step))
            {
                return true;
            }
        }

        step = default;
        return false;
    }

    /// <summary>Who is suspected is asked for more only when nobody is well.</summary>
    private bool IsAskable(DeliverySource source) =>
        source.Health == SourceHealth.Well || (source.Health == SourceHealth.Suspect && !IsAny(SourceHealth.Well));

    /// <summary>What the sources can do, as far as is known now.</summary>
    private void Estimate()
    {
        (double known, int count, double longest) = (0, 0, 0);
        foreach (DeliverySource source in _sources)
        {
            known += source.Rate.BytesPerSecond;
            count += source.Rate.BytesPerSecond > 0 ? 1 : 0;
            longest = Math.Max(longest, source.LongestRoundTrip.TotalSeconds);
        }

        _total = 0;
        foreach (DeliverySource source in _sources)
        {
            source.Speed = source.Rate.BytesPerSecond > 0 ? source.Rate.BytesPerSecond : count > 0 ? known / count : UnknownRate;
            _total += IsAskable(source) ? source.Speed : 0;
        }

        // Two of the longest round trips and a longest lease, at all rates together: rule of thumb for a window that stops nobody.
        double wanted = _total * ((2 * longest) + _options.LeaseTime.TotalSeconds + _options.Slack.TotalSeconds);
        _wanted = Math.Min(_window, Math.Max(Leaves(wanted), 4L * _leafSize * _sources.Count));
        foreach (DeliverySource source in _sources)
        {
            source.LeaseLength = LeaseLength(source);
        }
    }

    /// <summary>Bytes in whole leaves, at least one.</summary>
    private long Leaves(double bytes) => Math.Max(1, (long)(bytes / _leafSize)) * _leafSize;

    private long LeaseLength(DeliverySource source)
    {
        // A quarter of the window at most, so that each source finds room beside the others.
        double share = _wanted / 4.0 * source.Speed / Math.Max(1, _total);
        double wanted = Math.Min(source.Speed * _options.LeaseTime.TotalSeconds, share);
        if (source.Rate.Measured < Settled)
        {
            wanted = Math.Min((double)_leafSize * (1L << Math.Min(source.CompletedLeases, 10)), _wanted / 4.0 / _sources.Count);
        }

        return Math.Min(Leaves(wanted), Math.Max(_options.MaxLease / _leafSize * _leafSize, _leafSize));
    }

    // An unknown source has two leases at most; each that it fulfils doubles the next.
    private bool HasRoom(DeliverySource source) =>
        source.Leases.Count < 2
        || (source.Rate.Measured >= Settled
            && source.Outstanding + source.LeaseLength <= source.Speed * (source.LongestRoundTrip + _options.Slack).TotalSeconds);

    /// <summary>Asks a source for the first free bytes that it brings before the reader gets there.</summary>
    private bool TryPlace(
        DeliverySource source, long taken, long limit, Func<long, long>? reserve, TimeSpan now, out DeliveryStep step)
    {
        step = default;
        long length = source.LeaseLength;
        if (_free.IsEmpty || _free.Ranges[0].Start >= limit || !HasRoom(source))
        {
            return false;
        }

        // Where the full lease would be too far ahead, a short one may not be.
        for (; ; length = Leaves(length / 2.0))
        {
            if (TryFind(source, length, limit, out long start, out long end) && HasMemory(start, ref end, taken, reserve))
            {
                step = Ask(source, start, end, LeaseReason.Next, now);
                return true;
            }

            if (length <= _leafSize)
            {
                return false;
            }
        }
    }

    /// <summary>Shortens a range to what there is memory for; false when that is less than a leaf. The reader's next leaf needs none.</summary>
    private bool HasMemory(long start, ref long end, long taken, Func<long, long>? reserve)
    {
        // In order, what is asked for far ahead needs the room of all that lies before it; else only its own, beside what was
        // asked for and what is here but not taken.
        long before = InOrder ? start : Asked();
        long limit = InOrder ? _length : taken + _window;
        long wanted = Math.Min(before + end - start, limit);
        long room = Math.Min(wanted, reserve?.Invoke(wanted) ?? wanted) - before;
        if (room < end - start)
        {
            long whole = start + (Math.Max(0, room) / _leafSize * _leafSize);
            end = whole > start || before > taken ? whole : Math.Min(start + _leafSize, end);
        }

        return end > start;
    }

    private bool TryFind(DeliverySource source, long length, long limit, out long start, out long end)
    {
        long passed = 0;
        for (int i = 0; i < _free.Ranges.Count; i++)
        {
            (long from, long to) = _free.Ranges[i];
            if (from >= limit)
            {
                break;
            }

            double ahead = (InOrder ? Ahead(source, length, from) : 0) - passed;
            long skipped = ahead > 0 ? Math.Min(to - from, (long)Math.Ceiling(ahead / _leafSize) * _leafSize) : 0;
            passed += skipped;
            long behind = Math.Min(to, limit);
            for (long first = from + skipped; first < behind; first += length)
            {
                (start, end) = (first, Math.Min(first + length, behind));
                if (TryAvoid(source, ref start, ref end))
                {
                    return true;
                }
            }
        }

        (start, end) = (0, 0);
        return false;
    }

    /// <summary>Bytes that those others who can bring them earlier will have brought when this source is done with a lease.</summary>
    private double Ahead(DeliverySource source, long length, long leaf)
    {
        double done = source.Finish(length);
        double ahead = 0;
        foreach (DeliverySource other in _sources)
        {
            // What is beyond its next lease: one lease more or less costs the reader little, a hole that nobody fills much.
            double lead = done - other.Finish(other.LeaseLength);
            if (lead > 0 && other != source && IsAskable(other) && !HasFailed(other, leaf))
            {
                ahead += lead * other.Speed;
            }
        }

        // A small delay costs nothing while there is window left; leaving a hole for the others to fill costs requests.
        return ahead > Math.Min(length / 2.0, _wanted / 8.0) ? ahead : 0;
    }
    private bool HasFailed(DeliverySource source, long leaf) =>
        _failed.TryGetValue(source.Id, out RangeSet? failed) && failed.Contains(leaf);

    /// <summary>True when this source has failed to bring a leaf, and there is one that has not.</summary>
    private bool Avoids(DeliverySource source, long leaf)
    {
        if (HasFailed(source, leaf))
        {
            foreach (DeliverySource other in _sources)
            {
                if (other != source && other.Health == SourceHealth.Well && !HasFailed(other, leaf))
                {
                    return true;
                }
            }
        }

        return false;
    }

    /// <summary>Cuts a range to the first part of it that this source may be asked for; false when there is none.</summary>
    private bool TryAvoid(DeliverySource source, ref long start, ref long end)
    {
        if (_failed.ContainsKey(source.Id))
        {
            while (start < end && Avoids(source, start))
            {
                start += _leafSize;
            }

            long behind = start;
            while (behind < end && !Avoids(source, behind))
            {
                behind += _leafSize;
            }

            end = Math.Min(behind, end);
        }

        return start < end;
    }

    private bool MayBring(DeliverySource source, long start, long end)
    {
        (long first, long behind) = (start, end);
        return TryAvoid(source, ref first, ref behind) && (first, behind) == (start, end);
    }

    // Busy for longer than a lease takes to get here: it will ask again when it is free.
    private static bool MayTakeOver(DeliverySource source) => source.Health == SourceHealth.Well
        && (source.Leases.Count == 0 || source.Outstanding <= source.Speed * source.LongestRoundTrip.TotalSeconds);

    /// <summary>A source that has nothing to do relieves one that would be done later.</summary>
    private bool TryTakeOver(DeliverySource source, long taken, long limit, TimeSpan now, out DeliveryStep step)
    {
        step = default;
        if (!MayTakeOver(source))
        {
            return false;
        }

        if (!_free.IsEmpty)
        {
            // Only what keeps the window shut.
            long head = Head;
            return InOrder && taken >= head && _free.Ranges[0].Start >= limit && OwnerAt(head) is { } owner
                && IsVictim(owner, source) && TryRelieve(owner, ExpectedEnd(owner), source, now, out step);
        }

        DeliveryLease? victim = null;
        double latest = 0;
        foreach (DeliverySource other in _sources)
        {
            double end = Beginning(other);
            foreach (DeliveryLease lease in other.Leases)
            {
                end += lease.Missing / other.Speed;
                double expected = end + (lease.HasBegun ? 0 : other.RoundTrip.TotalSeconds);
                if (expected > latest && IsVictim(lease, source))
                {
                    (victim, latest) = (lease, expected);
                }
            }
        }

        return victim is not null && TryRelieve(victim, latest, source, now, out step);
    }

    private bool IsVictim(DeliveryLease lease, DeliverySource source) =>
        lease.Source != source && lease.Missing > 0 && !lease.IsCopy && !HasCopy(lease)
        && lease.FirstGapFrom(lease.FirstAwaited) == lease.End && MayBring(source, lease.FirstAwaited, lease.End);

    private bool TryRelieve(DeliveryLease victim, double expected, DeliverySource source, TimeSpan now, out DeliveryStep step)
    {
        step = default;
        long awaited = victim.FirstAwaited;
        if (!victim.HasBegun && source.Finish(victim.End - awaited) + WorthTheTrouble < expected)
        {
            // Nothing has come of it, so that nothing is lost.
            long end = victim.End;
            End(victim, LeaseEnd.Superseded);
            step = Ask(source, awaited, end, LeaseReason.TakeOver, now);
            return true;
        }

        long begun = Math.Max(awaited, (victim.ReceivedEnd + _leafSize - 1) / _leafSize * _leafSize);
        long leaves = (victim.End - begun + _leafSize - 1) / _leafSize;
        double share = source.Speed / (source.Speed + victim.Source.Speed);
        if (leaves >= 2)
        {
            long kept = begun + (Math.Max(0, leaves - Math.Max(1, (long)(leaves * share))) * _leafSize);
            if (source.Finish(victim.End - kept) + WorthTheTrouble < expected)
            {
                (long end, long missing) = (victim.End, victim.Missing);
                victim.Shorten(kept, _leafSize);
                Shortened(victim, missing);
                step = Ask(source, kept, end, LeaseReason.TakeOver, now);
                return true;
            }

            return false;
        }

        long first = Math.Max(awaited, victim.ReceivedEnd / _leafSize * _leafSize);
        if (source.Finish(victim.End - first) + WorthTheTrouble >= expected || victim.End - first > Allowed(_options.DuplicateShare))
        {
            return false;
        }

        step = Ask(source, first, victim.End, LeaseReason.Duplicate, now, victim);
        return true;
    }

    /// <summary>Seconds until a source is done with one of its leases.</summary>
    private double ExpectedEnd(DeliveryLease lease)
    {
        double before = Beginning(lease.Source);
        foreach (DeliveryLease earlier in lease.Source.Leases)
        {
            before += earlier.Missing / lease.Source.Speed;
            if (earlier == lease)
            {
                break;
            }
        }

        return before + (lease.HasBegun ? 0 : lease.Source.RoundTrip.TotalSeconds);
    }

    private double Beginning(DeliverySource source) => source.Health == SourceHealth.Well ? 0 : _options.SuspectAfter.TotalSeconds;

    private DeliveryStep Ask(
        DeliverySource source, long start, long end, LeaseReason reason, TimeSpan now, DeliveryLease? copyOf = null)
    {
        var lease = new DeliveryLease(_nextRequestId(), source, start, end, now)
        {
            CopyOf = copyOf,
            IsProbe = reason == LeaseReason.Probe,
            WasAlone = source.Leases.Count == 0,
        };
        _leases.Add(lease.RequestId, lease);
        if (lease.IsCopy)
        {
            _copies.Add(lease);
            _extraBytes += end - start;
        }
        else
        {
            Own(lease);
        }

        source.Asked(lease);
        return Explain(new(DeliveryStepKind.Ask, source.Id, lease.RequestId, start, end, reason), source);
    }
}
