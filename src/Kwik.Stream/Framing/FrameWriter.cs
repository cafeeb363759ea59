using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// Writes a Main or Internal stream: its header, frames, and payload behind them. Frame and payload leave in one write
/// of the transport. One call at a time.
/// </summary>
internal sealed class FrameWriter(ITransportStream stream, LeasePool pool, bool checksums = true)
{
    /// <summary>Payload of one frame that we write, bytes: the largest that fits a block with its frame.</summary>
    public const int PayloadSize = 64 * 1024;

    // Frames that wait for the write that they go out with.
    private Lease? _queued;

    /// <summary>Payload bytes handed over by <see cref="WritePayloadAsync"/>, those of a cancelled call included.</summary>
    public long Written { get; private set; }

    /// <summary>The write that the transport has not taken yet; a cancelled caller leaves it to the next one.</summary>
    public Task Pending { get; private set; } = Task.CompletedTask;

    /// <summary>Queues the 17 bytes that begin the stream, for the next write.</summary>
    public void Begin(StreamHeader header)
    {
        Lease lease = Queued();
        header.Write(lease.Free.Span);
        lease.Extend(StreamHeader.Size);
    }

    /// <summary>Queues a frame without payload, for the next write.</summary>
    public void Append(StreamFrame frame)
    {
        Lease lease = Queued();
        lease.Extend(frame.Write(lease.Free.Span));
    }

    /// <summary>Writes what is queued, and ends the stream if asked to.</summary>
    public ValueTask FlushAsync(bool completeWrites = false) => WriteAndReturnAsync(Interlocked.Exchange(ref _queued, null), completeWrites);

    /// <summary>
    /// Writes all bytes, in frames of at most <see cref="PayloadSize"/>; the first one names <paramref name="offset"/>
    /// unless it is negative. The bytes are copied, so that a caller can be cancelled while the transport holds them:
    /// those handed over are still sent, and the next call waits for them.
    /// </summary>
    public async ValueTask WritePayloadAsync(ReadOnlyMemory<byte> payload, long offset, CancellationToken cancellationToken)
    {
        while (!payload.IsEmpty)
        {
            await Pending.WaitAsync(cancellationToken);
            int length = Math.Min(payload.Length, PayloadSize);
            Lease frame = RentFrame(length);
            payload.Span[..length].CopyTo(frame.Free.Span);
            frame.Extend(length);
            ValueTask write = WriteAsync(frame, offset);
            Pending = write.IsCompletedSuccessfully ? Task.CompletedTask : write.AsTask();
            Written += length;
            offset = -1;
            payload = payload[length..];
        }

        await Pending.WaitAsync(cancellationToken);
    }

    /// <summary>Queues the last frame and ends the stream, after the pending write. The returned task is pending from now on.</summary>
    public Task CompleteAsync(StreamFrame close)
    {
        Pending = CompleteAfterAsync(Pending, close);
        return Pending;
    }

    /// <summary>
    /// Writes one data frame, after what is queued. Takes the ownership of <paramref name="frame"/>, which was made by
    /// <see cref="RentFrame"/> and filled with payload.
    /// </summary>
    public ValueTask WriteAsync(Lease frame, long offset = -1)
    {
        ReadOnlySpan<byte> payload = frame.Span[StreamFrame.MaxWrittenSize..];
        StreamFrame data = StreamFrame.Data(payload.Length, offset, checksums ? Crc32C.Compute(payload) : null);
        Span<byte> head = stackalloc byte[StreamFrame.MaxWrittenSize];
        int headLength = data.Write(head);
        Lease? queued = Interlocked.Exchange(ref _queued, null);
        int queuedLength = queued?.Length ?? 0;
        int start = StreamFrame.MaxWrittenSize - headLength - queuedLength;
        if (start < 0)
        {
            return WriteBothAsync(queued!, frame, head[..headLength]);
        }

        queued?.Span.CopyTo(frame.Span[start..]);
        queued?.Return();
        head[..headLength].CopyTo(frame.Span[(start + queuedLength)..]);
        frame.TrimStart(start);
        return WriteAndReturnAsync(frame, completeWrites: false);
    }

    /// <summary>
    /// A lease whose first <see cref="StreamFrame.MaxWrittenSize"/> bytes are kept free for the frame; payload is
    /// appended behind them, at most <see cref="PayloadSize"/>.
    /// </summary>
    public Lease RentFrame(int payloadSize)
    {
        Lease lease = pool.Rent(StreamFrame.MaxWrittenSize + payloadSize);
        lease.Extend(StreamFrame.MaxWrittenSize);
        return lease;
    }

    /// <summary>Returns what was queued and never written.</summary>
    public void Discard() => Interlocked.Exchange(ref _queued, null)?.Return();

    private ValueTask WriteBothAsync(Lease queued, Lease frame, ReadOnlySpan<byte> head)
    {
        frame.TrimStart(StreamFrame.MaxWrittenSize - head.Length);
        head.CopyTo(frame.Span);
        return WriteInTurnAsync(queued, frame);
    }

    private async ValueTask WriteInTurnAsync(Lease first, Lease second)
    {
        try
        {
            await WriteAndReturnAsync(first, completeWrites: false);
        }
        catch
        {
            second.Return();
            throw;
        }

        await WriteAndReturnAsync(second, completeWrites: false);
    }

    private async ValueTask WriteAndReturnAsync(Lease? lease, bool completeWrites)
    {
        try
        {
            await stream.WriteAsync(lease?.Memory ?? default, completeWrites);
        }
        finally
        {
            lease?.Return();
        }
    }

    private async Task CompleteAfterAsync(Task before, StreamFrame close)
    {
        await before;
        Append(close);
        await FlushAsync(completeWrites: true);
    }

    private Lease Queued() => _queued ??= pool.Rent(LeasePool.SmallSize);
}
