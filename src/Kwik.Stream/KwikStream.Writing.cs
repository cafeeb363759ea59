using Kwik.Data;

namespace Kwik.Streams;

public sealed partial class KwikStream
{
    private int _writing;
    private long _written;
    private bool _writesCompleted;

    // The write that the transport has not taken yet; a cancelled caller leaves it to the next one.
    private Task _pendingWrite = Task.CompletedTask;

    /// <summary>How long disposal waits for a peer that does not take the last bytes: 5 s.</summary>
    private static TimeSpan CloseTimeout => TimeSpan.FromSeconds(5);

    /// <summary>
    /// Writes all bytes. Returns when the transport has taken them, which may be before the peer has. After cancellation
    /// the bytes handed over so far are still sent, and the stream can be used on.
    /// </summary>
    /// <exception cref="KwikException">The stream failed, or the peer no longer reads.</exception>
    /// <exception cref="InvalidOperationException">Another write is pending, or writing was completed.</exception>
    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        EnterWrite();
        try
        {
            while (!buffer.IsEmpty)
            {
                await _pendingWrite.WaitAsync(cancellationToken);
                int length = Math.Min(buffer.Length, FrameWriter.PayloadSize);
                _pendingWrite = WriteFrameAsync(buffer[..length]);
                _written += length;
                buffer = buffer[length..];
            }

            await _pendingWrite.WaitAsync(cancellationToken);
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

    /// <summary>Waits for a write that a cancelled call left behind; everything else is on its way already.</summary>
    public override Task FlushAsync(CancellationToken cancellationToken) => _pendingWrite.WaitAsync(cancellationToken);

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

        EnterWrite();
        FinishWrites(_written);
        Volatile.Write(ref _writing, 0);
    }

    /// <summary>For who has entered a write.</summary>
    private void FinishWrites(long finalSize)
    {
        _writesCompleted = true;
        _pendingWrite = FinishAsync(_pendingWrite, finalSize);
    }

    private bool TryEnterWrite() => Interlocked.Exchange(ref _writing, 1) == 0;

    private void EnterWrite()
    {
        ObjectDisposedException.ThrowIf(_disposed == 1 && _writesCompleted, this);
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

    private Task WriteFrameAsync(ReadOnlyMemory<byte> payload)
    {
        // The copy lets a caller be cancelled while the transport still holds the bytes.
        Lease frame = _writer.RentFrame(payload.Length);
        payload.Span.CopyTo(frame.Free.Span);
        frame.Extend(payload.Length);
        ValueTask write = _writer.WriteAsync(frame);
        return write.IsCompletedSuccessfully ? Task.CompletedTask : write.AsTask();
    }

    private async Task FinishAsync(Task before, long finalSize)
    {
        await before;
        _writer.Append(StreamFrame.Close(finalSize, isOffered: _offered is not null));
        await _writer.FlushAsync(completeWrites: true);
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
                    FinishWrites(_written);
                }

                Volatile.Write(ref _writing, 0);
            }

            await _pendingWrite.WaitAsync(CloseTimeout, _owner.Time);
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
