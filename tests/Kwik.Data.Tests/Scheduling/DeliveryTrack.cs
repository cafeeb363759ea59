namespace Kwik.Data.Tests;

/// <summary>A scheduler, sources that send at a steady rate from the moment they are asked, and a reader that takes all at once.</summary>
internal sealed class DeliveryTrack
{
    public const int LeafSize = 1024;

    private readonly Dictionary<int, long> _rates = [];
    private readonly List<(DeliveryStep Ask, long Arrived)> _open = [];
    private readonly int _length;
    private long _requests;

    public DeliveryTrack(int length, long window = long.MaxValue, DeliveryOptions? options = null)
    {
        _length = length;
        Scheduler = new DeliveryScheduler(length, LeafSize, window, options ?? new DeliveryOptions(), () => ++_requests);
    }

    public DeliveryScheduler Scheduler { get; }

    public TimeSpan Now { get; private set; }

    public long Taken { get; set; }

    public bool IsReading { get; set; } = true;

    /// <summary>All steps, and when.</summary>
    public List<(TimeSpan At, DeliveryStep Step)> Steps { get; } = [];

    public IEnumerable<DeliveryStep> Asks => Steps.Select(step => step.Step).Where(step => step.Kind == DeliveryStepKind.Ask);

    public IReadOnlyList<DeliveryStep> Open => [.. _open.Select(entry => entry.Ask)];

    public DeliverySource Source(int id) => Scheduler.Sources.First(source => source.Id == id);

    /// <param name="source">Number.</param>
    /// <param name="rate">Bytes a millisecond; 0: it is silent.</param>
    /// <param name="roundTrip">Milliseconds, as the scheduler is told.</param>
    public void Add(int source, long rate, int roundTrip = 1)
    {
        _rates[source] = rate;
        Scheduler.AddSource(source, TimeSpan.FromMilliseconds(roundTrip));
    }

    public void SetRate(int source, long rate) => _rates[source] = rate;

    public TimeSpan When(DeliveryStepKind kind, int source) => Steps.First(step => step.Step.Kind == kind && step.Step.Source == source).At;

    /// <summary>So many milliseconds pass, one at a time.</summary>
    public void Run(int milliseconds)
    {
        for (int i = 0; i < milliseconds && !Scheduler.IsComplete; i++)
        {
            Now += TimeSpan.FromMilliseconds(1);
            foreach ((int source, long rate) in _rates)
            {
                Send(source, rate);
            }

            Pump();
        }
    }

    /// <summary>Nothing of ours runs for so long; then everything happens at once.</summary>
    public void Stall(int milliseconds) => Now += TimeSpan.FromMilliseconds(milliseconds);

    /// <summary>A source sends bytes at once.</summary>
    public void Send(int source, long bytes)
    {
        while (bytes > 0 && _open.FindIndex(entry => entry.Ask.Source == source) is var at and >= 0)
        {
            (DeliveryStep ask, long arrived) = _open[at];
            long sent = Math.Min(bytes, ask.End - arrived);
            bytes -= sent;
            _open[at] = (ask, arrived + sent);
            if (arrived + sent == ask.End)
            {
                _open.RemoveAt(at);
            }

            Scheduler.Received(ask.RequestId, sent, Now);
            for (long leaf = arrived / LeafSize * LeafSize; leaf < arrived + sent; leaf += LeafSize)
            {
                if (leaf + LeafSize <= arrived + sent || arrived + sent == _length)
                {
                    Scheduler.Verified(ask.RequestId, leaf);
                }
            }
        }
    }

    /// <summary>Does what is to be done now; returns it.</summary>
    public IReadOnlyList<DeliveryStep> Pump(Func<long, long>? reserve = null)
    {
        int before = Steps.Count;
        Taken = IsReading ? Scheduler.Head : Taken;
        while (Scheduler.TryNext(Taken, Now, out DeliveryStep step, null, reserve))
        {
            Steps.Add((Now, step));
            if (step.Kind == DeliveryStepKind.Ask)
            {
                _open.Insert(step.IsUrgent ? 0 : _open.Count, (step, step.Offset));
            }
            else if (step.Kind == DeliveryStepKind.Cancel)
            {
                _open.RemoveAll(entry => entry.Ask.RequestId == step.RequestId);
            }
        }

        _ = Scheduler.NextWakeUp;
        return [.. Steps.Skip(before).Select(step => step.Step)];
    }
}
