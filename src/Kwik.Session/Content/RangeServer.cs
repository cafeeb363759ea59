using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using ContentOffer = Kwik.Data.ContentOffer;

namespace Kwik.Sessions;

/// <summary>
/// Serves the range requests of one connection: one at a time, in the order of their arrival, each on an Internal stream
/// of its own, so that bytes wait here and not inside QUIC. What is urgent is served between two frames of what is not.
/// Safe for concurrent use.
/// </summary>
internal sealed class RangeServer(
    ITransportConnection connection,
    ControlChannel control,
    IContentProvider provider,
    Func<RangeRequest, bool> admits,
    TokenBucket budget,
    int maxRequests,
    LeasePool pool)
{
    // Answers whose end is on its way; half of the streams that a client allows on a path.
    private const int MaxClosing = 32;

    private readonly Queue<Task> _closing = new();
    private readonly Lock _gate = new();
    private readonly LinkedList<RangeRequest> _queue = new();
    private readonly AsyncSignal _queued = new();
    private RangeRequest? _serving;

    // The first in the queue is served before what is being served.
    private volatile bool _urgent;

    /// <summary>Takes a request, or refuses it: too many, not admitted, or a range that no content has.</summary>
    public void Enqueue(RangeRequest request)
    {
        if (request.Root.Length != ContentRoot.Size || request.Length == 0
            || request.Offset > (ulong)ContentOffer.MaxLength || request.Length > (ulong)ContentOffer.MaxLength - request.Offset)
        {
            throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"Range request {request.RequestId} has values out of range.");
        }

        if (!admits(request))
        {
            Refuse(request, KwikError.AuthenticationFailed);
            return;
        }

        lock (_gate)
        {
            if (_queue.Count < maxRequests)
            {
                if (request.Urgent)
                {
                    _queue.AddFirst(request);
                    _urgent = true;
                }
                else
                {
                    _queue.AddLast(request);
                }

                _queued.Set();
                return;
            }
        }

        Refuse(request, KwikError.LimitExceeded);
    }

    /// <summary>The client no longer wants this; one that is being served is stopped by the client's STOP_SENDING.</summary>
    public void Cancel(ulong requestId)
    {
        lock (_gate)
        {
            for (LinkedListNode<RangeRequest>? node = _queue.First; node is not null; node = node.Next)
            {
                if (node.Value.RequestId == requestId)
                {
                    _queue.Remove(node);
                    return;
                }
            }
        }
    }

    /// <summary>True when a range with this byte is being sent or waits its turn.</summary>
    public bool Holds(long streamId, long offset)
    {
        lock (_gate)
        {
            return (_serving is { } present && Covers(present, streamId, offset)) || _queue.Any(request => Covers(request, streamId, offset));
        }
    }

    private static bool Covers(RangeRequest request, long streamId, long offset) =>
        (long)request.KwikStreamId == streamId && (long)request.Offset <= offset && offset < (long)(request.Offset + request.Length);

    /// <summary>Serves until the token is cancelled or the connection ends; throws then.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            if (TryDequeue() is { } request)
            {
                await ServeAsync(request, cancellationToken);
            }
            else
            {
                await _queued.WaitAsync(cancellationToken);
            }
        }
    }

    /// <summary>Waits for the ends of the answers, after <see cref="RunAsync"/>. Their connection has ended, and so they do.</summary>
    public async Task JoinAsync()
    {
        while (_closing.TryDequeue(out Task? closing))
        {
            await closing;
        }
    }

    private RangeRequest? TryDequeue()
    {
        lock (_gate)
        {
            RangeRequest? request = _queue.First?.Value;
            _serving = request;
            _urgent = false;
            if (request is not null)
            {
                _queue.RemoveFirst();
            }

            return request;
        }
    }

    private async Task ServeAsync(RangeRequest request, CancellationToken cancellationToken)
    {
        await using IContent? content = await provider.OpenAsync(new ContentRoot(request.Root.Span), cancellationToken);
        if (content is null || request.Offset + request.Length > (ulong)content.Length)
        {
            Refuse(request, KwikError.NotFound);
            return;
        }

        ITransportStream stream = await connection.OpenStreamAsync(bidirectional: false, cancellationToken);
        var answer = new SecondaryStream(stream, pool);
        answer.Answer((long)request.KwikStreamId, (long)request.Offset, (long)request.RequestId);
        try
        {
            await SendAsync(content, (long)(request.Offset + request.Length), answer, cancellationToken);
            // The number of outstanding requests bounds these.
            budget.GiveBack();
        }
        catch (KwikException)
        {
            // The client stopped this answer, or the connection ended, which the next open will tell.
        }
        finally
        {
            await CloseBesideAsync(answer);
        }
    }

    /// <summary>
    /// Disposal waits until the client has acknowledged the end, a round trip; the next answer begins meanwhile.
    /// </summary>
    private async Task CloseBesideAsync(SecondaryStream answer)
    {
        _closing.Enqueue(Background.Start(() => answer.DisposeAsync().AsTask()));
        while (_closing.Count > MaxClosing || (_closing.Count > 0 && _closing.Peek().IsCompleted))
        {
            await _closing.Dequeue();
        }
    }

    private async Task SendAsync(IContent content, long end, SecondaryStream answer, CancellationToken cancellationToken)
    {
        while (answer.GetOffset() < end)
        {
            int length = (int)Math.Min(FrameWriter.PayloadSize, end - answer.GetOffset());
            Lease frame = answer.RentFrame(length);
            try
            {
                await FillAsync(content, answer.GetOffset(), frame, length, cancellationToken);
            }
            catch (IOException)
            {
                frame.Return();
                await answer.CompleteAsync(KwikError.ContentMismatch);
                return;
            }
            catch
            {
                frame.Return();
                throw;
            }

            await answer.WriteFrameAsync(frame);
            await ServeUrgentAsync(cancellationToken);
        }

        await answer.CompleteAsync();
    }

    /// <summary>What is urgent waits for one frame at most.</summary>
    private async ValueTask ServeUrgentAsync(CancellationToken cancellationToken)
    {
        if (!_urgent || _serving is not { Urgent: false } present)
        {
            return;
        }

        while (_urgent && TryDequeue() is { } urgent)
        {
            await ServeAsync(urgent, cancellationToken);
        }

        lock (_gate)
        {
            _serving = present;
        }
    }

    private static async Task FillAsync(IContent content, long offset, Lease frame, int length, CancellationToken cancellationToken)
    {
        while (length > 0)
        {
            int read = await content.ReadAsync(offset, frame.Free[..length], cancellationToken);
            if (read == 0)
            {
                throw new EndOfStreamException("The content ended before its length.");
            }

            frame.Extend(read);
            offset += read;
            length -= read;
        }
    }

    private void Refuse(RangeRequest request, KwikError error) => control.Send(
        new ControlFrame { RangeRefused = new RangeRefused { RequestId = request.RequestId, ErrorCode = (ulong)error } });
}
