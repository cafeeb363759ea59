namespace Kwik.Data;

/// <content>Who is silent, and what is done about it.</content>
internal sealed partial class DeliveryScheduler
{
    // Later than this at a wake-up, and we were the ones who did not run.
    private static readonly TimeSpan OwnStall = TimeSpan.FromMilliseconds(50);

    // How often the last source is waited for instead of being given up.
    private const int MaxSpared = 3;

    private TimeSpan? _wakeUp;

    /// <summary>When <see cref="TryNext"/> is to be called although nothing happens; null: never.</summary>
    public TimeSpan? NextWakeUp
    {
        get
        {
            TimeSpan? next = null;
            if (IsComplete)
            {
                return _wakeUp = null;
            }

            foreach (DeliverySource source in _sources)
            {
                TimeSpan? due = source.Health == SourceHealth.Dead ? source.NextProbe : source.Deadline(_options);
                next = next is null || due < next ? due ?? next : next;
            }

            return _wakeUp = next;
        }
    }

    /// <summary>When we did not run, nobody's silence is held against it; to be told before anything else of that time.</summary>
    private void NoticeOwnStall(TimeSpan now)
    {
        if (_wakeUp is { } due && now - due > OwnStall)
        {
            _wakeUp = null;
            foreach (DeliverySource source in _sources)
            {
                source.RestartClock(now);
            }
        }
    }

    private void Examine(TimeSpan now)
    {
        NoticeOwnStall(now);
        _wakeUp = null;
        foreach (DeliverySource source in _sources)
        {
            if (source.Deadline(_options) <= now)
            {
                source.Rate.Silent(now);
                if (source.Health == SourceHealth.Well)
                {
                    source.Health = SourceHealth.Suspect;
                    Tell(DeliveryStepKind.Suspect, source);
                }
                else if (IsAny(SourceHealth.Well) || source.Spared == MaxSpared)
                {
                    GiveUp(source, now);
                }
                else
                {
                    // Nobody else could be asked for what it owes.
                    source.Spare(now);
                }
            }
        }
    }

    private bool IsAny(SourceHealth health)
    {
        foreach (DeliverySource source in _sources)
        {
            if (source.Health == health)
            {
                return true;
            }
        }

        return false;
    }

    private void GiveUp(DeliverySource source, TimeSpan now)
    {
        source.Health = SourceHealth.Dead;
        source.NextProbe = now + ProbeInterval(source);
        Tell(DeliveryStepKind.Dead, source);
        GiveAllBack(source, LeaseEnd.Silent);
    }

    /// <summary>What the reader waits for is asked of a second source, when the first one is silent.</summary>
    private bool TryHedge(long taken, TimeSpan now, Predicate<int>? takes, out DeliveryStep step)
    {
        step = default;
        if (!InOrder || !IsAny(SourceHealth.Suspect))
        {
            return false;
        }

        // What is here but not checked is not asked for again.
        long head = Head;
        if (taken < head || OwnerAt(head) is not { Source.Health: SourceHealth.Suspect } late
            || late.ReceivedEnd >= Math.Min(head + _leafSize, late.End) || HasCopyOfAWellSource(head)
            || FirstToBring(head, late.Source, takes) is not { } best)
        {
            return false;
        }

        // As much as the time needs in which the silent one is either back or given up.
        long length = Math.Min(Leaves(best.Speed * _options.SuspectAfter.TotalSeconds * _options.DeadAfter), late.End - head);
        length = Math.Min(length, Allowed(_options.BlockedDuplicateShare));
        if (length <= 0)
        {
            return false;
        }

        (long start, long end) = (head, Math.Min(head + length, late.FirstGapFrom(head)));
        TryAvoid(best, ref start, ref end);
        MakeWay(late, start, ref end);
        step = Ask(best, start, end, LeaseReason.Hedge, now, late);
        return true;
    }

    /// <summary>The source that would bring a leaf first, of those that are well and may be asked.</summary>
    private DeliverySource? FirstToBring(long leaf, DeliverySource but, Predicate<int>? takes)
    {
        DeliverySource? best = null;
        foreach (DeliverySource source in _sources)
        {
            if (source != but && source.Health == SourceHealth.Well && (takes?.Invoke(source.Id) ?? true) && !Avoids(source, leaf)
                && (best is null || source.Finish(_leafSize) < best.Finish(_leafSize)))
            {
                best = source;
            }
        }

        return best;
    }

    /// <summary>A source that was given up is asked for one leaf: the one that is needed last, and of which there is a second copy then.</summary>
    private bool TryProbe(
        long taken, long limit, TimeSpan now, Predicate<int>? takes, Func<long, long>? reserve, out DeliveryStep step)
    {
        foreach (DeliverySource source in _sources)
        {
            if (source.Health == SourceHealth.Dead && source.NextProbe <= now)
            {
                // The last one was not answered.
                GiveAllBack(source, LeaseEnd.Silent);
                source.NextProbe = now + ProbeInterval(source);
                if ((takes?.Invoke(source.Id) ?? true) && TryFindProbe(taken, limit, reserve, out long start, out long end))
                {
                    step = Ask(source, start, end, LeaseReason.Probe, now);
                    return true;
                }
            }
        }

        // Unanswered probes that have ended.
        return _steps.TryDequeue(out step);
    }

    private TimeSpan ProbeInterval(DeliverySource source) =>
        source.LongestRoundTrip * 2 > _options.ProbeInterval ? source.LongestRoundTrip * 2 : _options.ProbeInterval;

    private bool TryFindProbe(long taken, long limit, Func<long, long>? reserve, out long start, out long end)
    {
        if (_owners.Count > 0)
        {
            DeliveryLease last = _owners[^1];
            (start, end) = ((last.End - 1) / _leafSize * _leafSize, last.End);
            return true;
        }

        (start, end) = _free.IsEmpty ? (0, 0) : _free.Ranges[0];
        end = Math.Min(start + _leafSize, end);
        return start < end && end <= limit && HasMemory(start, ref end, taken, reserve);
    }

    /// <summary>Bytes of second copies that may still be asked for.</summary>
    private long Allowed(double share) =>
        share == 0 ? 0 : (long)(Math.Max(share * _length, 2.0 * _leafSize) - _extraBytes) / _leafSize * _leafSize;
}
