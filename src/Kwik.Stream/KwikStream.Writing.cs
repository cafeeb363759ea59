using Kwik.Data;

namespace Kwik.Streams;

public sealed partial class KwikStream
{
    private int _writing;
    private bool _writesCompleted;

    /// <summary>How long disposal waits for a peer that does not take the last bytes: 5 s.</summary>
    private static TimeSpan CloseTimeout => TimeSpan.FromSeconds(5);

    /// <summary>
    /// Writes all bytes. Returns when the transport has taken them, which may be before the peer has. After cancellation
    /// the bytes handed over so far are still sent, and the stream can be used on.
    /// </summary>
    /// <exception cref="XStreamException">BrokenPipe: either side has closed the stream, or ended it with an error; at once,
    /// each time, also when the peer closed it while nobody wrote. ConnectionReset: the peer is gone. NotConnected: this side
    /// has closed the session.</exception>
    /// <exception cref="InvalidOperationException">Another write is pending, or writing was completed.</exception>
    /// <exception cref="ObjectDisposedException">The stream was disposed.</exception>
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        EnterWrite();
        try
        {
            await _writer.WritePayloadAsync(buffer, offset: -1, cancellationToken);
        }
        catch (KwikException e)
        {
            throw await WhyNobodyReadsAsync(e, cancellationToken);
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    /// <inheritdoc cref="WriteAsync(ReadOnlyMemory{byte}, CancellationToken)"/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    /// <summary>Blocks; prefer <see cref="WriteAsync(ReadOnlyMemory{byte}, CancellationToken)"/>.</summary>
    public override void Write(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        Wait(() => WriteAsync(buffer.AsMemory(offset, count)).AsTask());
    }

    /// <summary>Begins a write; a read may be pending. Prefer <see cref="WriteAsync(ReadOnlyMemory{byte}, CancellationToken)"/>.</summary>
    public override IAsyncResult BeginWrite(byte[] buffer, int offset, int count, AsyncCallback? callback, object? state)
    {
        ValidateBufferArguments(buffer, offset, count);
        return TaskToAsyncResult.Begin(StartApart(() => WriteAsync(buffer.AsMemory(offset, count)).AsTask()), callback, state);
    }

    /// <summary>Blocks until the write is done.</summary>
    public override void EndWrite(IAsyncResult asyncResult) => TaskToAsyncResult.End(asyncResult);

    /// <summary>Waits for a write that a cancelled call left behind; everything else is on its way already.</summary>
    public override async Task FlushAsync(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed == 1, this);
        cancellationToken.ThrowIfCancellationRequested();
        ThrowIfNobodyReads();
        try
        {
            await _writer.Pending.WaitAsync(cancellationToken);
        }
        catch (KwikException e)
        {
            throw await WhyNobodyReadsAsync(e, cancellationToken);
        }
    }

    /// <summary>Blocks; prefer <see cref="FlushAsync(CancellationToken)"/>.</summary>
    public override void Flush() => Wait(() => FlushAsync(CancellationToken.None));

    /// <summary>
    /// Ends our writing: the peer reads what was written, then the end. Returns at once; <see cref="WritesClosed"/> ends
    /// when the peer has it all. Does nothing the second time.
    /// </summary>
    /// <exception cref="XStreamException">As for <see cref="WriteAsync(ReadOnlyMemory{byte}, CancellationToken)"/>.</exception>
    /// <exception cref="InvalidOperationException">A write is pending.</exception>
    public void CompleteWrites()
    {
        ObjectDisposedException.ThrowIf(_disposed == 1, this);
        ThrowIfNobodyReads();
        if (_writesCompleted)
        {
            return;
        }

        CompleteWrites(WrittenEnd);
    }

    /// <summary>
    /// On a primary: ends the writing of this side, and says how long the whole stream is, which others may still be
    /// filling: 0 to 2^62-1 bytes, at least what this side wrote.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">This side wrote beyond that size.</exception>
    /// <exception cref="InvalidOperationException">A write is pending, or writing was completed.</exception>
    public void CompleteWrites(long finalSize)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(finalSize, StreamFrame.MaxOffset);
        EnterWrite();
        try
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(finalSize, _writer.Written);
            if (!TrySetFinalSize(finalSize))
            {
                throw new ArgumentOutOfRangeException(nameof(finalSize), finalSize, $"Stream {Id} was written to beyond that.");
            }

            FinishWrites(finalSize);
        }
        finally
        {
            Volatile.Write(ref _writing, 0);
        }
    }

    /// <summary>True when this side may still write the byte at this offset on Main.</summary>
    internal bool MayWrite(long offset) => !_writesCompleted && _writer.Written <= offset;

    /// <summary>For who has entered a write.</summary>
    private void FinishWrites(long finalSize)
    {
        _writesCompleted = true;
        // First, so that it is there when the end of Main is.
        _errorWriter?.EndMain();
        Advance(XStreamInput.LocalEnd);
        _ = _writer.CompleteAsync(StreamFrame.Close(finalSize, isOffered: _offered is not null));
    }

    private bool TryEnterWrite() => Interlocked.Exchange(ref _writing, 1) == 0;

    private void EnterWrite()
    {
        ObjectDisposedException.ThrowIf(_disposed == 1, this);
        ThrowIfNobodyReads();
        if (!TryEnterWrite())
        {
            throw new InvalidOperationException("A write is pending already; a stream has one writer at a time.");
        }

        if (_writesCompleted)
        {
            Volatile.Write(ref _writing, 0);
            throw new InvalidOperationException($"Writing to stream {Id} was completed.");
        }
    }

    /// <summary>Completes the writes if nobody did, and gives the peer a bounded time to take them.</summary>
    private async Task EndWritesAsync()
    {
        try
        {
            if (TryEnterWrite())
            {
                if (!_writesCompleted)
                {
                    FinishWrites(WrittenEnd);
                }

                Volatile.Write(ref _writing, 0);
            }

            if (await Background.Start(DeliverAsync).WaitAsync(CloseTimeout, _owner.Time))
            {
                return;
            }
        }
        catch (TimeoutException)
        {
            // The peer does not take it.
        }

        _main.AbortWrites(KwikError.Cancelled);
    }

    /// <summary>
    /// Waits until the peer has what was written, which it may be long after the transport took it. False when it will not,
    /// or when a write is pending that nobody completes. Never throws.
    /// </summary>
    private async Task<bool> DeliverAsync()
    {
        try
        {
            await _writer.Pending;
        }
        catch (KwikException)
        {
            // The peer has given the stream up: there is nobody left to tell.
            return false;
        }

        bool completed = _writesCompleted;
        await (completed ? _watching : Task.CompletedTask);
        return completed;
    }
}
