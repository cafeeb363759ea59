using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// The receiving half of a public stream: pieces come in from any source, bytes go out in order to one reader. Safe for
/// concurrent use by many sources and one reader.
/// </summary>
/// <remarks>
/// Sources hand over leases under the lock; the reader takes a whole piece out under the lock and copies from it outside.
/// Callbacks and continuations run after the lock is released.
/// </remarks>
internal sealed class ReceiveBuffer(AggregatorOptions options, LeasePool pool) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly OffsetAggregator _aggregator = new(options, pool);
    private readonly AsyncSignal _readable = new();
    private readonly AsyncSignal _moved = new();

    // The piece that the reader is copying from; touched by the reader only, or under the lock while nobody reads.
    private Lease? _current;
    private bool _reading;
    private ContentVerifier? _verifier;
    private Exception? _fault;
    private bool _closed;

    /// <summary>Runs after the reader has taken a piece, on the reader's call: there is room in the window.</summary>
    public Action? ReaderMoved { get; set; }

    /// <summary>Everything before this offset has gone to the reader.</summary>
    public long ReadOffset
    {
        get
        {
            lock (_gate)
            {
                return _aggregator.NextOffset;
            }
        }
    }

    /// <summary>Takes a piece and the ownership of its lease. After the end of the stream the piece is dropped.</summary>
    public AcceptResult Accept(int source, long offset, Lease piece)
    {
        AcceptResult result;
        lock (_gate)
        {
            if (_closed || _fault is not null)
            {
                piece.Return();
                return new(AcceptOutcome.Duplicate);
            }

            result = _aggregator.Accept(source, offset, piece);
            if (!_aggregator.CanTake)
            {
                return result;
            }
        }

        _readable.Set();
        return result;
    }

    /// <summary>Says how long the stream is; false when that contradicts what is known.</summary>
    public bool TrySetFinalSize(long size)
    {
        lock (_gate)
        {
            if (!_aggregator.TrySetFinalSize(size))
            {
                return false;
            }
        }

        _readable.Set();
        return true;
    }

    /// <summary>From now on the end is only reported when all bytes together are the offered content. Before the first read.</summary>
    public void Verify(ContentOffer offer)
    {
        lock (_gate)
        {
            _verifier = new ContentVerifier(offer);
        }
    }

    /// <summary>Ends the stream for the reader: pending and later reads throw this. The first fault stays.</summary>
    public void Fail(Exception fault)
    {
        lock (_gate)
        {
            if (_closed || _fault is not null || _aggregator.IsComplete)
            {
                return;
            }

            _fault = fault;
            _aggregator.Clear();
        }

        _readable.Set();
        _moved.Set();
    }

    /// <summary>Waits until bytes up to <paramref name="end"/> may be accepted, or the stream has ended. One waiter at a time.</summary>
    public async ValueTask WaitForWindowAsync(long start, long end)
    {
        while (true)
        {
            lock (_gate)
            {
                if (_closed || _fault is not null || start <= _aggregator.NextOffset || end <= _aggregator.WindowEnd)
                {
                    return;
                }
            }

            await _moved.WaitAsync(CancellationToken.None);
        }
    }

    /// <summary>Reads in order; 0 is the end. One reader at a time.</summary>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        BeginRead();
        try
        {
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (TryRead(buffer.Span, out int read))
                {
                    return read;
                }

                await _readable.WaitAsync(cancellationToken);
            }
        }
        finally
        {
            EndRead();
        }
    }

    /// <summary>Returns all memory. Pending reads end with <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
            _aggregator.Clear();
            if (!_reading)
            {
                ReleaseReaderLocked();
            }
        }

        _readable.Set();
        _moved.Set();
    }

    private void BeginRead()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closed, typeof(KwikStream));
            if (_reading)
            {
                throw new InvalidOperationException("A read is pending already; a stream has one reader at a time.");
            }

            _reading = true;
        }
    }

    /// <summary>Who is last, this or <see cref="Dispose"/>, returns what the reader holds.</summary>
    private void EndRead()
    {
        lock (_gate)
        {
            _reading = false;
            if (_closed)
            {
                ReleaseReaderLocked();
            }
        }
    }

    private bool TryRead(Span<byte> buffer, out int read)
    {
        read = 0;
        if (_current is null && !TryTakeNext(out bool ended))
        {
            return ended;
        }

        read = Math.Min(buffer.Length, _current!.Length);
        _current.Span[..read].CopyTo(buffer);
        _current.TrimStart(read);
        if (_current.Length == 0)
        {
            _current.Return();
            _current = null;
        }

        return true;
    }

    /// <summary>Makes the next piece the current one; when there is none says whether that is the end.</summary>
    private bool TryTakeNext(out bool ended)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closed, typeof(KwikStream));
            if (_fault is not null)
            {
                throw _fault;
            }

            _current = _aggregator.TakeNext();
            ended = _current is null && _aggregator.IsComplete;
        }

        if (ended)
        {
            _verifier?.Finish();
        }

        if (_current is null)
        {
            return false;
        }

        _verifier?.Append(_current.Span);
        _moved.Set();
        ReaderMoved?.Invoke();
        return true;
    }

    private void ReleaseReaderLocked()
    {
        _current?.Return();
        _current = null;
        _verifier?.Dispose();
        _verifier = null;
    }
}
