using System.Runtime.CompilerServices;

namespace Kwik.Streams;

/// <summary>
/// What a loop over a transport's reads does between one read and the next, on one thread; and the wake-up that is left for the end
/// of it.
/// </summary>
/// <remarks>
/// The loop of a stream hands bytes to a reader, which waits. To wake it on another thread at once costs the processor more than
/// to copy the bytes, and in most steps the loop has nothing else to do: it waits for the transport again. So the wake-up is left
/// until the loop waits, and then this thread goes on as the reader. The reader may do there whatever it likes, for as long as it
/// likes: the loop goes on on another thread, when its next read is complete. When a step has more for a reader, that is woken at
/// once, and works beside the loop.
/// </remarks>
internal sealed class TransportStep
{
    [ThreadStatic]
    private static bool Running;

    [ThreadStatic]
    private static AsyncSignal? Left;

    private readonly Action _run;
    private Action? _continuation;

    public TransportStep() => _run = Run;

    /// <summary>Waits for a read of the loop, whose next step begins with its end. One wait at a time.</summary>
    public Awaitable WaitFor(ValueTask<int> read) => new(this, read);

    /// <summary>Sets a signal: at the end of the step that this thread is in, or at once.</summary>
    public static void Set(AsyncSignal signal)
    {
        if (Running && Left is null)
        {
            Left = signal;
            return;
        }

        if (Left == signal)
        {
            Left = null;
        }

        signal.Set();
    }

    private void Run()
    {
        Action continuation = _continuation!;
        _continuation = null;
        Running = true;
        try
        {
            continuation();
        }
        finally
        {
            Running = false;
            AsyncSignal? left = Left;
            Left = null;
            left?.SetHere();
        }
    }

    /// <summary>See <see cref="WaitFor"/>.</summary>
    internal readonly struct Awaitable(TransportStep step, ValueTask<int> read)
    {
        public Awaiter GetAwaiter() => new(step, read.GetAwaiter());
    }

    /// <summary>As the read's own, but for what follows the continuation.</summary>
    internal readonly struct Awaiter(TransportStep step, ValueTaskAwaiter<int> read) : ICriticalNotifyCompletion
    {
        public bool IsCompleted => read.IsCompleted;

        public int GetResult() => read.GetResult();

        public void OnCompleted(Action continuation)
        {
            step._continuation = continuation;
            read.OnCompleted(step._run);
        }

        public void UnsafeOnCompleted(Action continuation)
        {
            step._continuation = continuation;
            read.UnsafeOnCompleted(step._run);
        }
    }
}
