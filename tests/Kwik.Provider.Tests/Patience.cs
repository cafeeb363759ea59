namespace Kwik.Provider.Tests;

/// <summary>Every wait of the suite ends: what hangs fails its test and not the run.</summary>
internal static class Patience
{
    /// <summary>Far more than anything here needs on a busy machine and under a sanitizer.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    public static Task Bounded(this Task task) => task.WaitAsync(Limit);

    public static Task<T> Bounded<T>(this Task<T> task) => task.WaitAsync(Limit);

    public static Task Bounded(this ValueTask task) => task.AsTask().WaitAsync(Limit);

    public static Task<T> Bounded<T>(this ValueTask<T> task) => task.AsTask().WaitAsync(Limit);
}
