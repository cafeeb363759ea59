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
    /// <exception cref="KwikException">The stream failed, or the peer no longer reads.</exception>
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
    public override Task FlushAsync(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed == 1, this);
        return cancellationToken.IsCancellationRequested
            ? Task.FromCanceled(cancellationToken)
            : _writer.Pending.WaitAsync(cancellationToken);
    }

    /// <summary>Blocks; prefer <see cref="FlushAsync(CancellationToken)"/>.</summary>
    public override void Flush() => Wait(() => FlushAsync(CancellationToken.None));

    /// <summary>
    /// Ends our writing: the peer reads what was written, then the end. Returns at once; <see cref="WritesClosed"/> ends
    /// when the peer has it all. Does nothing the second time.
    /// </summary>
    /// <exception cref="InvalidOperationException">A write is pending.</exception>
    public void CompleteWrites()
    {
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
        _ = _writer.CompleteAsync(StreamFrame.Close(finalSize, isOffered: _offered is not null));
    }

    private bool TryEnterWrite() => Interlocked.Exchange(ref _writing, 1) == 0;

    private void EnterWrite()
    {
        ObjectDisposedException.ThrowIf(_disposed == 1, this);
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

            await _writer.Pending.WaitAsync(CloseTimeout, _owner.Time);
            if (_writesCompleted)
            {
                return;
            }
        }
        catch (Exception e) when (e is TimeoutException or KwikException)
        {
            // The peer does not take the end, or has given the stream up: there is nobody left to tell.
        }

        _main.AbortWrites(KwikError.Cancelled);
    }
}
