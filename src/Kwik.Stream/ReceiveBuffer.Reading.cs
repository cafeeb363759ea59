using Kwik.Data;

namespace Kwik.Streams;

/// <content>The one reader: bytes in order, or every piece where it belongs.</content>
internal sealed partial class ReceiveBuffer
{
    /// <summary>Reads in order; 0 is the end. One reader at a time.</summary>
    public async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        BeginRead(anywhere: false);
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

    /// <summary>
    /// Gives every piece to <paramref name="write"/> with its offset, wherever it lies, one at a time, until the end. Cancelling
    /// takes effect between two pieces and loses none; called again it goes on. A piece whose write fails is lost.
    /// </summary>
    /// <exception cref="InvalidOperationException">Bytes were read in order before, or a read is pending.</exception>
    public async ValueTask TakeAllAsync(Func<ReadOnlyMemory<byte>, long, ValueTask> write, CancellationToken cancellationToken)
    {
        BeginRead(anywhere: true);
        try
        {
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                ThrowIfInterrupted();
                if (TryTakeNext(out bool ended))
                {
                    await write(_current!.Memory, _currentOffset);
                    _current.Return();
                    _current = null;
                }
                else if (ended)
                {
                    return;
                }
                else
                {
                    await _readable.WaitAsync(cancellationToken);
                }
            }
        }
        finally
        {
            EndRead();
        }
    }

    private void BeginRead(bool anywhere)
    {
        List<WindowWait>? released = null;
        lock (_gate)
        {
            ThrowIfClosedLocked();
            if (_reading)
            {
                throw new InvalidOperationException("A read is pending already; a stream has one reader at a time.");
            }

            if (anywhere != _aggregator.IsPositioned)
            {
                if (!anywhere || _aggregator.TakenBytes > 0)
                {
                    throw new InvalidOperationException("A stream is either read in order or copied to where its bytes belong.");
                }

                _aggregator.DeliverAnywhere();
                released = TakeFittingLocked();
            }

            _reading = true;
        }

        Release(released);
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

    /// <summary>After an interruption: what is here and follows what was read, then 0. One reader at a time.</summary>
    /// <exception cref="InvalidOperationException">There was no interruption, or a read is pending.</exception>
    public ValueTask<int> ReadRestAsync(Memory<byte> buffer)
    {
        BeginRead(anywhere: false);
        try
        {
            lock (_gate)
            {
                if (!_interrupted && _fault is null)
                {
                    throw new InvalidOperationException("The stream did not end with an error.");
                }

                DropDiscardedLocked();
            }

            if (_current is null)
            {
                lock (_gate)
                {
                    _current = _aggregator.TakeNext();
                    SettleLocked();
                }
            }

            return ValueTask.FromResult(_current is null ? 0 : CopyFromCurrent(buffer.Span));
        }
        finally
        {
            EndRead();
        }
    }

    private bool TryRead(Span<byte> buffer, out int read)
    {
        read = 0;
        ThrowIfInterrupted();
        if (_current is null && !TryTakeNext(out bool ended))
        {
            return ended;
        }

        read = CopyFromCurrent(buffer);
        return true;
    }

    private int CopyFromCurrent(Span<byte> buffer)
    {
        int read = Math.Min(buffer.Length, _current!.Length);
        _current.Span[..read].CopyTo(buffer);
        _current.TrimStart(read);
        if (_current.Length == 0)
        {
            _current.Return();
            _current = null;
        }

        return read;
    }

    private void ThrowIfInterrupted()
    {
        lock (_gate)
        {
            if (_fault is null && _interruption is not null)
            {
                throw _interruption;
            }

            if (DropDiscardedLocked())
            {
                throw _fault!;
            }
        }
    }

    /// <summary>What is discarded includes the rest of a piece that the reader, which calls this, has begun.</summary>
    private bool DropDiscardedLocked()
    {
        if (_discarded)
        {
            _current?.Return();
            _current = null;
        }

        return _discarded;
    }

    /// <summary>Makes the next piece the current one; when there is none says whether that is the end.</summary>
    private bool TryTakeNext(out bool ended)
    {
        List<WindowWait>? released;
        bool freed;
        lock (_gate)
        {
            ThrowIfClosedLocked();
            if (_fault is not null)
            {
                throw _fault;
            }

            _currentOffset = _aggregator.NextOffset;
            _current = _aggregator.IsPositioned ? _aggregator.TakeAny(out _currentOffset) : _aggregator.TakeNext();
            ended = _current is null && _aggregator.IsComplete;
            _endReported |= ended;
            freed = SettleLocked();
            released = TakeFittingLocked();
        }

        Release(released);
        WakeOthers(freed);
        if (ended)
        {
            EndReached?.Invoke();
        }

        if (_current is null)
        {
            return false;
        }

        ReaderMoved?.Invoke();
        return true;
    }
}
