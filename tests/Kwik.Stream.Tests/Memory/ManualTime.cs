namespace Kwik.Streams.Tests;

/// <summary>Time that stands still until a test lets all timers end.</summary>
internal sealed class ManualTime : TimeProvider
{
    private readonly Lock _gate = new();
    private readonly List<(TimerCallback Callback, object? State)> _timers = [];
    private readonly TaskCompletionSource _armed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Ends when somebody has begun to wait for time to pass.</summary>
    public Task Armed => _armed.Task;

    /// <summary>Lets every timer that was started come to its end.</summary>
    public void Elapse()
    {
        (TimerCallback Callback, object? State)[] due;
        lock (_gate)
        {
            due = [.. _timers];
            _timers.Clear();
        }

        foreach ((TimerCallback callback, object? state) in due)
        {
            callback(state);
        }
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        lock (_gate)
        {
            _timers.Add((callback, state));
        }

        _armed.TrySetResult();
        return new Timer(this, callback, state);
    }

    private sealed class Timer(ManualTime time, TimerCallback callback, object? state) : ITimer
    {
        public bool Change(TimeSpan dueTime, TimeSpan period) => true;

        public void Dispose()
        {
            lock (time._gate)
            {
                time._timers.Remove((callback, state));
            }
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return ValueTask.CompletedTask;
        }
    }
}
