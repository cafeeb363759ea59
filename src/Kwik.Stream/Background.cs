namespace Kwik.Streams;

/// <summary>The one place where work is started that outlives the call that starts it.</summary>
internal static class Background
{
    /// <summary>
    /// Runs <paramref name="work"/> up to its first wait, without the caller's synchronization context but on its
    /// task scheduler: docs/adr/0002. The caller keeps the task and awaits it when it closes.
    /// </summary>
    public static T Start<T>(Func<T> work)
        where T : Task
    {
        SynchronizationContext? callers = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(null);
        try
        {
            return work();
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(callers);
        }
    }

    /// <summary>
    /// The source's task, for who waits with a time or a token: <c>WaitAsync</c> on the task itself would continue on the
    /// thread pool, docs/adr/0002.
    /// </summary>
    public static async Task WaitFor(TaskCompletionSource source) => await source.Task;

    /// <summary>
    /// Starts <paramref name="work"/> and waits for it, but no longer than this. False: it goes on beside the caller, and must
    /// not throw then.
    /// </summary>
    public static async Task<bool> EndsWithinAsync(Func<Task> work, TimeSpan limit, TimeProvider time)
    {
        try
        {
            await Start(() => AwaitAsync(work)).WaitAsync(limit, time);
            return true;
        }
        catch (TimeoutException)
        {
            return false;
        }
    }

    // WaitAsync on the task of a source would continue on the thread pool: docs/adr/0002.
    private static async Task AwaitAsync(Func<Task> work) => await work();
}
