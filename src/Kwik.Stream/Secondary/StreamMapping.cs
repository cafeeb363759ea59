using Kwik.Data;

namespace Kwik.Streams;

/// <summary>Takes what a server sends in answer to one request, and learns what becomes of the rest.</summary>
internal interface IRangeReceiver
{
    /// <summary>
    /// Bytes of the range, from this offset on. The pieces are the receiver's from now on, and the list is empty afterwards.
    /// One call at a time, and none after one of the others.
    /// </summary>
    void Receive(long offset, List<Lease> pieces);

    /// <summary>No more bytes of this range will come from this path, as its server says: None when all of them came, else why not.</summary>
    void Ended(KwikError outcome);

    /// <summary>
    /// No more bytes of this range will come on its stream, for a fault that we found. What is missing is asked for again:
    /// <paramref name="elsewhere"/>, if anybody else has it.
    /// </summary>
    void Failed(bool elsewhere, KwikError error);

    /// <summary>No more bytes come on its stream, and nothing is to be done about that.</summary>
    void Ignored();
}

/// <summary>A range that one path was asked for: it may write it, once.</summary>
internal sealed class StreamMapping(
    int pathId, long requestId, KwikStream stream, long offset, long length, IRangeReceiver receiver)
{
    private readonly Lock _gate = new();
    private InboundSecondaryStream? _source;
    private bool _cancelled;

    /// <summary>The server that was asked.</summary>
    public int PathId => pathId;

    /// <summary>Names the request on that path.</summary>
    public long RequestId => requestId;

    /// <summary>Where the bytes belong.</summary>
    public KwikStream Stream => stream;

    /// <summary>First byte.</summary>
    public long Offset => offset;

    /// <summary>Offset behind the last byte.</summary>
    public long End => offset + length;

    /// <summary>Bytes of the answer that have come, also those of a frame that is not whole yet.</summary>
    public long ArrivedBytes
    {
        get
        {
            lock (_gate)
            {
                return _source?.Frames.PayloadArrived ?? 0;
            }
        }
    }

    /// <summary>Is told of the progress.</summary>
    public IRangeReceiver Receiver => receiver;

    /// <summary>The answer has begun to arrive; stops it at once when it was cancelled before.</summary>
    public void Begin(InboundSecondaryStream source)
    {
        lock (_gate)
        {
            _source = source;
            if (!_cancelled)
            {
                return;
            }
        }

        source.Stop(KwikError.Cancelled);
    }

    /// <summary>The range is no longer wanted: stops an answer that is on its way.</summary>
    public void Cancel()
    {
        lock (_gate)
        {
            _cancelled = true;
            if (_source is null)
            {
                return;
            }
        }

        _source.Stop(KwikError.Cancelled);
    }
}
