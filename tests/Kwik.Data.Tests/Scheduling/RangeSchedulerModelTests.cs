using System.Text;

namespace Kwik.Data.Tests;

/// <summary>Random events; a model counts how often each byte was leased and received.</summary>
public sealed class RangeSchedulerModelTests
{
    [Fact]
    public void Events_WithoutFaults_LeaseEveryByteExactlyOnce()
    {
        for (int seed = 0; seed < 300; seed++)
        {
            var run = new Run(seed, faults: false);
            run.ToTheEnd();
            Assert.True(run.Leased.All(count => count == 1), $"Seed {seed}");
        }
    }

    [Fact]
    public void Events_WithSourcesThatComeGoAndRefuse_ReceiveEveryByteExactlyOnce()
    {
        for (int seed = 0; seed < 500; seed++)
        {
            new Run(seed, faults: true).ToTheEnd();
        }
    }

    [Fact]
    public void Events_OfTheSameSeed_GiveTheSameLeases()
    {
        for (int seed = 0; seed < 50; seed++)
        {
            Assert.Equal(new Run(seed, faults: true).ToTheEnd(), new Run(seed, faults: true).ToTheEnd());
        }
    }

    /// <summary>One content of a few hundred bytes, a window of some tens, up to six sources.</summary>
    private sealed class Run
    {
        private const int Sources = 6;

        private readonly Random _random;
        private readonly bool _faults;
        private readonly int _window;
        private readonly bool[] _received;

        // Which source is to be avoided for each byte that came back.
        private readonly int[] _avoided;
        private readonly HashSet<int> _sources = [];
        private readonly List<(RangeLease Lease, int Received)> _leases = [];
        private readonly StringBuilder _history = new();
        private readonly RangeScheduler _scheduler;
        private readonly int _seed;
        private long _requests;
        private int _readOffset;

        public Run(int seed, bool faults)
        {
            _seed = seed;
            _random = new Random(seed);
            _faults = faults;
            _window = _random.Next(8, 100);
            _received = new bool[_random.Next(0, 400)];
            Leased = new int[_received.Length];
            _avoided = new int[_received.Length];
            Array.Fill(_avoided, -1);
            _scheduler = new RangeScheduler(_received.Length, _window, () => _requests++);
        }

        public int[] Leased { get; }

        /// <summary>Runs until everything is received; returns what was leased, in words.</summary>
        public string ToTheEnd()
        {
            for (int events = 0; !_scheduler.IsComplete; events++)
            {
                Assert.True(events < 100_000, $"Seed {_seed} does not end.");
                Next();
                LeaseAll();
                Check();
            }

            Assert.Empty(_leases);
            Assert.DoesNotContain(false, _received);
            return _history.ToString();
        }

        private void Next()
        {
            int choice = _random.Next(_faults ? 10 : 8);
            if (choice < 2 || _sources.Count == 0)
            {
                int source = _random.Next(Sources);
                _scheduler.AddSource(source);
                _sources.Add(source);
            }
            else if (choice == 2)
            {
                // The reader has at most what is there without a hole.
                int end = Array.FindIndex(_received, _readOffset, here => !here);
                _readOffset = _random.Next(_readOffset, (end < 0 ? _received.Length : end) + 1);
            }
            else if (choice < 8)
            {
                Receive();
            }
            else if (choice == 8)
            {
                GiveBack();
            }
            else
            {
                Remove(_random.Next(Sources));
            }
        }

        private void Receive()
        {
            if (_leases.Count == 0)
            {
                return;
            }

            int at = _random.Next(_leases.Count);
            (RangeLease lease, int received) = _leases[at];
            int bytes = _random.Next(0, (int)lease.Length - received + 1);
            Assert.True(_scheduler.Received(lease.RequestId, bytes));
            for (int i = 0; i < bytes; i++)
            {
                int offset = (int)lease.Offset + received + i;
                if (_received[offset])
                {
                    Assert.Fail($"Seed {_seed}: byte {offset} came twice.");
                }

                _received[offset] = true;
            }

            if (received + bytes == lease.Length)
            {
                _leases.RemoveAt(at);
                Assert.False(_scheduler.Received(lease.RequestId, 0));
            }
            else
            {
                _leases[at] = (lease, received + bytes);
            }
        }

        private void GiveBack()
        {
            if (_leases.Count > 0)
            {
                int at = _random.Next(_leases.Count);
                (RangeLease lease, int received) = _leases[at];
                bool avoid = _random.Next(2) == 0;
                _scheduler.GiveBack(lease.RequestId, avoid);
                _leases.RemoveAt(at);
                _avoided.AsSpan(((int)lease.Offset + received)..(int)lease.End).Fill(avoid ? lease.Source : -1);
            }
        }

        private void Remove(int source)
        {
            IEnumerable<RangeLease> owed = _leases.Where(entry => entry.Lease.Source == source).Select(entry => entry.Lease);
            Assert.Equal(owed.OrderBy(lease => lease.RequestId), _scheduler.RemoveSource(source).OrderBy(lease => lease.RequestId));
            _leases.RemoveAll(entry => entry.Lease.Source == source);
            _sources.Remove(source);
        }

        private void LeaseAll()
        {
            while (_scheduler.TryLease(_readOffset, out RangeLease lease))
            {
                _history.Append(lease).AppendLine();
                Assert.True(lease.Length > 0 && lease.End <= _received.Length);
                Assert.InRange(lease.End, 1, _readOffset + _window);
                Assert.Contains(lease.Source, _sources);
                Assert.False(_leases.Exists(entry => entry.Lease.Offset < lease.End && lease.Offset < entry.Lease.End));
                for (long offset = lease.Offset; offset < lease.End; offset++)
                {
                    if (_received[offset])
                    {
                        Assert.Fail($"Seed {_seed}: {lease} has byte {offset}, which is here.");
                    }

                    Assert.True(
                        _avoided[offset] != lease.Source || _sources.Count == 1,
                        $"Seed {_seed}: {lease} goes to the source that byte {offset} avoids.");
                    _avoided[offset] = -1;
                    Leased[offset]++;
                }

                _leases.Add((lease, 0));
                Assert.InRange(_leases.Count(entry => entry.Lease.Source == lease.Source), 1, RangeScheduler.LeasesPerSource);
            }
        }

        private void Check()
        {
            Assert.Equal(_sources.Count, _scheduler.SourceCount);
            Assert.Equal(Array.TrueForAll(_received, here => here), _scheduler.IsComplete);

            // Whoever has room has work, as long as there is any within the window.
            bool room = _sources.Any(source => _leases.Count(entry => entry.Lease.Source == source) < RangeScheduler.LeasesPerSource);
            int firstMissing = Array.FindIndex(_received, here => !here);
            Assert.False(
                room && firstMissing >= 0 && _leases.Count == 0 && _readOffset == firstMissing,
                $"Seed {_seed}: the reader waits for byte {firstMissing}, a source is idle, and nobody is asked.");
        }
    }
}
