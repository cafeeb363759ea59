using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>Work that runs beside its owner, who waits for all of it when it ends. Safe for concurrent use.</summary>
internal sealed class TaskSet
{
    private readonly Lock _gate = new();
    private TaskCompletionSource? _idle;
    private Exception? _fault;
    private int _running;

    /// <summary>Runs <paramref name="work"/> up to its first wait, and the rest beside the caller.</summary>
    public void Start(Func<Task> work)
    {
        lock (_gate)
        {
            _running++;
        }

        _ = Background.Start(() => RunAsync(work));
    }

    /// <summary>Waits until nothing runs; the owner starts nothing more. Throws what the first failed work threw.</summary>
    public async Task JoinAsync()
    {
        Task idle;
        lock (_gate)
        {
            idle = _running == 0
                ? Task.CompletedTask
                : (_idle ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }

        await idle;
        if (_fault is not null)
        {
            throw new InvalidOperationException("Work beside a connection failed.", _fault);
        }
    }

    private async Task RunAsync(Func<Task> work)
    {
        Exception? fault = null;
        try
        {
            await work();
        }
        catch (Exception e)
        {
            fault = e;
        }

        TaskCompletionSource? idle = null;
        lock (_gate)
        {
            _fault ??= fault;
            if (--_running == 0)
            {
                (idle, _idle) = (_idle, null);
            }
        }

        idle?.TrySetResult();
    }
}
