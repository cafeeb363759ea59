namespace Kwik.Streams;

/// <summary>
/// Says who sends the next chunk. Messages of one priority go one after the other, in the order in which they joined, so
/// that at most one of each is under way; a higher priority goes first, chunk by chunk; and a rate, where there is one, is
/// kept before a turn is given, so that who comes later and is more urgent still goes first. Safe for concurrent use.
/// </summary>
/// <param name="time">The session's clock.</param>
/// <param name="rate">Of this channel.</param>
/// <param name="session">Of all channels of the session; null: no limit.</param>
internal sealed class SendTurns(TimeProvider time, MessageRate rate, MessagePace? session)
{
    /// <summary>Turns of higher priorities, in a row, for which a message waits; the next one is its own.</summary>
    public const int MaxPassedOver = 16;

    private readonly Lock _gate = new();
    private readonly LinkedList<Ticket>[] _queues = [new(), new(), new()];
    private readonly int[] _passedOver = new int[3];
    private readonly MessagePace _own = new(time, rate);

    private Ticket? _holder;
    // Somebody waits for tokens, and will ask again.
    private bool _isPaced;
    // From CloseAsync on; ends when nobody is left.
    private TaskCompletionSource? _closing;

    /// <summary>A message of this priority, whose first chunk has so many bytes, gets into line.</summary>
    /// <exception cref="InvalidOperationException"><see cref="CloseAsync"/> was called.</exception>
    public Ticket Join(MessagePriority priority, int bytes)
    {
        var ticket = new Ticket(priority, bytes);
        lock (_gate)
        {
            if (_closing is not null)
            {
                throw new InvalidOperationException("Sending was completed; open another stream for more messages.");
            }

            _queues[(int)priority].AddLast(ticket);
        }

        Grant();
        return ticket;
    }

    /// <summary>Gives the turn back, and waits for the next one in the same place of the line, in one step.</summary>
    public void Yield(Ticket ticket, int bytes)
    {
        lock (_gate)
        {
            ticket.Await(bytes);
            _holder = null;
        }

        Grant();
    }

    /// <summary>Leaves the line, and gives the turn back if it was this ticket's.</summary>
    public void Leave(Ticket ticket)
    {
        TaskCompletionSource? done;
        lock (_gate)
        {
            _queues[(int)ticket.Priority].Remove(ticket);
            _holder = _holder == ticket ? null : _holder;
            done = _queues.All(queue => queue.Count == 0) ? _closing : null;
        }

        done?.TrySetResult();
        Grant();
    }

    /// <summary>Lets nobody join any more. Ends when all have left.</summary>
    public Task CloseAsync(CancellationToken cancellationToken)
    {
        TaskCompletionSource closing;
        lock (_gate)
        {
            closing = _closing ??= new(TaskCreationOptions.RunContinuationsAsynchronously);
            if (_queues.All(queue => queue.Count == 0))
            {
                return Task.CompletedTask;
            }
        }

        return Background.WaitFor(closing).WaitAsync(cancellationToken);
    }

    private void Grant()
    {
        TimeSpan wait;
        lock (_gate)
        {
            wait = GrantLocked();
            if (wait == TimeSpan.Zero || _isPaced)
            {
                return;
            }

            _isPaced = true;
        }

        _ = Background.Start(() => GrantAfterAsync(wait));
    }

    private async Task GrantAfterAsync(TimeSpan wait)
    {
        // In whole milliseconds, rounded up: a timer that fires early would be set again and again.
        await Task.Delay(TimeSpan.FromMilliseconds(Math.Ceiling(wait.TotalMilliseconds)), time);
        lock (_gate)
        {
            _isPaced = false;
        }

        Grant();
    }

    /// <summary>Gives the turn to the next one. Otherwise, when there is one, the time until there are tokens for it.</summary>
    private TimeSpan GrantLocked()
    {
        int priority = _holder is null ? NextLocked() : -1;
        if (priority < 0)
        {
            return TimeSpan.Zero;
        }

        Ticket ticket = _queues[priority].First!.Value;
        TimeSpan wait = TakeTokensLocked(ticket);
        if (wait > TimeSpan.Zero)
        {
            return wait;
        }

        for (int lower = priority + 1; lower < _queues.Length; lower++)
        {
            _passedOver[lower] += _queues[lower].Count > 0 ? 1 : 0;
        }

        _passedOver[priority] = 0;
        _holder = ticket;
        ticket.Turn.SetResult();
        return TimeSpan.Zero;
    }

    private int NextLocked()
    {
        int next = -1;
        for (int priority = _queues.Length - 1; priority >= 0; priority--)
        {
            if (_queues[priority].Count > 0)
            {
                if (_passedOver[priority] >= MaxPassedOver)
                {
                    return priority;
                }

                next = priority;
            }
        }

        return next;
    }

    /// <summary>Takes what the next chunk of this ticket costs, all or nothing; then the time after which to ask again.</summary>
    private TimeSpan TakeTokensLocked(Ticket ticket)
    {
        TimeSpan wait = _own.Take(!ticket.HasBegun, ticket.Bytes);
        if (wait > TimeSpan.Zero || session is null)
        {
            return wait;
        }

        wait = session.Take(!ticket.HasBegun, ticket.Bytes);
        if (wait > TimeSpan.Zero)
        {
            _own.GiveBack(!ticket.HasBegun, ticket.Bytes);
        }

        return wait;
    }

    /// <summary>A message's place in the line.</summary>
    internal sealed class Ticket(MessagePriority priority, int bytes)
    {
        public MessagePriority Priority => priority;

        /// <summary>Of the chunk that waits for its turn.</summary>
        public int Bytes { get; private set; } = bytes;

        /// <summary>It had a turn before.</summary>
        public bool HasBegun { get; private set; }

        /// <summary>Ends when it has the turn; a new one for each turn. Waiting is <see cref="WaitAsync"/>.</summary>
        public TaskCompletionSource Turn { get; private set; } = New();

        /// <summary>Ends when it has the turn. After cancellation it is still in line, and may have the turn.</summary>
        public Task WaitAsync(CancellationToken cancellationToken) =>
            Turn.Task.IsCompleted ? Task.CompletedTask : Background.WaitFor(Turn).WaitAsync(cancellationToken);

        /// <summary>Called under the lock of the line.</summary>
        public void Await(int bytes)
        {
            Bytes = bytes;
            HasBegun = true;
            Turn = New();
        }

        private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
