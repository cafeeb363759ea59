using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// The end of an error substream that speaks: at the side that did not open the public stream. Frames go out in the order
/// of the calls. Safe for concurrent use.
/// </summary>
internal sealed class ErrorWriter(ITransportStream stream)
{
    private readonly Lock _gate = new();
    private Task _last = Task.CompletedTask;
    private ulong _sequence;
    private bool _mainEnded;
    private bool _ended;

    /// <summary>
    /// Says something of the application's, and that it was the last, for a fault; not before <paramref name="after"/> has
    /// ended. False when the half has ended.
    /// </summary>
    /// <exception cref="KwikException"><see cref="KwikError.LimitExceeded"/>: too long; nothing was said.</exception>
    public async ValueTask<bool> SayAsync(bool isFault, ulong code, string message, ReadOnlyMemory<byte> details, Task after)
    {
        Task writing;
        lock (_gate)
        {
            if (_ended)
            {
                return false;
            }

            byte[] frame = XStreamErrorCodec.Said(isFault, code, message, details.Span, _sequence + 1);
            _sequence++;
            writing = EnqueueLocked(frame, isLast: isFault, after);
        }

        await writing;
        return true;
    }

    /// <summary>Says that Main ends where it does. Does not wait, and does nothing the second time.</summary>
    public void EndMain()
    {
        lock (_gate)
        {
            if (!_ended && !_mainEnded)
            {
                _mainEnded = true;
                EnqueueLocked(XStreamErrorCodec.Ended(isMainOnly: true), isLast: false);
            }
        }
    }

    /// <summary>Says that this side's end of the stream has failed. Does not wait. Messages for people here are not for the peer.</summary>
    public void Fail(KwikError code) => EndWith(XStreamErrorCodec.Failed(code));

    /// <summary>Says that the stream is closed without an error, and ends the half; waits no longer than this for the peer to take it, and as long for the peer's end.</summary>
    public async Task CloseAsync(TimeSpan timeout, TimeProvider time)
    {
        EndWith(XStreamErrorCodec.Ended(isMainOnly: false));
        await Background.EndsWithinAsync(DeliverAsync, timeout, time);
        // Also where the peer does not take it.
        stream.AbortWrites(KwikError.Cancelled);
        stream.AbortReads(KwikError.Cancelled);
        await stream.DisposeWithinAsync(timeout, time);
    }

    /// <summary>Waits until the peer has the last frame, which it may be long after the transport took it. Never throws.</summary>
    private async Task DeliverAsync()
    {
        Task last;
        lock (_gate)
        {
            last = _last;
        }

        try
        {
            await last;
            await stream.WritesClosed;
        }
        catch (KwikException)
        {
            // The peer has given the stream up: there is nobody left to tell.
        }
    }

    private void EndWith(byte[] frame)
    {
        lock (_gate)
        {
            if (!_ended)
            {
                EnqueueLocked(frame, isLast: true);
            }
        }
    }

    private Task EnqueueLocked(byte[] frame, bool isLast, Task? after = null)
    {
        _ended |= isLast;
        _last = WriteAfterAsync(_last, after ?? Task.CompletedTask, frame, isLast);
        return _last;
    }

    private async Task WriteAfterAsync(Task before, Task after, byte[] frame, bool isLast)
    {
        await before;
        await after;
        await stream.WriteAsync(frame, completeWrites: isLast);
    }
}
