using System.Text;

namespace Kwik.Data.Tests;

/// <summary>One content of some leaves, up to five sources, one reader, and events in random order.</summary>
internal sealed partial class DeliverySchedulerModel
{
    private const int LeafSize = 1024;
    private const int MaxSources = 5;

    private readonly Random _random;
    private readonly int _seed;
    private readonly bool _faults;
    private readonly int _length;
    private readonly int _window;
    private readonly int _memory;
    private readonly DeliveryOptions _options;
    private readonly bool[] _verified;
    private readonly Dictionary<int, Source> _sources = [];
    private readonly HashSet<int>[] _failed = [.. Enumerable.Range(0, MaxSources).Select(_ => new HashSet<int>())];
    private readonly List<Lease> _leases = [];
    private readonly StringBuilder _history = new();
    private readonly DeliveryScheduler _scheduler;
    private TimeSpan _now;
    private TimeSpan? _wakeUp;
    private long _requests;
    private long _taken;
    private long _reserved;
    private long _extra;

    public DeliverySchedulerModel(int seed, bool faults)
    {
        (_seed, _faults, _random) = (seed, faults, new Random(seed));
        _length = _random.Next(8) == 0 ? _random.Next(3) : _random.Next(1, 120 * LeafSize);
        _window = _random.Next(4) == 0 ? _random.Next(2 * LeafSize) : _random.Next(60 * LeafSize);
        _memory = _random.Next(3) == 0 ? _random.Next(20 * LeafSize) : int.MaxValue;
        double share = _random.Next(3) * 0.05;
        _options = new DeliveryOptions
        {
            MaxLease = _random.Next(2) == 0 ? 64 * LeafSize : 4 * LeafSize,
            DeadAfter = _random.Next(2, 5),
            DuplicateShare = share,
            BlockedDuplicateShare = share + (_random.Next(2) * 0.1),
        };
        _verified = new bool[(_length + LeafSize - 1) / LeafSize];
        _scheduler = new DeliveryScheduler(_length, LeafSize, _window, _options, () => ++_requests) { InOrder = _random.Next(4) > 0 };
    }

    /// <summary>What kinds of steps there were.</summary>
    public HashSet<(DeliveryStepKind, LeaseReason)> Seen { get; } = [];

    private bool IsComplete => Array.TrueForAll(_verified, here => here);

    /// <summary>The first byte that is not verified.</summary>
    private long Head => Array.IndexOf(_verified, false) is var leaf and >= 0 ? (long)leaf * LeafSize : _length;

    private long VerifiedBytes => Enumerable.Range(0, _verified.Length).Where(leaf => _verified[leaf]).Sum(leaf => Size(leaf));

    /// <summary>Runs until everything is verified; returns the steps, in words.</summary>
    public string ToTheEnd()
    {
        int events = _random.Next(50, 600);
        for (int i = 0; i < events && !IsComplete; i++)
        {
            _now += TimeSpan.FromMilliseconds(_random.Next(3) == 0 ? _random.NextDouble() * 20 : 0.1);
            Next();
            Pump();
        }

        Finish();
        Require(_leases.Count == 0, "a lease is left");
        return _history.ToString();
    }

    /// <summary>One source lives, others may be silent, time passes: it must come to an end.</summary>
    private void Finish()
    {
        int alive = _sources.Count > 0 ? _sources.Keys.ElementAt(_random.Next(_sources.Count)) : Add(0);
        foreach (Source source in _sources.Values)
        {
            source.IsSilent = source.Id != alive;
        }

        Pump();
        for (int events = 0; !IsComplete || _leases.Count > 0; events++)
        {
            Require(events < 5000, "it does not end");
            foreach (Source source in _sources.Values)
            {
                source.Refuses = source.Id != alive && _random.Next(3) == 0;
            }

            _now += TimeSpan.FromMilliseconds(1);
            Lease? lease = _leases.Find(lease => !_sources[lease.Source].IsSilent);
            if (lease is { CanArrive: true })
            {
                Receive(lease, lease.SentEnd - lease.Arrived);
            }

            foreach (Lease arrived in _leases)
            {
                Verify(arrived, int.MaxValue);
            }

            if (lease is null)
            {
                _now = _wakeUp > _now ? _wakeUp.Value : _now;
            }

            _taken = _scheduler.InOrder ? Head : VerifiedBytes;
            Pump();
            Require(
                _leases.Count > 0 || _wakeUp is not null || IsComplete || _sources.Values.Any(source => source.Refuses),
                "nobody is asked, and nothing will wake it up");
        }
    }

    private void Next()
    {
        int choice = _random.Next(_faults ? 100 : 78);
        Lease? lease = _leases.Count > 0 ? _leases[_random.Next(_leases.Count)] : null;
        if (_sources.Count == 0 || choice < 3)
        {
            Add(_random.Next(MaxSources));
        }
        else if (choice < 8)
        {
            Read();
        }
        else if (choice < 60)
        {
            ReceiveSome();
        }
        else if (choice < 75)
        {
            // Late, or of an answer that came long ago.
            if (lease is not null)
            {
                Verify(lease, _random.Next(1, 3));
            }
        }
        else if (choice < 78)
        {
            WakeUp(late: _faults && _random.Next(3) == 0);
        }
        else
        {
            Fault(choice, lease);
        }
    }

    private void Fault(int choice, Lease? lease)
    {
        Source source = _sources.Values.ElementAt(_random.Next(_sources.Count));
        if (choice < 83)
        {
            source.IsSilent = !source.IsSilent;
        }
        else if (choice < 87)
        {
            source.Refuses = !source.Refuses;
        }
        else if (choice < 90 && lease is not null)
        {
            GiveBack(lease, avoid: choice == 89);
        }
        else if (choice == 90)
        {
            _scheduler.RemoveSource(source.Id);
            _sources.Remove(source.Id);
        }
        else if (choice == 91)
        {
            SwitchOrder();
        }
        else if (choice == 92)
        {
            _scheduler.Measured(source.Id, TimeSpan.FromMilliseconds(_random.Next(300)));
        }
        else if (choice < 96)
        {
            WakeUp(late: false);
        }
    }

    private int Add(int source)
    {
        _scheduler.AddSource(source, TimeSpan.FromMilliseconds(_random.Next(1, 200)));
        _sources.TryAdd(source, new Source(source, _failed[source]));
        return source;
    }

    private void Read()
    {
        long end = _scheduler.InOrder ? Head : VerifiedBytes;
        _taken = _random.Next(2) == 0 ? end : Math.Max(_taken, _random.NextInt64(_taken, end + 1));
    }

    // The reader goes on from the first byte that is missing, or takes whatever is there from now on.
    private void SwitchOrder()
    {
        _scheduler.InOrder = !_scheduler.InOrder;
        _taken = _scheduler.InOrder ? Head : VerifiedBytes;
        _reserved = Math.Max(_reserved, _taken);
    }

    private void WakeUp(bool late)
    {
        if (_wakeUp is { } due)
        {
            _now = (due > _now ? due : _now) + TimeSpan.FromMilliseconds(late ? _random.Next(500) : 0);
        }
    }

    private void ReceiveSome()
    {
        Lease[] open = [.. _leases.Where(lease => lease.CanArrive && !_sources[lease.Source].IsSilent)];
        if (open.Length > 0)
        {
            Lease lease = open[_random.Next(Math.Min(open.Length, 3))];
            Receive(lease, Math.Min(_random.Next(1, 4 * LeafSize), lease.SentEnd - lease.Arrived));
            if (_random.Next(4) > 0)
            {
                Verify(lease, int.MaxValue);
            }
        }
    }

    private void Receive(Lease lease, long bytes)
    {
        bool isBack = _scheduler.Sources.First(source => source.Id == lease.Source).Health != SourceHealth.Well;
        Require(_scheduler.Received(lease.RequestId, bytes, _now), "bytes of an open lease are not wanted");
        foreach (Lease probe in _leases.Where(probe => isBack && probe.IsProbe && probe.Source == lease.Source))
        {
            probe.IsProbe = _leases.Exists(owner => !owner.IsCopy && Leaves(probe.VerifiedEnd, probe.End).Any(leaf => Owns(owner, leaf)));
        }

        lease.Arrived += bytes;
    }

    /// <summary>Up to so many leaves of a lease that are here whole turn out to be right.</summary>
    private void Verify(Lease lease, int leaves)
    {
        for (; leaves > 0 && (lease.Checked + LeafSize <= lease.Arrived || (lease.Arrived == _length && lease.Checked < _length)); leaves--)
        {
            long offset = lease.Checked;
            int leaf = (int)(offset / LeafSize);
            lease.Checked = Math.Min(offset + LeafSize, _length);
            bool isNew = !_verified[leaf] && offset < lease.End && !lease.HasEnded;
            Require(_scheduler.Verified(lease.RequestId, offset) == isNew, $"leaf {leaf} of {lease.RequestId} is new: {isNew}");
            Require(!_scheduler.Verified(lease.RequestId, offset), $"leaf {leaf} was verified twice");
            if (isNew)
            {
                _verified[leaf] = true;
                TellOthers(lease);
            }
        }
    }

    /// <summary>Nobody waits for the last leaves of a lease any more once they are here.</summary>
    private void TellOthers(Lease winner)
    {
        winner.VerifiedEnd = winner.Checked;
        foreach (Lease lease in _leases)
        {
            if (lease != winner)
            {
                Trim(lease);
            }

            lease.HasEnded = !Leaves(lease.VerifiedEnd, lease.End).Any(leaf => !_verified[leaf]);
        }
    }

    private void Trim(Lease lease)
    {
        while (lease.End > lease.VerifiedEnd && _verified[(lease.End - 1) / LeafSize])
        {
            lease.End = (lease.End - 1) / LeafSize * LeafSize;
        }
    }

    private void GiveBack(Lease lease, bool avoid)
    {
        _scheduler.GiveBack(lease.RequestId, avoid);
        lease.HasEnded = true;
        if (avoid)
        {
            _sources[lease.Source].Failed.UnionWith(Leaves(lease.VerifiedEnd, lease.End));
        }
    }

    private long Reserve(long end) => _reserved = Math.Max(_reserved, Math.Min(end, _taken + Math.Min(_window, _memory)));

    private long Size(int leaf) => Math.Min(LeafSize, _length - ((long)leaf * LeafSize));

    private static IEnumerable<int> Leaves(long start, long end) =>
        start < end ? Enumerable.Range((int)(start / LeafSize), (int)(((end + LeafSize - 1) / LeafSize) - (start / LeafSize))) : [];

    private void Require(bool condition, string otherwise)
    {
        if (!condition)
        {
            Assert.Fail($"Seed {_seed}, faults {_faults}, {_now}: {otherwise}.\n{string.Join('\n', _leases)}\n{_history.ToString()[Math.Max(0, _history.Length - 1500)..]}");
        }
    }

    private sealed class Source(int id, HashSet<int> failed)
    {
        public int Id => id;

        public bool IsSilent { get; set; }

        public bool Refuses { get; set; }

        /// <summary>Leaves that it is not to be asked for; not forgotten when it goes and comes back.</summary>
        public HashSet<int> Failed => failed;
    }

    private sealed class Lease(DeliveryStep step)
    {
        public long RequestId => step.RequestId;

        public int Source => step.Source;

        public long Offset => step.Offset;

        /// <summary>Its source knows nothing of a lease that was shortened.</summary>
        public long SentEnd => step.End;

        public LeaseReason Reason => step.Reason;

        /// <summary>What it is a second copy of, as long as that one owes it.</summary>
        public Lease? CopyOf { get; set; }

        /// <summary>It is asked of somebody else as well, or free to be.</summary>
        public bool IsProbe { get; set; }

        public bool IsCopy => IsProbe || CopyOf is not null;

        public long End { get; set; } = step.End;

        public long Arrived { get; set; } = step.Offset;

        public long Checked { get; set; } = step.Offset;

        public long VerifiedEnd { get; set; } = step.Offset;

        public bool HasEnded { get; set; }

        public bool CanArrive => Arrived < SentEnd;

        public override string ToString() =>
            $"{RequestId} of {Source}, {Reason}: {Offset} to {End} of {SentEnd}, arrived {Arrived}, checked {Checked}, verified {VerifiedEnd}";
    }
}
