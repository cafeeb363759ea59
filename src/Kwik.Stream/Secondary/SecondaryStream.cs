using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// An Internal stream, seen from the server that writes it: bytes that the client places into one of its public streams.
/// One call at a time.
/// </summary>
internal sealed class SecondaryStream : IAsyncDisposable
{
    private readonly ITransportStream _stream;
    private readonly FrameWriter _writer;
    private bool _completed;

    /// <summary>Answers a range request: the header and the open frame leave with the first data.</summary>
    public SecondaryStream(ITransportStream stream, LeasePool pool, long kwikStreamId, long offset, long requestId)
    {
        _stream = stream;
        _writer = new FrameWriter(stream, pool);
        KwikStreamId = kwikStreamId;
        Offset = offset;
        _writer.Begin(StreamHeader.Create(StreamType.Internal));
        _writer.Append(StreamFrame.Open(kwikStreamId, offset, requestId));
    }

    /// <summary>The public stream that the bytes belong to.</summary>
    public long KwikStreamId { get; }

    /// <summary>Offset in the public stream of the next byte written.</summary>
    public long Offset { get; private set; }

    /// <summary>Memory for one frame: append up to <see cref="FrameWriter.PayloadSize"/> bytes of payload, then write it.</summary>
    public Lease RentFrame(int payloadSize) => _writer.RentFrame(payloadSize);

    /// <summary>Writes a frame made by <see cref="RentFrame"/>, and takes its ownership.</summary>
    public async ValueTask WriteAsync(Lease frame)
    {
        int length = frame.Length - StreamFrame.MaxWrittenSize;
        await _writer.WriteAsync(frame);
        Offset += length;
    }

    /// <summary>Says that this was all, or why there is no more, and ends the stream.</summary>
    public async ValueTask CompleteAsync(KwikError error = KwikError.None)
    {
        _writer.Append(StreamFrame.Close(Offset, error));
        await _writer.FlushAsync(completeWrites: true);
        _completed = true;
    }

    /// <summary>Ends the stream; one that was not completed is reset.</summary>
    public async ValueTask DisposeAsync()
    {
        _writer.Discard();
        if (!_completed)
        {
            _stream.AbortWrites(KwikError.Cancelled);
        }

        await _stream.DisposeAsync();
    }
}
