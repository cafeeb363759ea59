using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// An Internal stream, seen from the server that writes it: bytes that the client places into one of its public streams,
/// at the offset that <see cref="SetKwikStreamMapping"/> named. One writer at a time. The client's application never sees
/// this stream.
/// </summary>
/// <remarks>
/// A client takes bytes only inside ranges that its primary granted to this path for that public stream; others end this
/// stream with <see cref="KwikError.StreamMappingConflict"/>. Nobody keeps pushed bytes: what a lost stream did not
/// deliver is named to the primary as a lost range.
/// </remarks>
public sealed class SecondaryStream : IAsyncDisposable
{
    private readonly ITransportStream _stream;
    private readonly FrameWriter _writer;
    private readonly Lock _gate = new();
    private readonly Action<SecondaryStream>? _closed;
    private SecondaryStreamState _state = SecondaryStreamState.Opening;
    private long _kwikStreamId = -1;
    private long _start;
    private long _jump = -1;
    private long _base;
    private int _writing;
    private int _disposed;

    /// <summary>A stream of the application's; its header leaves with the first data.</summary>
    /// <param name="stream">One-way, opened by this side.</param>
    /// <param name="pool">Memory for frames.</param>
    /// <param name="closed">Runs once, when the stream is disposed.</param>
    internal SecondaryStream(ITransportStream stream, LeasePool pool, Action<SecondaryStream>? closed = null)
    {
        _stream = stream;
        _closed = closed;
        _writer = new FrameWriter(stream, pool);
        _writer.Begin(StreamHeader.Create(StreamType.Internal));
    }

    /// <summary>Where this stream stands. Safe to read at any time.</summary>
    public SecondaryStreamState State
    {
        get
        {
            lock (_gate)
            {
                return _state;
            }
        }
    }

    /// <summary>Ends when the client has received all of it; faults when either side gave it up.</summary>
    public Task WritesClosed => _stream.WritesClosed;

    /// <summary>
    /// Says where the next byte belongs. May be called again for the same public stream, to go on at another offset; for
    /// another public stream open another stream.
    /// </summary>
    /// <param name="kwikStreamId">The id of the public stream: 0 to 2^62-1.</param>
    /// <param name="offset">0 to 2^62-1.</param>
    /// <exception cref="InvalidOperationException">Mapped to another public stream, a write is pending, or completed.</exception>
    public void SetKwikStreamMapping(long kwikStreamId, long offset) => Map(kwikStreamId, offset, requestId: -1);

    /// <summary>Payload written so far, bytes.</summary>
    internal long Sent => _writer.Written;

    /// <summary>The public stream that the bytes belong to; -1 before it was said.</summary>
    public long GetKwikStreamId() => Volatile.Read(ref _kwikStreamId);

    /// <summary>Offset in the public stream of the next byte written; -1 before it was said.</summary>
    public long GetOffset() => GetKwikStreamId() < 0 ? -1 : Volatile.Read(ref _base) + _writer.Written;

    /// <summary>
    /// Writes all bytes. Returns when the transport has taken them; waits while the client holds the stream back, because
    /// its reader is behind. After cancellation the bytes handed over so far are still sent, as <see cref="GetOffset"/> tells.
    /// </summary>
    /// <exception cref="InvalidOperationException">Not mapped yet, another write is pending, or completed.</exception>
    /// <exception cref="KwikException">The client refused or stopped the stream, or the connection ended.</exception>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        EnterWrite();
        try
        {
            ThrowIfNotMapped();
            ArgumentOutOfRangeException.ThrowIfGreaterThan(buffer.Length, StreamFrame.MaxOffset - GetOffset(), nameof(buffer));
            await WritePayloadAsync(buffer, cancellationToken);
        }
        catch (KwikException)
        {
            Advance(SecondaryStreamInput.Failed);
            throw;
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    /// <summary>Says that this was all, or why there is no more, and ends the stream; <see cref="WritesClosed"/> ends when the client has it.</summary>
    /// <exception cref="InvalidOperationException">A write is pending, or completed.</exception>
    /// <exception cref="KwikException">The client refused or stopped the stream, or the connection ended.</exception>
    public async ValueTask CompleteAsync(KwikError error = KwikError.None)
    {
        EnterWrite();
        try
        {
            ThrowIfNotMapped();
            Task completed = _writer.CompleteAsync(StreamFrame.Close(GetOffset(), error));
            Advance(SecondaryStreamInput.Ended);
            await completed;
        }
        catch (KwikException)
        {
            Advance(SecondaryStreamInput.Failed);
            throw;
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    /// <summary>Ends the stream; one that was not completed is reset, and its missing bytes are a lost range.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        if (State is not (SecondaryStreamState.Closing or SecondaryStreamState.Closed))
        {
            Advance(SecondaryStreamInput.Failed);
            _stream.AbortWrites(KwikError.Cancelled);
        }

        await _stream.DisposeAsync();
        _writer.Discard();
        Advance(_stream.WritesClosed.IsCompletedSuccessfully ? SecondaryStreamInput.Finished : SecondaryStreamInput.Failed);
        _closed?.Invoke(this);
    }

    /// <summary>Waits until the client has the end, if there is one to come. Never throws.</summary>
    internal async Task DeliverAsync()
    {
        if (State != SecondaryStreamState.Closing)
        {
            return;
        }

        try
        {
            await WritesClosed;
        }
        catch (KwikException)
        {
            // The client has given it up.
        }
    }

    /// <summary>
    /// Resets the stream, also when its end was written and the client does not take it. Not after <see cref="DisposeAsync"/>.
    /// </summary>
    internal void Abort(KwikError code)
    {
        Advance(SecondaryStreamInput.Failed);
        _stream.AbortWrites(code);
    }

    /// <summary>True when this stream may still deliver the byte at <paramref name="offset"/>: it is ahead of it, or on its way.</summary>
    internal bool MayDeliver(long kwikStreamId, long offset) =>
        kwikStreamId == GetKwikStreamId() && Volatile.Read(ref _start) <= offset && State == SecondaryStreamState.Active;

    /// <summary>Maps this stream as the answer to a range request.</summary>
    internal void Answer(long kwikStreamId, long offset, long requestId) => Map(kwikStreamId, offset, requestId);

    /// <summary>Memory for one frame: append up to <see cref="FrameWriter.PayloadSize"/> bytes of payload, then write it.</summary>
    internal Lease RentFrame(int payloadSize) => _writer.RentFrame(payloadSize);

    /// <summary>Writes a frame made by <see cref="RentFrame"/>, and takes its ownership.</summary>
    internal async ValueTask WriteFrameAsync(Lease frame)
    {
        int length = frame.Length - StreamFrame.MaxWrittenSize;
        await _writer.WriteAsync(frame);
        _base += length;
    }

    private void Map(long kwikStreamId, long offset, long requestId)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(kwikStreamId);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(kwikStreamId, StreamFrame.MaxOffset);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, StreamFrame.MaxOffset);
        EnterWrite();
        try
        {
            if (_kwikStreamId >= 0 && _kwikStreamId != kwikStreamId)
            {
                throw new InvalidOperationException(
                    $"This stream is mapped to stream {_kwikStreamId}; open another one for stream {kwikStreamId}.");
            }

            if (_kwikStreamId < 0)
            {
                _writer.Append(StreamFrame.Open(kwikStreamId, offset, requestId));
                Volatile.Write(ref _start, offset);
                Advance(SecondaryStreamInput.Opened);
            }
            else
            {
                _jump = offset;
                Volatile.Write(ref _start, Math.Min(_start, offset));
            }

            Volatile.Write(ref _base, offset - _writer.Written);
            Volatile.Write(ref _kwikStreamId, kwikStreamId);
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    private void ThrowIfNotMapped()
    {
        if (_kwikStreamId < 0)
        {
            throw new InvalidOperationException("Say first where the bytes belong: SetKwikStreamMapping.");
        }
    }

    private async ValueTask WritePayloadAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        long before = _writer.Written;
        try
        {
            await _writer.WritePayloadAsync(buffer, _jump, cancellationToken);
        }
        finally
        {
            // A call that was cancelled before its first frame leaves the jump to the next one.
            _jump = _writer.Written == before ? _jump : -1;
        }
    }

    private void EnterWrite()
    {
        ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
        if (Interlocked.Exchange(ref _writing, 1) != 0)
        {
            throw new InvalidOperationException("A write is pending already; a stream has one writer at a time.");
        }

        if (State is SecondaryStreamState.Closing or SecondaryStreamState.Closed)
        {
            Volatile.Write(ref _writing, 0);
            throw new InvalidOperationException("Writing to this stream was completed.");
        }
    }

    private void Advance(SecondaryStreamInput input)
    {
        lock (_gate)
        {
            SecondaryStreamStates.TryAdvance(ref _state, input);
        }
    }
}
