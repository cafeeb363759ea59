using System.Threading.Tasks.Sources;

namespace Kwik.Streams;

/// <summary>
/// Wakes one waiter: an auto-reset event for asynchronous code, without allocation. A signal that comes while nobody
/// waits is kept, once.
/// </summary>
internal sealed class AsyncSignal : IValueTaskSource
{
    private readonly Lock _gate = new();
    private ManualResetValueTaskSourceCore<bool> _source;
    private CancellationTokenRegistration _registration;
    private bool _signalled;
    private bool _waiting;

    /// <summary>Wakes the waiter, or the next one, on another thread.</summary>
    public void Set() => Set(here: false);

    /// <summary>The same, and the waiter goes on on this thread, before this returns: for callers that have nothing else to do.</summary>
    public void SetHere() => Set(here: true);

    /// <summary>Waits for <see cref="Set()"/>. One waiter at a time.</summary>
    /// <exception cref="InvalidOperationException">Somebody waits already.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the signal is still there for the next waiter.</exception>
    public ValueTask WaitAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        short version;
        lock (_gate)
        {
            if (_waiting)
            {
                throw new InvalidOperationException("Only one call can wait here at a time.");
            }

            if (_signalled)
            {
                _signalled = false;
                return ValueTask.CompletedTask;
            }

            _source.Reset();
            version = _source.Version;
            _waiting = true;
        }

        if (cancellationToken.CanBeCanceled)
        {
            // Set may already have completed the wait; the registration is disposed in GetResult all the same.
            _registration = cancellationToken.UnsafeRegister(
                static (state, token) => ((AsyncSignal)state!).Cancel(token), this);
        }

        return new(this, version);
    }

    void IValueTaskSource.GetResult(short token)
    {
        // Blocks while the callback runs, which only takes the lock; afterwards it can hit no later wait.
        _registration.Dispose();
        _registration = default;
        _source.GetResult(token);
    }

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    private void Set(bool here)
    {
        lock (_gate)
        {
            if (!_waiting)
            {
                _signalled = true;
                return;
            }

            _waiting = false;
        }

        _source.RunContinuationsAsynchronously = !here;
        _source.SetResult(true);
    }

    private void Cancel(CancellationToken token)
    {
        lock (_gate)
        {
            if (!_waiting)
            {
                return;
            }

            _waiting = false;
        }

        _source.RunContinuationsAsynchronously = true;
        _source.SetException(new OperationCanceledException(token));
    }
}
