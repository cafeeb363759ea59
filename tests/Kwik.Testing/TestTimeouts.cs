using System.Runtime.CompilerServices;

namespace Kwik.Testing;

/// <summary>Bounds for awaits in tests on real time. A simulation has bounds of its own.</summary>
public static class TestTimeouts
{
    /// <summary>For what takes milliseconds on a quiet machine: 30 s, because test machines are not quiet.</summary>
    public static readonly TimeSpan Operation = TimeSpan.FromSeconds(30);

    /// <summary>For a whole scenario: 2 min.</summary>
    public static readonly TimeSpan Scenario = TimeSpan.FromMinutes(2);

    /// <summary>Awaits the task for at most <paramref name="limit"/>, by default <see cref="Operation"/>.</summary>
    /// <exception cref="TimeoutException">The task has not finished in time; the message shows the awaited expression.</exception>
    public static async Task WithinAsync(
        this Task task, TimeSpan? limit = null, [CallerArgumentExpression(nameof(task))] string what = "")
    {
        TimeSpan bound = limit ?? Operation;
        try
        {
            await task.WaitAsync(bound);
        }
        catch (TimeoutException) when (!task.IsCompleted)
        {
            throw new TimeoutException($"Not within {bound}: {what}");
        }
    }

    /// <inheritdoc cref="WithinAsync(Task, TimeSpan?, string)"/>
    public static async Task<T> WithinAsync<T>(
        this Task<T> task, TimeSpan? limit = null, [CallerArgumentExpression(nameof(task))] string what = "")
    {
        await ((Task)task).WithinAsync(limit, what);
        return await task;
    }

    /// <inheritdoc cref="WithinAsync(Task, TimeSpan?, string)"/>
    public static Task<T> WithinAsync<T>(
        this ValueTask<T> task, TimeSpan? limit = null, [CallerArgumentExpression(nameof(task))] string what = "") =>
        task.AsTask().WithinAsync(limit, what);

    /// <inheritdoc cref="WithinAsync(Task, TimeSpan?, string)"/>
    public static Task WithinAsync(
        this ValueTask task, TimeSpan? limit = null, [CallerArgumentExpression(nameof(task))] string what = "") =>
        task.AsTask().WithinAsync(limit, what);
}
