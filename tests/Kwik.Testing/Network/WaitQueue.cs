namespace Kwik.Testing;

/// <summary>Things that arrive and callers that wait for one, first come, first served.</summary>
internal sealed class WaitQueue<T>(EventLoop loop)
{
    private readonly Queue<T> _items = [];
    private readonly LinkedList<TaskCompletionSource<T>> _waiters = [];
    private Func<Exception>? _closed;

    /// <summary>Hands the item to the longest waiting caller, or keeps it.</summary>
    public void Add(T item)
    {
        if (_closed is not null)
        {
            return;
        }

        if (_waiters.First is { } waiter)
        {
            _waiters.Remove(waiter);
            loop.Post(() => waiter.Value.SetResult(item));
        }
        else
        {
            _items.Enqueue(item);
        }
    }

    /// <summary>The next item. Fails as <see cref="Close"/> said, now or when it is called.</summary>
    public ValueTask<T> TakeAsync(CancellationToken cancellationToken)
    {
        loop.AssertOnLoop();
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<T>(cancellationToken);
        }

        if (_closed is not null)
        {
            return ValueTask.FromException<T>(_closed());
        }

        return _items.TryDequeue(out T? item) ? new ValueTask<T>(item) : new ValueTask<T>(WaitAsync(cancellationToken));
    }

    /// <summary>Fails everybody, now and later; returns what nobody took.</summary>
    public IReadOnlyList<T> Close(Func<Exception> reason)
    {
        if (_closed is not null)
        {
            return [];
        }

        _closed = reason;
        foreach (TaskCompletionSource<T> waiter in _waiters)
        {
            loop.Post(() => waiter.SetException(reason()));
        }

        _waiters.Clear();
        T[] left = [.. _items];
        _items.Clear();
        return left;
    }

    private Task<T> WaitAsync(CancellationToken cancellationToken)
    {
        // Not RunContinuationsAsynchronously: Task.WhenAny over such a task goes through the thread pool. Results are
        // posted instead, so that no continuation runs inside the caller of Add.
        var completion = new TaskCompletionSource<T>();
        LinkedListNode<TaskCompletionSource<T>> node = _waiters.AddLast(completion);
        if (!cancellationToken.CanBeCanceled)
        {
            return completion.Task;
        }

        CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(
            _ =>
            {
                loop.AssertOnLoop();
                if (node.List is not null)
                {
                    _waiters.Remove(node);
                    loop.Post(() => completion.SetCanceled(cancellationToken));
                }
            },
            null);
        return UnregisterAsync(completion.Task, registration);
    }

    private static async Task<T> UnregisterAsync(Task<T> task, CancellationTokenRegistration registration)
    {
        using (registration)
        {
            return await task;
        }
    }
}
