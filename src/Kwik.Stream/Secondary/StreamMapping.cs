using Kwik.Data;

namespace Kwik.Streams;

/// <summary>Learns what becomes of a range that a server was asked for.</summary>
internal interface IRangeReceiver
{
    /// <summary>Bytes of the range were placed, in order.</summary>
    void RangeReceived(StreamMapping mapping, long bytes);

    /// <summary>No more bytes of this range will come from this path, as its server says: None when all of them came, else why not.</summary>
    void RangeEnded(StreamMapping mapping, KwikError outcome);

    /// <summary>
    /// No more bytes of this range will come on its stream, for a fault that we found. What is missing is asked for again:
    /// <paramref name="elsewhere"/>, if anybody else has it.
    /// </summary>
    void RangeFailed(StreamMapping mapping, bool elsewhere, KwikError error);
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
