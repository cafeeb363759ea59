using System.Collections.Concurrent;

namespace Kwik.Testing;

/// <summary>A context as user interfaces have it: one thread does everything, and while it blocks nothing goes on.</summary>
internal sealed class SingleThreadContext : SynchronizationContext, IDisposable
{
    private readonly BlockingCollection<(SendOrPostCallback Callback, object? State)> _queue = [];
    private readonly Thread _thread;

    public SingleThreadContext()
    {
        _thread = new Thread(Work) { IsBackground = true };
        _thread.Start();
    }

    /// <summary>True on the one thread.</summary>
    public bool IsHere => Thread.CurrentThread == _thread;

    /// <summary>Begins something on the one thread; what it awaits continues there.</summary>
    public Task RunAsync(Func<Task> work)
    {
        var done = new TaskCompletionSource<Task>(TaskCreationOptions.RunContinuationsAsynchronously);
        Post(
            _ =>
            {
                try
                {
                    done.SetResult(work());
                }
                catch (Exception e)
                {
                    done.SetException(e);
                }
            },
            null);
        return done.Task.Unwrap();
    }

    /// <summary>Runs something that blocks on the one thread.</summary>
    public Task RunAsync(Action work) => RunAsync(() =>
    {
        work();
        return Task.CompletedTask;
    });

    public override void Post(SendOrPostCallback d, object? state) => _queue.Add((d, state));

    public override void Send(SendOrPostCallback d, object? state) => throw new NotSupportedException("Nothing here waits for it.");

    public override SynchronizationContext CreateCopy() => this;

    /// <summary>Lets the thread end.</summary>
    public void Dispose() => _queue.CompleteAdding();

    private void Work()
    {
        SetSynchronizationContext(this);
        foreach ((SendOrPostCallback callback, object? state) in _queue.GetConsumingEnumerable())
        {
            callback(state);
        }
    }
}
