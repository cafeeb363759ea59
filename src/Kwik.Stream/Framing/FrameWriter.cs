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
    private Lease? _pending;

    /// <summary>Queues the 17 bytes that begin the stream, for the next write.</summary>
    public void Begin(StreamHeader header)
    {
        Lease lease = Pending();
        header.Write(lease.Free.Span);
        lease.Extend(StreamHeader.Size);
    }

    /// <summary>Queues a frame without payload, for the next write.</summary>
    public void Append(StreamFrame frame)
    {
        Lease lease = Pending();
        lease.Extend(frame.Write(lease.Free.Span));
    }

    /// <summary>Writes what is queued, and ends the stream if asked to.</summary>
    public ValueTask FlushAsync(bool completeWrites = false) => WriteAndReturnAsync(Interlocked.Exchange(ref _pending, null), completeWrites);

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
        Lease? queued = Interlocked.Exchange(ref _pending, null);
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
    public void Discard() => Interlocked.Exchange(ref _pending, null)?.Return();

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

    private Lease Pending() => _pending ??= pool.Rent(LeasePool.SmallSize);
}
