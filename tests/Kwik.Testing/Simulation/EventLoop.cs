using System.Diagnostics;

namespace Kwik.Testing;

/// <summary>
/// The heart of a simulation: a task scheduler that runs everything on the thread that called <see cref="Run"/>, and a
/// clock that stands still while anything can run. The next step is always decided by the queues and the seed, never by
/// the machine.
/// </summary>
/// <remarks>
/// One step is one task. When no task is ready, the clock jumps to the earliest timed event and that event becomes the
/// next task; events that are due at the same instant run in the order of their sequence numbers, one at a time, each
/// followed by everything that it made ready.
/// </remarks>
internal sealed class EventLoop : TaskScheduler
{
    private readonly SimulationOptions _options;
    private readonly Random _order;
    private readonly List<Task> _ready = [];
    private readonly PriorityQueue<TimedEvent, (long Due, long Sequence)> _timed = new();
    private int _threadId;
    private long _sequence;
    private long _stepsThisInstant;
    private volatile string? _escape;
    private Exception? _failure;

    /// <summary>A loop whose choices among ready tasks follow <paramref name="seed"/>.</summary>
    public EventLoop(int seed, SimulationOptions options)
    {
        _options = options;
        _order = new Random(seed);
    }

    /// <summary>Virtual time since the start, in ticks of 100 ns.</summary>
    public long Now { get; private set; }

    /// <summary>Tasks that were run.</summary>
    public long Steps { get; private set; }

    /// <summary>True between the start and the end of <see cref="Run"/>.</summary>
    public bool IsRunning => _threadId != 0;

    /// <inheritdoc/>
    public override int MaximumConcurrencyLevel => 1;

    /// <summary>
    /// Runs <paramref name="main"/> and all that it starts until its task has completed; false with a reason when that
    /// can no longer happen or a limit was reached. Exceptions of timer callbacks and network events end the run too.
    /// </summary>
    public bool Run(Func<Task> main, out string? stuck)
    {
        _threadId = Environment.CurrentManagedThreadId;
        SynchronizationContext? callers = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            // The plain await brings a scenario that ended on another thread back here, where that is noticed.
            Task finished = Task.Factory.StartNew(
                async () => await main(), CancellationToken.None, TaskCreationOptions.DenyChildAttach, this).Unwrap();
            stuck = RunUntil(finished);
            if (stuck is null)
            {
                finished.GetAwaiter().GetResult();
            }

            return stuck is null;
        }
        finally
        {
            _threadId = 0;
            SynchronizationContext.SetSynchronizationContext(callers);
        }
    }

    /// <summary>Runs <paramref name="callback"/> as a task of its own, at this instant.</summary>
    public void Post(Action callback)
    {
        AssertOnLoop();
        new Task(Guarded, callback).Start(this);
    }

    /// <summary>
    /// Runs <paramref name="callback"/> as a task when the clock has reached <paramref name="due"/>. The sequence decides
    /// among events of one instant; without one it is the order of the calls.
    /// </summary>
    public TimedEvent Schedule(long due, Action callback, long? sequence = null)
    {
        AssertOnLoop();
        var timed = new TimedEvent(Math.Max(due, Now), callback);
        _timed.Enqueue(timed, (timed.Due, sequence ?? NextSequence()));
        return timed;
    }

    /// <summary>The next number for <see cref="Schedule"/>.</summary>
    public long NextSequence() => _sequence++;

    /// <summary>
    /// Fails the caller, and the whole run, when it is not on the simulation's thread: a continuation has escaped to the
    /// thread pool and the order of events depends on the machine from there on.
    /// </summary>
    public void AssertOnLoop()
    {
        int thread = _threadId;
        if (thread != 0 && thread != Environment.CurrentManagedThreadId)
        {
            RecordEscape("called the simulation");
            throw new InvalidOperationException(_escape);
        }
    }

    /// <summary>What is waiting for the clock, earliest first.</summary>
    public IEnumerable<TimedEvent> Pending() => _timed.UnorderedItems
        .Where(item => !item.Element.IsCancelled)
        .OrderBy(item => item.Priority)
        .Select(item => item.Element);

    /// <inheritdoc/>
    protected override void QueueTask(Task task)
    {
        // A task from a foreign thread is refused: what runs it is no longer in the hands of the seed.
        int thread = _threadId;
        if (thread == Environment.CurrentManagedThreadId)
        {
            _ready.Add(task);
        }
        else if (thread != 0)
        {
            RecordEscape("came back to the simulation");
        }
    }

    /// <inheritdoc/>
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) =>
        !taskWasPreviouslyQueued && _threadId == Environment.CurrentManagedThreadId && TryExecuteTask(task);

    /// <inheritdoc/>
    protected override IEnumerable<Task> GetScheduledTasks() => _ready.ToArray();

    private string? RunUntil(Task finished)
    {
        while (true)
        {
            if (_failure is not null)
            {
                throw new InvalidOperationException("A timer callback or network event threw.", _failure);
            }

            if (_escape is not null)
            {
                return _escape;
            }

            if (finished.IsCompleted)
            {
                return null;
            }

            if (_ready.Count > 0)
            {
                if (_stepsThisInstant++ >= _options.StepLimit)
                {
                    return $"Livelock: {_options.StepLimit:N0} steps without time passing.";
                }

                Steps++;
                TryExecuteTask(TakeReady());
            }
            else if (AdvanceClock() is { } stuck)
            {
                return stuck;
            }
        }
    }

    private Task TakeReady()
    {
        // Tasks that are ready at once may run in any order on a real thread pool, so the seed chooses one.
        if (!_options.ShuffleReadyTasks)
        {
            Task first = _ready[0];
            _ready.RemoveAt(0);
            return first;
        }

        int index = _ready.Count > 1 ? _order.Next(_ready.Count) : 0;
        Task chosen = _ready[index];
        _ready[index] = _ready[^1];
        _ready.RemoveAt(_ready.Count - 1);
        return chosen;
    }

    private string? AdvanceClock()
    {
        TimedEvent? next;
        do
        {
            if (!_timed.TryDequeue(out next, out _))
            {
                return WaitForEscapee()
                    ? _escape
                    : "Deadlock: nothing is ready, no timer is set, and the scenario has not finished.";
            }
        }
        while (next.IsCancelled);

        if (next.Due > _options.TimeLimit.Ticks)
        {
            return $"The limit of {_options.TimeLimit} virtual time was reached.";
        }

        if (next.Due > Now)
        {
            Now = next.Due;
            _stepsThisInstant = 0;
        }

        Post(next.Callback);
        return null;
    }

    /// <summary>
    /// Before a deadlock is reported: a continuation that left for the thread pool looks just like one, and names itself
    /// only when it comes back. Real time passes here, but only in a run that has failed already.
    /// </summary>
    private bool WaitForEscapee()
    {
        // On a busy pool the escapee may not even have begun; what is queued behind it says when it has.
        var begun = new ManualResetEventSlim();
        ThreadPool.UnsafeQueueUserWorkItem(static begun => begun.Set(), begun, preferLocal: true);
        begun.Wait();
        return SpinWait.SpinUntil(() => _escape is not null, TimeSpan.FromMilliseconds(100));
    }

    private void RecordEscape(string how) =>
        _escape ??= $"Escape: a continuation left the simulation's thread and {how} from thread "
            + $"{Environment.CurrentManagedThreadId}. Await plainly; see the remarks of {nameof(Simulation)}. It ran at:"
            + Environment.NewLine + new StackTrace(2, fNeedFileInfo: true);

    private void Guarded(object? callback)
    {
        try
        {
            ((Action)callback!)();
        }
        catch (Exception exception)
        {
            // Rethrown by the loop: a callback has nobody else who would look at its failure.
            _failure ??= exception;
        }
    }
}

/// <summary>Something that will run when the clock reaches <see cref="Due"/>.</summary>
internal sealed class TimedEvent(long due, Action callback)
{
    /// <summary>Ticks of virtual time.</summary>
    public long Due { get; } = due;

    /// <summary>What to run.</summary>
    public Action Callback { get; } = callback;

    /// <summary>Set by <see cref="Cancel"/>; a cancelled event neither runs nor moves the clock.</summary>
    public bool IsCancelled { get; private set; }

    /// <summary>Takes the event back; does nothing when it has fired.</summary>
    public void Cancel() => IsCancelled = true;
}
