using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>
/// One content, some servers, and the scheduler between them, on a clock of its own: rates, round trips, deaths and returns,
/// but no packets, so that hundreds of transfers take a minute.
/// </summary>
internal sealed class DeliveryModel
{
    private const int LeafSize = ContentHasher.DefaultLeafSize;

    private readonly PriorityQueue<Event, (TimeSpan At, long Order)> _events = new();
    private readonly Dictionary<long, long> _arrived = [];
    private readonly List<ModelSource> _sources;
    private readonly DeliveryScheduler _scheduler;
    private readonly long _length;
    private readonly bool _inOrder;
    private TimeSpan _now;
    private TimeSpan _gapBegan;
    private TimeSpan _longestGap;
    private TimeSpan? _wakeUp;
    private long _taken;
    private long _verified;
    private long _sent;
    private long _order;
    private long _requests;

    /// <param name="sources">By number: 0, 1, 2 and so on.</param>
    /// <param name="length">Bytes of the content.</param>
    /// <param name="window">Bytes ahead of the reader.</param>
    /// <param name="inOrder">False: the reader takes any piece.</param>
    public DeliveryModel(List<ModelSource> sources, long length, long window, bool inOrder)
    {
        (_sources, _length, _inOrder) = (sources, length, inOrder);
        _scheduler = new DeliveryScheduler(length, LeafSize, window, new DeliveryOptions(), () => ++_requests) { InOrder = inOrder };
        foreach (ModelSource source in sources)
        {
            _scheduler.AddSource(source.Id, source.RoundTrip);
        }
    }

    /// <summary>Called with each step, and the reader's offset, for who wants to see what happens.</summary>
    public Action<TimeSpan, long, DeliveryStep>? Trace { get; init; }

    /// <summary>Runs to the end.</summary>
    public DeliveryOutcome Run(string name, bool hasFaults)
    {
        TimeSpan possible = Possible();
        Pump();
        while (!_scheduler.IsComplete)
        {
            if (!_events.TryDequeue(out Event next, out (TimeSpan At, long) due))
            {
                throw new InvalidOperationException($"{name}: nothing happens any more at {_now}, {_scheduler.Head} of {_length}.");
            }

            _now = due.At;
            Do(next);
            if (_now > possible * 50)
            {
                throw new InvalidOperationException($"{name}: takes more than 50 times as long as possible, at {_scheduler.Head} of {_length}.");
            }
        }

        return new(_now, possible, _length, _sent - _length, _longestGap, _inOrder, hasFaults, name);
    }

    private void At(TimeSpan when, Event what) => _events.Enqueue(what, (when, _order++));

    private void Do(Event what)
    {
        switch (what.Kind)
        {
            case EventKind.Requested:
                what.Source!.Queue.Insert(what.IsUrgent ? 0 : what.Source.Queue.Count, what.Answer!);
                SendNext(what.Source);
                break;
            case EventKind.Cancelled:
                what.Source!.Queue.RemoveAll(answer => answer.RequestId == what.RequestId);
                break;
            case EventKind.Sent:
                what.Source!.IsSending = false;
                what.Answer!.Next += what.Bytes;
                _sent += what.Bytes;
                if (what.Answer.Next == what.Answer.End)
                {
                    what.Source.Queue.Remove(what.Answer);
                }

                SendNext(what.Source);
                break;
            case EventKind.Arrived:
                OnFrame(what.Answer!.RequestId, what.Bytes);
                break;
            default:
                _wakeUp = null;
                Pump();
                break;
        }
    }

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
            Trace?.Invoke(_now, _taken, step);
            ModelSource source = _sources[step.Source];
            if (step.Kind == DeliveryStepKind.Ask)
            {
                _arrived[step.RequestId] = step.Offset;
                var answer = new ModelSource.Answer(step.RequestId, step.Offset, step.End);
                At(_now + (source.RoundTrip / 2), new(EventKind.Requested, source, answer) { IsUrgent = step.IsUrgent });
            }
            else if (step.Kind == DeliveryStepKind.Cancel)
            {
                _arrived.Remove(step.RequestId);
                At(_now + (source.RoundTrip / 2), new(EventKind.Cancelled, source) { RequestId = step.RequestId });
            }
        }

        // A wake-up that is put off is looked at again when it comes.
        if (_scheduler.NextWakeUp is { } due && !(_wakeUp <= due))
        {
            _wakeUp = due;
            At(due < _now ? _now : due, new(EventKind.WakeUp));
        }
    }

    private void SendNext(ModelSource source)
    {
        if (source.IsSending || source.Queue.Count == 0)
        {
            return;
        }

        // Slow lines deliver packet by packet.
        ModelSource.Answer answer = source.Queue[0];
        long bytes = Math.Min(source.FrameSize, answer.End - answer.Next);
        if (source.Sent(_now, bytes) is not { } sent)
        {
            // Dead for good.
            return;
        }

        source.IsSending = true;
        At(sent, new(EventKind.Sent, source, answer, bytes));
        At(sent + (source.RoundTrip / 2), new(EventKind.Arrived, source, answer, bytes));
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

    private enum EventKind
    {
        WakeUp,
        Requested,
        Cancelled,
        Sent,
        Arrived,
    }

    private readonly record struct Event(EventKind Kind, ModelSource? Source = null, ModelSource.Answer? Answer = null, long Bytes = 0)
    {
        public long RequestId { get; init; }

        public bool IsUrgent { get; init; }
    }
}
