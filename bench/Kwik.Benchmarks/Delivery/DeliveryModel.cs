using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>What one transfer came to.</summary>
internal sealed record DeliveryOutcome(
    TimeSpan Elapsed, TimeSpan Possible, long ExtraBytes, TimeSpan LongestGap, bool HasFaults, string Case)
{
    /// <summary>1 is the fluid bound.</summary>
    public double Efficiency => Possible / Elapsed;
}

/// <summary>
/// One content, some servers, and the scheduler between them, on a clock of its own: rates, round trips, deaths and returns,
/// but no packets, so that thousands of transfers take seconds.
/// </summary>
internal sealed class DeliveryModel
{
    private const int LeafSize = ContentHasher.DefaultLeafSize;

    private readonly PriorityQueue<Action, (TimeSpan At, long Order)> _events = new();
    private readonly List<ModelSource> _sources;
    private readonly Dictionary<long, long> _arrived = [];
    private readonly DeliveryScheduler _scheduler;
    private readonly long _length;
    private readonly bool _inOrder;
    private TimeSpan _now;
    private TimeSpan _gapBegan;
    private TimeSpan _longestGap;
    private TimeSpan? _wakeUp;
    private long _taken;
    private long _verified;
    private long _order;
    private long _requests;

    public DeliveryModel(List<ModelSource> sources, long length, long window, bool inOrder)
    {
        (_sources, _length, _inOrder) = (sources, length, inOrder);
        _scheduler = new DeliveryScheduler(length, LeafSize, window, new DeliveryOptions(), () => ++_requests) { InOrder = inOrder };
        foreach (ModelSource source in sources)
        {
            _scheduler.AddSource(source.Id, source.RoundTrip);
        }
    }

    /// <summary>Called with each step, for who wants to see what happens.</summary>
    public Action<TimeSpan, DeliveryStep>? Trace { get; init; }

    /// <summary>Runs to the end.</summary>
    public DeliveryOutcome Run(string name, bool hasFaults)
    {
        TimeSpan possible = Possible();
        Pump();
        while (!_scheduler.IsComplete)
        {
            if (!_events.TryDequeue(out Action? next, out (TimeSpan At, long) due))
            {
                throw new InvalidOperationException($"{name}: nothing happens any more at {_now}, {_scheduler.Head} of {_length}.");
            }

            _now = due.At;
            next();
            if (_now > possible * 50)
            {
                throw new InvalidOperationException($"{name}: takes more than 50 times as long as possible, at {_scheduler.Head} of {_length}.");
            }
        }

        return new(_now, possible, _scheduler.ExtraBytes, _longestGap, hasFaults, name);
    }

    private void At(TimeSpan when, Action what) => _events.Enqueue(what, (when, _order++));

    /// <summary>The earliest end that rates and round trips allow.</summary>
    private TimeSpan Possible()
    {
        (TimeSpan low, TimeSpan high) = (TimeSpan.Zero, TimeSpan.FromHours(10));
        while (high - low > TimeSpan.FromMicroseconds(100))
        {
            TimeSpan middle = low + ((high - low) / 2);
            (low, high) = _sources.Sum(source => source.Possible(middle)) >= _length ? (low, middle) : (middle, high);
        }

        return high;
    }

    private void Pump()
    {
        while (_scheduler.TryNext(_taken, _now, out DeliveryStep step))
        {
            Trace?.Invoke(_now, step);
            DeliveryStep done = step;
            ModelSource? source = _sources.Find(source => source.Id == done.Source);
            if (step.Kind == DeliveryStepKind.Ask)
            {
                _arrived[step.RequestId] = step.Offset;
                At(_now + (source!.RoundTrip / 2), () => OnRequest(source, done));
            }
            else if (step.Kind == DeliveryStepKind.Cancel)
            {
                At(_now + (source!.RoundTrip / 2), () => OnCancel(source, done.RequestId));
            }
        }

        if (_scheduler.NextWakeUp is { } due && due != _wakeUp)
        {
            _wakeUp = due;
            At(due < _now ? _now : due, Pump);
        }
    }

    private void OnRequest(ModelSource source, DeliveryStep step)
    {
        var answer = new ModelSource.Answer(step.RequestId, step.Offset, step.End);
        if (step.IsUrgent)
        {
            source.Queue.AddFirst(answer);
        }
        else
        {
            source.Queue.AddLast(answer);
        }

        SendNext(source);
    }

    private static void OnCancel(ModelSource source, long requestId)
    {
        for (LinkedListNode<ModelSource.Answer>? node = source.Queue.First; node is not null; node = node.Next)
        {
            if (node.Value.RequestId == requestId)
            {
                source.Queue.Remove(node);
                return;
            }
        }
    }

    private void SendNext(ModelSource source)
    {
        if (source.IsSending || source.Queue.First?.Value is not { } answer)
        {
            return;
        }

        // Slow lines deliver packet by packet.
        long bytes = Math.Min(source.FrameSize, answer.End - answer.Next);
        if (source.Sent(_now, bytes) is not { } sent)
        {
            // Dead for good.
            return;
        }

        source.IsSending = true;
        At(sent, () =>
        {
            source.IsSending = false;
            answer.Next += bytes;
            if (answer.Next == answer.End)
            {
                source.Queue.Remove(answer);
            }

            SendNext(source);
        });
        At(sent + (source.RoundTrip / 2), () => OnFrame(answer.RequestId, bytes));
    }

    private void OnFrame(long requestId, long bytes)
    {
        if (!_scheduler.Received(requestId, bytes, _now))
        {
            return;
        }

        long before = _arrived[requestId];
        long after = before + bytes;
        _arrived[requestId] = after;
        for (long leaf = before / LeafSize * LeafSize; leaf < after && (leaf + LeafSize <= after || after == _length); leaf += LeafSize)
        {
            _verified += _scheduler.Verified(requestId, leaf) ? Math.Min(LeafSize, _length - leaf) : 0;
        }

        Read();
        Pump();
    }

    /// <summary>The reader takes what is there at once.</summary>
    private void Read()
    {
        long head = _inOrder ? _scheduler.Head : _verified;
        if (head > _taken)
        {
            TimeSpan gap = _now - _gapBegan;
            _longestGap = _taken > 0 && gap > _longestGap ? gap : _longestGap;
            (_taken, _gapBegan) = (head, _now);
        }
    }
}
