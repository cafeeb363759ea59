using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>
/// One direction of a stream in memory, with the rules of <see cref="ITransportStream"/>: a window for the writer, one
/// reader and one writer at a time, an end, and an abort from either side. A read never crosses the end of a write.
/// </summary>
internal sealed class MemoryPipe(int window)
{
    private readonly Lock _gate = new();
    private readonly Queue<ReadOnlyMemory<byte>> _segments = new();
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource? _reader;
    private TaskCompletionSource? _writer;
    private int _buffered;
    private bool _completed;
    private (KwikError Code, bool ByReader)? _abort;

    /// <summary>Calls of <see cref="WriteAsync"/>.</summary>
    public int Writes { get; private set; }

    /// <summary>Bytes that were written and not read.</summary>
    public int Buffered
    {
        get
        {
            lock (_gate)
            {
                return _buffered;
            }
        }
    }

    /// <summary>Ends with the end of writing; faults with the abort.</summary>
    public Task Closed => _closed.Task;

    public async ValueTask<int> ReadAsync(Memory<byte> buffer)
    {
        while (true)
        {
            Task waiting;
            lock (_gate)
            {
                ThrowIfAborted(byThisSide: _abort is { ByReader: true });
                if (_segments.TryPeek(out ReadOnlyMemory<byte> first))
                {
                    return Take(first, buffer);
                }

                if (_completed)
                {
                    return 0;
                }

                waiting = Wait(ref _reader, "read");
            }

            await waiting;
        }
    }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, bool complete)
    {
        while (true)
        {
            Task waiting;
            lock (_gate)
            {
                ThrowIfAborted(byThisSide: _abort is { ByReader: false });
                if (_completed)
                {
                    throw new InvalidOperationException("A write after the end.");
                }

                int taken = Math.Min(bytes.Length, window - _buffered);
                if (taken > 0)
                {
                    _segments.Enqueue(bytes[..taken].ToArray());
                    _buffered += taken;
                    bytes = bytes[taken..];
                    Wake(ref _reader);
                }

                if (bytes.IsEmpty)
                {
                    Writes++;
                    if (complete)
                    {
                        CompleteLocked();
                    }

                    return;
                }

                waiting = Wait(ref _writer, "write");
            }

            await waiting;
        }
    }

    public void Complete()
    {
        lock (_gate)
        {
            if (!_completed && _abort is null)
            {
                CompleteLocked();
            }
        }
    }

    /// <summary>Does nothing after the end, as far as the side that aborts knows of it.</summary>
    public void Abort(KwikError code, bool byReader)
    {
        lock (_gate)
        {
            if (_abort is not null || (_completed && (!byReader || _buffered == 0)))
            {
                return;
            }

            _abort = (code, byReader);
            _segments.Clear();
            _buffered = 0;
            if (_closed.TrySetException(Aborted(byThisSide: !byReader)))
            {
                _ = _closed.Task.Exception;
            }

            Wake(ref _reader);
            Wake(ref _writer);
        }
    }

    private static Task Wait(ref TaskCompletionSource? waiter, string what)
    {
        if (waiter is not null)
        {
            throw new InvalidOperationException($"A second {what} at the same time.");
        }

        waiter = new(TaskCreationOptions.RunContinuationsAsynchronously);
        return waiter.Task;
    }

    private static void Wake(ref TaskCompletionSource? waiter)
    {
        waiter?.SetResult();
        waiter = null;
    }

    private int Take(ReadOnlyMemory<byte> first, Memory<byte> buffer)
    {
        int length = Math.Min(first.Length, buffer.Length);
        first[..length].CopyTo(buffer);
        _buffered -= length;
        _segments.Dequeue();
        if (length < first.Length)
        {
            // Back to the front: the rest of a write comes before the writes after it.
            ReadOnlyMemory<byte>[] later = [.. _segments];
            _segments.Clear();
            _segments.Enqueue(first[length..]);
            Array.ForEach(later, _segments.Enqueue);
        }

        if (length > 0)
        {
            Wake(ref _writer);
        }

        return length;
    }

    private void CompleteLocked()
    {
        _completed = true;
        _closed.TrySetResult();
        Wake(ref _reader);
    }

    private void ThrowIfAborted(bool byThisSide)
    {
        if (_abort is not null)
        {
            throw Aborted(byThisSide);
        }
    }

    private KwikException Aborted(bool byThisSide) => new(
        _abort!.Value.Code, byThisSide ? KwikErrorSide.Local : KwikErrorSide.Remote, "This direction of the stream was aborted.");
}
