using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>The Internal streams that the application of a server has open on one connection. Safe for concurrent use.</summary>
internal sealed class PushedStreams(ITransportConnection connection, LeasePool pool, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly HashSet<SecondaryStream> _open = [];
    private long _closedSent;

    /// <summary>Payload written, bytes, on streams that are open and that were.</summary>
    public long Sent
    {
        get
        {
            lock (_gate)
            {
                return _closedSent + _open.Sum(stream => stream.Sent);
            }
        }
    }

    /// <summary>Opens a stream, waiting while the client allows no more.</summary>
    public async Task<SecondaryStream> OpenAsync(CancellationToken cancellationToken)
    {
        ITransportStream stream = await connection.OpenStreamAsync(bidirectional: false, cancellationToken);
        var pushed = new SecondaryStream(stream, pool, Forget);
        lock (_gate)
        {
            _open.Add(pushed);
        }

        return pushed;
    }

    /// <summary>True when a stream is open that may still deliver this byte.</summary>
    public bool MayDeliver(long streamId, long offset)
    {
        lock (_gate)
        {
            return _open.Any(stream => stream.MayDeliver(streamId, offset));
        }
    }

    /// <summary>
    /// Ends every stream; those that were not completed are reset, and so are those whose end the client does not take within
    /// <see cref="SessionTimeouts.Close"/>.
    /// </summary>
    public async Task CloseAsync()
    {
        List<SecondaryStream> open;
        lock (_gate)
        {
            open = [.. _open];
        }

        await Background.EndsWithinAsync(() => Task.WhenAll(open.Select(stream => stream.DeliverAsync())), SessionTimeouts.Close, time);
        // Before their disposal: a stream that is being disposed of is reset no more.
        open.FindAll(stream => !stream.WritesClosed.IsCompleted).ForEach(stream => stream.Abort(KwikError.Cancelled));
        await Background.EndsWithinAsync(
            () => Task.WhenAll(open.Select(stream => stream.DisposeAsync().AsTask())), SessionTimeouts.Close, time);
    }

    private void Forget(SecondaryStream stream)
    {
        lock (_gate)
        {
            _closedSent += _open.Remove(stream) ? stream.Sent : 0;
        }
    }
}
