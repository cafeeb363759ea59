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

        var total = 0.0;
        foreach (DeliverySource source in _sources.Values)
        {
            total += IsAskable(source) ? RateOf(source) : 0;
        }

        long limit = InOrder ? taken + Math.Max(_leafSize, Window(total)) : _length;
        limit = limit >= _length ? _length : limit / _leafSize * _leafSize;
        if (TryHedge(taken, now, takes, out step) || TryProbe(taken, limit, now, takes, reserve, out step))
        {
            return true;
        }

        foreach (DeliverySource source in _sources.Values
            .Where(source => IsAskable(source) && (takes?.Invoke(source.Id) ?? true))
            .OrderBy(source => Finish(source, LeaseLength(source, total))).ThenBy(source => source.Id))
        {
            if (TryPlace(source, taken, limit, total, reserve, now, out step) || (source.Health == SourceHealth.Well && TryTakeOver(source, taken, limit, now, out step)))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Who is suspected is asked for more only when nobody is well.</summary>
    private bool IsAskable(DeliverySource source) =>
        source.Health == SourceHealth.Well
        || (source.Health == SourceHealth.Suspect && !_sources.Values.Any(other => other.Health == SourceHealth.Well));

    /// <summary>The source that would bring a leaf first.</summary>
    private DeliverySource? Best(Predicate<DeliverySource> where) => _sources.Values
        .Where(source => source.Health == SourceHealth.Well && where(source))
        .MinBy(source => (Finish(source, _leafSize), source.Id));

    private double RateOf(DeliverySource source)
    {
        if (source.Rate.BytesPerSecond > 0)
        {
            return source.Rate.BytesPerSecond;
        }

        double known = 0;
        int count = 0;
        foreach (DeliverySource other in _sources.Values)
        {
            known += other.Rate.BytesPerSecond;
            count += other.Rate.BytesPerSecond > 0 ? 1 : 0;
        }

        return count > 0 ? known / count : UnknownRate;
    }

    /// <summary>Seconds until a source has sent all that it owes, and so many bytes more.</summary>
    private double Finish(DeliverySource source, long length) =>
        source.RoundTrip.TotalSeconds + ((source.Outstanding + length) / RateOf(source));

    /// <summary>Two of the longest round trips and a longest lease, at all rates together: rule of thumb for a window that stops nobody.</summary>
    private long Window(double total)
    {
        double longest = _sources.Values.Max(source => source.LongestRoundTrip.TotalSeconds);
        double wanted = total * ((2 * longest) + _options.LeaseTime.TotalSeconds + _options.Slack.TotalSeconds);
        return Math.Min(_window, Math.Max(Leaves(wanted), 4L * _leafSize * _sources.Count));
    }

    /// <summary>Bytes in whole leaves, at least one.</summary>
    private long Leaves(double bytes) => Math.Max(1, (long)(bytes / _leafSize)) * _leafSize;

    private long LeaseLength(DeliverySource source, double total)
    {
        // A quarter of the window at most, so that each source finds room beside the others.
        double share = Window(total) / 4.0 * RateOf(source) / Math.Max(1, total);
        double wanted = Math.Min(RateOf(source) * _options.LeaseTime.TotalSeconds, share);
        if (source.Rate.Measured < Settled)
        {
            wanted = Math.Min((double)_leafSize * (1L << Math.Min(source.CompletedLeases, 10)), Window(total) / 4.0 / _sources.Count);
        }

        return Math.Min(Leaves(wanted), Math.Max(_options.MaxLease / _leafSize * _leafSize, _leafSize));
    }

    // An unknown source has two leases at most; each that it fulfils doubles the next.
    private bool HasRoom(DeliverySource source, long length) =>
        source.Leases.Count < 2
        || (source.Rate.Measured >= Settled && source.Outstanding + length <= RateOf(source) * (source.LongestRoundTrip + _options.Slack).TotalSeconds);

    /// <summary>Asks a source for the first free bytes that it brings before the reader gets there.</summary>
    private bool TryPlace(
        DeliverySource source, long taken, long limit, double total, Func<long, long>? reserve, TimeSpan now, out DeliveryStep step)
    {
        step = default;
        long length = LeaseLength(source, total);
        if (_free.IsEmpty || _free.Ranges[0].Start >= limit || !HasRoom(source, length))
        {
            return false;
        }

        // Where the full lease would be too far ahead, a short one may not be.
        for (; ; length = Leaves(length / 2.0))
        {
            if (TryFind(source, length, limit, total, out long start, out long end) && HasMemory(start, ref end, taken, reserve))
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
        long before = InOrder ? start : _length - _free.Count;
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

    private bool TryFind(DeliverySource source, long length, long limit, double total, out long start, out long end)
    {
        long passed = 0;
        foreach ((long from, long to) in _free.Ranges)
        {
            if (from >= limit)
            {
                break;
            }

            double ahead = (InOrder ? Ahead(source, length, total, from) : 0) - passed;
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

    /// <summary>Bytes that the others, those that are to bring this leaf, will have brought when this source is done with a lease.</summary>
    private double Ahead(DeliverySource source, long length, double total, long leaf)
    {
        double earliest = double.MaxValue;
        foreach (DeliverySource other in _sources.Values)
        {
            if (other != source && other.Health == SourceHealth.Well && !HasFailed(other, leaf))
            {
                earliest = Math.Min(earliest, Finish(other, LeaseLength(other, total)));
            }
        }

        double late = Finish(source, length) - earliest;
        double ahead = late > 0 && earliest < double.MaxValue ? late * (total - RateOf(source)) : 0;
        // A small delay costs nothing while there is window left; leaving a hole for the others to fill costs requests.
        return ahead > Math.Min(length / 2.0, Window(total) / 8.0) ? ahead : 0;
    }

    private bool HasFailed(DeliverySource source, long leaf) =>
        _failed.TryGetValue(source.Id, out RangeSet? failed) && failed.Contains(leaf);

    /// <summary>True when this source has failed to bring a leaf, and there is one that has not.</summary>
    private bool Avoids(DeliverySource source, long leaf) => HasFailed(source, leaf)
        && _sources.Values.Any(other => other != source && other.Health == SourceHealth.Well && !HasFailed(other, leaf));

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

    /// <summary>A source that has nothing to do relieves one that would be done later.</summary>
    private bool TryTakeOver(DeliverySource source, long taken, long limit, TimeSpan now, out DeliveryStep step)
    {
        step = default;
        bool isTail = _free.IsEmpty || _free.Ranges[0].Start >= _length;
        // Busy for longer than a lease takes to get here: it will ask again when it is free.
        if (source.Leases.Count > 0 && source.Outstanding > RateOf(source) * source.LongestRoundTrip.TotalSeconds)
        {
            return false;
        }

        long head = isTail ? 0 : Head;
        if (!isTail && (!InOrder || taken < head || _free.Ranges[0].Start < limit))
        {
            return false;
        }

        DeliveryLease? victim = null;
        double latest = 0;
        foreach (DeliveryLease lease in _leases.Values)
        {
            double end = ExpectedEnd(lease);
            bool isCandidate = lease.Source != source && lease.Missing > 0 && !lease.HasExtra && !lease.IsExtra
                && (isTail || lease.Awaits(head)) && MayBring(source, lease.VerifiedEnd, lease.End);
            if (isCandidate && (end > latest || (end == latest && lease.RequestId < victim!.RequestId)))
            {
                (victim, latest) = (lease, end);
            }
        }

        return victim is not null && TryRelieve(victim, latest, source, now, out step);
    }

    private bool TryRelieve(DeliveryLease victim, double expected, DeliverySource source, TimeSpan now, out DeliveryStep step)
    {
        step = default;
        if (!victim.HasBegun && Finish(source, victim.End - victim.Offset) + WorthTheTrouble < expected)
        {
            // Nothing has come of it, so that nothing is lost.
            (long offset, long end) = (victim.Offset, victim.End);
            End(victim);
            step = Ask(source, offset, end, LeaseReason.TakeOver, now);
            return true;
        }

        long begun = (victim.ReceivedEnd + _leafSize - 1) / _leafSize * _leafSize;
        long leaves = (victim.End - begun + _leafSize - 1) / _leafSize;
        double share = RateOf(source) / (RateOf(source) + RateOf(victim.Source));
        if (leaves >= 2)
        {
            long kept = begun + (Math.Max(0, leaves - Math.Max(1, (long)(leaves * share))) * _leafSize);
            if (Finish(source, victim.End - kept) + WorthTheTrouble < expected)
            {
                long end = victim.End;
                victim.Source.Owes(-(victim.End - kept));
                victim.End = kept;
                step = Ask(source, kept, end, LeaseReason.TakeOver, now);
                return true;
            }

            return false;
        }

        long first = Math.Max(victim.VerifiedEnd, victim.ReceivedEnd / _leafSize * _leafSize);
        if (Finish(source, victim.End - first) + WorthTheTrouble >= expected || victim.End - first > Allowed(_options.DuplicateShare))
        {
            return false;
        }

        victim.HasExtra = true;
        step = Ask(source, first, victim.End, LeaseReason.Duplicate, now);
        return true;
    }

    /// <summary>Seconds until a source is done with one of its leases.</summary>
    private double ExpectedEnd(DeliveryLease lease)
    {
        double before = lease.Source.Health == SourceHealth.Well ? 0 : _options.SuspectAfter.TotalSeconds;
        foreach (DeliveryLease earlier in lease.Source.Leases)
        {
            before += earlier.Missing / RateOf(lease.Source);
            if (earlier == lease)
            {
                break;
            }
        }

        return before + (lease.HasBegun ? 0 : lease.Source.RoundTrip.TotalSeconds);
    }

    private DeliveryStep Ask(DeliverySource source, long start, long end, LeaseReason reason, TimeSpan now)
    {
        bool isExtra = reason is LeaseReason.Hedge or LeaseReason.Duplicate || (reason == LeaseReason.Probe && At(start) is not null);
        var lease = new DeliveryLease(_nextRequestId(), source, start, end, now)
        {
            IsExtra = isExtra,
            WasAlone = source.Leases.Count == 0,
        };
        _free.Remove(start, end);
        _extraBytes += isExtra ? end - start : 0;
        _leases.Add(lease.RequestId, lease);
        source.Asked(lease);
        return new(DeliveryStepKind.Ask, source.Id, lease.RequestId, start, end, reason);
    }
}
