using System.Collections.Concurrent;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using ContentOffer = Kwik.Data.ContentOffer;

namespace Kwik.Sessions;

/// <summary>
/// Serves the range requests of one connection: one at a time, in the order of their arrival, each on an Internal stream
/// of its own, so that bytes wait here and not inside QUIC. What is urgent begins at once, and what is not waits behind its
/// present frame meanwhile. Safe for concurrent use.
/// </summary>
internal sealed class RangeServer(
    ITransportConnection connection,
    ControlChannel control,
    IContentProvider provider,
    Func<ContentAccess, bool> admits,
    TokenBucket budget,
    int maxRequests,
    LeasePool pool)
{
    // Answers whose end is on its way; half of the streams that a client allows on a path.
    private const int MaxClosing = 32;

    private readonly ConcurrentQueue<Task> _closing = new();
    private readonly Lock _gate = new();
    private readonly List<RangeRequest> _queue = [];
    private readonly List<RangeRequest> _urgent = [];
    private readonly AsyncSignal _queued = new();
    private readonly AsyncSignal _urgentQueued = new();
    private readonly AsyncSignal _urgentServed = new();
    private readonly List<RangeRequest> _serving = [];

    /// <summary>Told of each answer, when it has ended, and how many bytes the transport took of it.</summary>
    public Action<RangeRequest, long>? Served { get; init; }

    /// <summary>Takes a request, or refuses it: too many, not admitted, or a range that no content has.</summary>
    public void Enqueue(RangeRequest request)
    {
        if (request.Root.Length != ContentRoot.Size || request.Length == 0
            || request.Offset > (ulong)ContentOffer.MaxLength || request.Length > (ulong)ContentOffer.MaxLength - request.Offset)
        {
            throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"Range request {request.RequestId} has values out of range.");
        }

        if (!admits(new(request.KwikStreamId, new ContentRoot(request.Root.Span), request.Offset + request.Length, request.Grant)))
        {
            Refuse(request, KwikError.AuthenticationFailed);
            return;
        }

        lock (_gate)
        {
            if (_queue.Count + _urgent.Count < maxRequests)
            {
                (request.Urgent ? _urgent : _queue).Add(request);
                (request.Urgent ? _urgentQueued : _queued).Set();
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
            _queue.RemoveAll(request => request.RequestId == requestId);
            _urgent.RemoveAll(request => request.RequestId == requestId);
        }

        // Who waits for it, and for no other, goes on.
        _urgentServed.Set();
    }

    /// <summary>True when a range with this byte is being sent or waits its turn.</summary>
    public bool Holds(long streamId, long offset)
    {
        lock (_gate)
        {
            return _serving.Concat(_urgent).Concat(_queue).Any(request => Covers(request, streamId, offset));
        }
    }

    private static bool Covers(RangeRequest request, long streamId, long offset) =>
        (long)request.KwikStreamId == streamId && (long)request.Offset <= offset && offset < (long)(request.Offset + request.Length);

    /// <summary>Serves what is not urgent, until the token is cancelled or the connection ends; throws then.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => ServeAllAsync(_queue, _queued, served: null, cancellationToken);

    /// <summary>Serves what is urgent, beside <see cref="RunAsync"/> and in the same way.</summary>
    public Task RunUrgentAsync(CancellationToken cancellationToken) =>
        ServeAllAsync(_urgent, _urgentQueued, _urgentServed, cancellationToken);

    private async Task ServeAllAsync(
        List<RangeRequest> queue, AsyncSignal queued, AsyncSignal? served, CancellationToken cancellationToken)
    {
        while (true)
        {
            if (TryDequeue(queue) is not { } request)
            {
                await queued.WaitAsync(cancellationToken);
                continue;
            }

            await ServeAsync(request, cancellationToken);
            lock (_gate)
            {
                _serving.Remove(request);
            }

            served?.Set();
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

    private RangeRequest? TryDequeue(List<RangeRequest> queue)
    {
        lock (_gate)
        {
            RangeRequest? request = queue.FirstOrDefault();
            if (request is not null)
            {
                queue.RemoveAt(0);
                _serving.Add(request);
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
            await SendAsync(content, request, answer, cancellationToken);
            // The number of outstanding requests bounds these.
            budget.GiveBack();
        }
        catch (KwikException)
        {
            // The client stopped this answer, or the connection ended, which the next open will tell.
        }
        finally
        {
            Served?.Invoke(request, answer.GetOffset() - (long)request.Offset);
            await CloseBesideAsync(answer);
        }
    }

    /// <summary>
    /// Disposal waits until the client has acknowledged the end, a round trip; the next answer begins meanwhile.
    /// </summary>
    private async Task CloseBesideAsync(SecondaryStream answer)
    {
        _closing.Enqueue(Background.Start(() => answer.DisposeAsync().AsTask()));
        while ((_closing.Count > MaxClosing || (_closing.TryPeek(out Task? first) && first.IsCompleted)) && _closing.TryDequeue(out Task? closed))
        {
            await closed;
        }
    }

    private async Task SendAsync(IContent content, RangeRequest request, SecondaryStream answer, CancellationToken cancellationToken)
    {
        long end = (long)(request.Offset + request.Length);
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
            while (!request.Urgent && IsUrgentServed)
            {
                await _urgentServed.WaitAsync(cancellationToken);
            }
        }

        await answer.CompleteAsync();
    }

    private bool IsUrgentServed
    {
        get
        {
            lock (_gate)
            {
                return _urgent.Count > 0 || _serving.Exists(request => request.Urgent);
            }
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
