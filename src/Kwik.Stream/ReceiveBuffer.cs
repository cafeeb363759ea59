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
    private readonly List<WindowWait> _parked = [];

    // The piece that the reader is copying from; touched by the reader only, or under the lock while nobody reads.
    private Lease? _current;
    private bool _reading;
    private ContentVerifier? _verifier;
    private Exception? _fault;
    private bool _closed;

    // A source that holds a piece beyond the window; its bytes are still with QUIC, which holds back their sender.
    private sealed class WindowWait(long start, int length)
    {
        public readonly TaskCompletionSource Released = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public long Start => start;

        public int Length => length;
    }

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

    /// <summary>Bytes that came again, the same, or for what had gone to the reader.</summary>
    public long DuplicateBytes
    {
        get
        {
            lock (_gate)
            {
                return _aggregator.DuplicateBytes;
            }
        }
    }

    /// <summary>Times that two sources sent different bytes for one offset.</summary>
    public long Conflicts
    {
        get
        {
            lock (_gate)
            {
                return _aggregator.Conflicts;
            }
        }
    }

    /// <summary>The hole that the reader waits at; null when there is none.</summary>
    public (long Offset, long End)? FirstHole
    {
        get
        {
            lock (_gate)
            {
                return _closed || _fault is not null ? null : _aggregator.FirstHole;
            }
        }
    }

    /// <summary>Offset behind the highest byte that this path ever sent; -1 when it sent none.</summary>
    public long SourceOffset(int pathId)
    {
        lock (_gate)
        {
            return _aggregator.SourceOffset(pathId);
        }
    }

    /// <summary>What a piece there would meet now; nothing changes.</summary>
    public AcceptOutcome Validate(long offset, int length)
    {
        lock (_gate)
        {
            return _aggregator.Validate(offset, length);
        }
    }

    /// <summary>The ranges that are not here, from one offset to another, as far as the stream goes.</summary>
    public List<(long Offset, long Length)> Missing(long start, long end)
    {
        var missing = new List<(long Offset, long Length)>();
        lock (_gate)
        {
            if (!_closed && _fault is null)
            {
                _aggregator.Missing(start, Math.Min(end, _aggregator.FinalSize ?? end), missing);
            }
        }

        return missing;
    }

    /// <summary>
    /// Takes pieces that follow each other, each with the ownership of its lease, up to the first that does not fit the
    /// window now or is refused. After the end of the stream pieces are dropped.
    /// </summary>
    /// <param name="source">The path that they came on.</param>
    /// <param name="offset">Of the first piece; afterwards of the first that was not taken.</param>
    /// <param name="pieces">What is not taken stays the caller's: wait for the window and come again.</param>
    /// <param name="last">What became of the last piece taken.</param>
    /// <returns>How many were taken.</returns>
    public int Accept(int source, ref long offset, ReadOnlySpan<Lease> pieces, out AcceptResult last)
    {
        last = new(AcceptOutcome.Duplicate);
        int taken = 0;
        bool readable;
        List<WindowWait>? released;
        lock (_gate)
        {
            while (taken < pieces.Length && last.Outcome is not (AcceptOutcome.Rejected or AcceptOutcome.FinalSize))
            {
                int length = pieces[taken].Length;
                if (_closed || _fault is not null)
                {
                    pieces[taken++].Return();
                }
                else if (_aggregator.Validate(offset, length) == AcceptOutcome.Overflow)
                {
                    break;
                }
                else
                {
                    last = _aggregator.Accept(source, offset, pieces[taken++]);
                }

                offset += length;
            }

            readable = IsReadableLocked();
            // Holes that were closed make room for a source that waits to make others.
            released = TakeFittingLocked();
        }

        if (readable)
        {
            _readable.Set();
        }

        Release(released);
        return taken;
    }

    /// <summary>Says how long the stream is; false when that contradicts what is known.</summary>
    public bool TrySetFinalSize(long size)
    {
        List<WindowWait>? released;
        lock (_gate)
        {
            if (!_aggregator.TrySetFinalSize(size))
            {
                return false;
            }

            // Who waits with bytes beyond it will not be let in; it is to learn that now.
            released = TakeFittingLocked();
        }

        _readable.Set();
        Release(released);
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
        List<WindowWait>? released;
        lock (_gate)
        {
            if (_closed || _fault is not null || _aggregator.IsComplete)
            {
                return;
            }

            _fault = fault;
            _aggregator.Clear();
            released = TakeFittingLocked();
        }

        _readable.Set();
        Release(released);
    }

    /// <summary>
    /// Waits until a piece may be accepted, or the stream has ended. The piece that the reader waits for never waits here.
    /// Any number of sources.
    /// </summary>
    /// <exception cref="OperationCanceledException">The source was given up meanwhile.</exception>
    public async ValueTask WaitForWindowAsync(long offset, int length, CancellationToken cancellationToken)
    {
        WindowWait wait;
        lock (_gate)
        {
            if (FitsLocked(offset, length))
            {
                return;
            }

            wait = new WindowWait(offset, length);
            _parked.Add(wait);
        }

        using (cancellationToken.UnsafeRegister(static (state, token) => ((WindowWait)state!).Released.TrySetCanceled(token), wait))
        {
            try
            {
                await wait.Released.Task;
            }
            finally
            {
                lock (_gate)
                {
                    _parked.Remove(wait);
                }
            }
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
        List<WindowWait>? released;
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

            released = TakeFittingLocked();
        }

        _readable.Set();
        Release(released);
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
        List<WindowWait>? released;
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closed, typeof(KwikStream));
            if (_fault is not null)
            {
                throw _fault;
            }

            _current = _aggregator.TakeNext();
            ended = _current is null && _aggregator.IsComplete;
            released = TakeFittingLocked();
        }

        Release(released);
        if (ended)
        {
            _verifier?.Finish();
        }

        if (_current is null)
        {
            return false;
        }

        _verifier?.Append(_current.Span);
        ReaderMoved?.Invoke();
        return true;
    }

    private bool IsReadableLocked() => _aggregator.CanTake;

    private bool FitsLocked(long start, int length) =>
        _closed || _fault is not null || _aggregator.Validate(start, length) != AcceptOutcome.Overflow;

    /// <summary>Sources that may go on; to be released outside the lock.</summary>
    private List<WindowWait>? TakeFittingLocked()
    {
        List<WindowWait>? fitting = null;
        for (int i = 0; i < _parked.Count;)
        {
            if (!FitsLocked(_parked[i].Start, _parked[i].Length))
            {
                i++;
                continue;
            }

            (fitting ??= []).Add(_parked[i]);
            _parked.RemoveAt(i);
        }

        return fitting;
    }

    private static void Release(List<WindowWait>? waits) => waits?.ForEach(wait => wait.Released.TrySetResult());

    private void ReleaseReaderLocked()
    {
        _current?.Return();
        _current = null;
        _verifier?.Dispose();
        _verifier = null;
    }
}
