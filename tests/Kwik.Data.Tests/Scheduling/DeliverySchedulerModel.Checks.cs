namespace Kwik.Data.Tests;

/// <content>What every step, and the scheduler after them, must fulfil.</content>
internal sealed partial class DeliverySchedulerModel
{
    private void Pump()
    {
        int steps = 0;
        while (_scheduler.TryNext(_taken, _now, out DeliveryStep step, source => !_sources[source].Refuses, Reserve))
        {
            Require(++steps < 2000, "there is no end of steps");
            _history.Append(_now.TotalMilliseconds).Append(' ').Append(step).AppendLine();
            Seen.Add((step.Kind, step.Reason));
            if (step.Kind == DeliveryStepKind.Ask)
            {
                OnAsk(step);
            }
            else if (step.Kind == DeliveryStepKind.Cancel)
            {
                OnCancel(step);
            }
        }

        CheckState();
    }

    private void CheckState()
    {
        foreach (Lease lease in _leases)
        {
            Require(!lease.HasEnded, $"{lease.RequestId} has ended, and was not cancelled");
            Require(_scheduler.Missing(lease.RequestId) == (lease.VerifiedEnd, lease.End - lease.VerifiedEnd), $"{lease.RequestId} misses other bytes");
        }

        Require(_scheduler.IsComplete == IsComplete, "complete or not");
        Require(_scheduler.Head == Head, $"head {_scheduler.Head}, not {Head}");
        Require(_scheduler.ExtraBytes >= _extra, "extra bytes are not counted");
        Require(_scheduler.Sources.Count == _sources.Count, "number of sources");
        foreach (DeliverySource source in _scheduler.Sources)
        {
            long owed = _leases.Where(lease => lease.Source == source.Id).Sum(lease => Math.Max(0, lease.End - lease.Arrived));
            Require(source.Outstanding == owed, $"{source.Id} owes {owed}, not {source.Outstanding}");
        }

        _wakeUp = _scheduler.NextWakeUp;
        Require(!(_wakeUp <= _now), $"it was to be woken at {_wakeUp}");
    }

    private void OnCancel(DeliveryStep step)
    {
        Lease? lease = _leases.Find(lease => lease.RequestId == step.RequestId);
        Require(lease is not null && lease.Source == step.Source, $"{step.RequestId} is not open");
        _leases.Remove(lease!);
        if (step.Why is LeaseEnd.GivenBack or LeaseEnd.Silent)
        {
            _leases.FindAll(copy => copy.CopyOf == lease).ForEach(copy => copy.CopyOf = null);
        }

        bool isHere = Leaves(step.Offset, step.End).All(leaf => _verified[leaf]);
        Require(step.Why != LeaseEnd.Done || isHere, $"{step.RequestId} is not done");
        Require(!_scheduler.Received(step.RequestId, 1, _now), $"{step.RequestId} goes on after its end");
        Require(_scheduler.Missing(step.RequestId) is null, $"{step.RequestId} is still known");
    }

    private void OnAsk(DeliveryStep step)
    {
        Require(step.RequestId == _requests, "the number of the request is not new");
        Require(_sources.TryGetValue(step.Source, out Source? source) && !source.Refuses, $"{step.Source} cannot be asked");
        Require(
            step.Offset >= 0 && step.Offset < step.End && step.End <= _length && step.Offset % LeafSize == 0
            && (step.End % LeafSize == 0 || step.End == _length), "not whole leaves");
        Require(Leaves(step.Offset, step.End).All(leaf => !_verified[leaf]), "it is here already");
        SourceHealth health = _scheduler.Sources.First(known => known.Id == step.Source).Health;
        // A suspect only when nobody is well.
        bool anyWell = _scheduler.Sources.Any(known => known.Health == SourceHealth.Well);
        SourceHealth expected = step.Reason == LeaseReason.Probe ? SourceHealth.Dead : anyWell ? SourceHealth.Well : SourceHealth.Suspect;
        Require(health == expected, $"{step.Source} is {health}");

        if (step.Reason == LeaseReason.TakeOver)
        {
            Shorten(step);
        }

        if (step.Reason == LeaseReason.Hedge)
        {
            // A second copy that is late as well makes way.
            _leases.FindAll(lease => lease.CopyOf is not null && Owns(lease, (int)(step.Offset / LeafSize))).ForEach(lease => lease.HasEnded = true);
        }

        if (step.Reason == LeaseReason.Probe)
        {
            // The last one was not answered.
            _leases.FindAll(lease => lease.Source == step.Source).ForEach(lease => lease.HasEnded = true);
        }

        Lease[] owners = [.. _leases.Where(lease => !lease.IsCopy && IsOwner(lease, step))];
        Lease[] copies = [.. _leases.Where(lease => lease.IsCopy && lease.Reason != LeaseReason.Probe && IsOwner(lease, step))];
        Require(
            step.Reason switch
            {
                LeaseReason.Next => owners.Length == 0 && copies.Length == 0,
                LeaseReason.TakeOver => owners.Length == 0 && copies.Length == 0,
                LeaseReason.Probe => step.End - step.Offset <= LeafSize,
                _ => owners.Length == 1 && owners[0].Source != step.Source && copies.Length == 0,
            },
            $"{owners.Length} others were asked, {copies.Length} for second copies");
        CheckBudget(step);
        if (step.Reason == LeaseReason.Next || (step.Reason == LeaseReason.Probe && owners.Length == 0))
        {
            CheckRoom(step);
        }

        if (step.Reason != LeaseReason.Probe)
        {
            Require(!Leaves(step.Offset, step.End).Any(leaf => MustAvoid(source!, leaf)), "it has failed to bring that before");
        }

        bool isCopy = step.Reason is LeaseReason.Hedge or LeaseReason.Duplicate;
        _leases.Add(new Lease(step) { CopyOf = isCopy ? owners[0] : null, IsProbe = step.Reason == LeaseReason.Probe });
    }

    /// <summary>A lease that is taken over ends, or keeps its first leaves.</summary>
    private void Shorten(DeliveryStep step)
    {
        Lease? victim = _leases.Find(lease => !lease.HasEnded && !lease.IsCopy && lease.End == step.End && lease.Offset <= step.Offset);
        Require(victim is not null && victim.Source != step.Source, "nothing is there to be taken over");
        if (Leaves(victim!.Offset, step.Offset).All(leaf => _verified[leaf]) && victim.Arrived == victim.Offset)
        {
            victim.HasEnded = true;
        }

        Require(victim.Arrived <= step.Offset, "it was here in part");
        victim.End = Math.Min(victim.End, step.Offset);
        Trim(victim);
    }

    private void CheckBudget(DeliveryStep step)
    {
        if (step.Reason is not (LeaseReason.Hedge or LeaseReason.Duplicate))
        {
            return;
        }

        double share = step.Reason == LeaseReason.Hedge ? _options.BlockedDuplicateShare : _options.DuplicateShare;
        _extra += step.End - step.Offset;
        Require(share > 0 && _extra <= Math.Max(share * _length, 2 * LeafSize), $"{_extra} bytes are asked for twice");
        if (step.Reason == LeaseReason.Hedge)
        {
            Require(step.IsUrgent && _scheduler.InOrder && step.Offset == Head && _taken >= Head, "nobody waits for that");
        }
    }

    /// <summary>The window, and the memory; but the leaf that the reader waits for needs neither.</summary>
    private void CheckRoom(DeliveryStep step)
    {
        if (_scheduler.InOrder)
        {
            long limit = Math.Min(Math.Min(_taken + Math.Max(_window, LeafSize), _reserved), _length);
            Require(step.End <= limit || (step.Offset <= _taken && step.End - step.Offset <= LeafSize), $"there is room up to {limit}");
            return;
        }

        long asked = Leaves(0, _length).Where(leaf => _verified[leaf] || _leases.Exists(lease => Owns(lease, leaf))).Sum(Size);
        long all = asked + step.End - step.Offset;
        Require(
            all <= Math.Min(_taken + _window, _reserved) || (asked <= _taken && step.End - step.Offset <= LeafSize),
            $"{all} bytes, and {_reserved} have room");
    }

    private bool IsOwner(Lease lease, DeliveryStep step) => Leaves(step.Offset, step.End).Any(leaf => Owns(lease, leaf));

    private bool Owns(Lease lease, int leaf) =>
        !lease.HasEnded && !_verified[leaf] && (long)leaf * LeafSize >= lease.VerifiedEnd && (long)leaf * LeafSize < lease.End;

    private bool MustAvoid(Source source, int leaf) => source.Failed.Contains(leaf) && _scheduler.Sources.Any(other =>
        other.Id != source.Id && other.Health == SourceHealth.Well && !_sources[other.Id].Failed.Contains(leaf));
}
