using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>The public streams of a session, whichever side opened them. Safe for concurrent use.</summary>
/// <param name="connection">To the peer.</param>
/// <param name="owner">The session.</param>
/// <param name="options">Limits of each stream.</param>
/// <param name="pool">Where leases go back to.</param>
/// <param name="budget">The limit of all streams together.</param>
/// <param name="maxInbound">Streams that the peer may have open.</param>
internal sealed class PublicStreams(
    ITransportConnection connection, IStreamOwner owner, AggregatorOptions options, LeasePool pool, PendingBudget budget, int maxInbound)
{
    // Streams do not arrive in the order of their ids, so that a closed one cannot be told by its number. One that was
    // closed longer ago counts as never seen: what comes for it waits, and is then refused.
    private const int ClosedIdsKept = 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, KwikStream> _streams = [];
    private readonly Dictionary<UInt128, KwikStream> _inbound = [];
    private readonly StreamPairs _pairs = new(maxInbound, owner.Time);
    private Task _lastTurn = Task.CompletedTask;
    private readonly Channel<KwikStream> _accepted = Channel.CreateUnbounded<KwikStream>();
    private readonly Queue<long> _closedIds = new();
    private readonly AsyncSignal _added = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private KwikException? _fault;

    // What the closed ones have received and sent: what is summed must not shrink.
    private SessionCounts _closedCounts;

    /// <summary>All streams in numbers, those that were closed too; what came on Internal streams is counted elsewhere.</summary>
    public SessionCounts Count()
    {
        lock (_gate)
        {
            SessionCounts counts = _closedCounts;
            foreach (KwikStream stream in _streams.Values)
            {
                counts += CountOf(stream);
            }

            return counts with { Pending = budget.Used };
        }
    }

    /// <summary>How far each open stream has come.</summary>
    public List<StreamSample> Sample() => Snapshot().ConvertAll(stream => new StreamSample(
        stream.Id, stream.Incoming.ReadOffset, stream.Incoming.TakenBytes, stream.Incoming.FirstHole?.Offset));

    /// <summary>Runs for each stream that is there from now on; not under a lock.</summary>
    public Action<KwikStream>? Opened { get; set; }

    private bool IsEmpty
    {
        get
        {
            lock (_gate)
            {
                return _streams.Count == 0;
            }
        }
    }

    /// <summary>Opens a stream, waiting while the peer's limit is reached.</summary>
    public async Task<KwikStream> OpenAsync(CancellationToken cancellationToken)
    {
        ThrowIfEnded();
        try
        {
            return await OpenOnAsync(cancellationToken);
        }
        catch (KwikException e) when (e.EndsConnection)
        {
            // Why is the session's to say.
            await Background.WaitFor(_ended).WaitAsync(cancellationToken);
            ThrowIfEnded();
            throw;
        }
    }

    /// <summary>The next stream that the peer opened.</summary>
    public async Task<KwikStream> AcceptAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await _accepted.Reader.ReadAsync(cancellationToken);
        }
        catch (ChannelClosedException)
        {
            ThrowIfEnded();
            throw;
        }
    }

    /// <summary>
    /// Takes over a half of a stream of the peer's, behind its header. With the second half the stream is whole; the
    /// application sees it after <see cref="Announce"/>. Else than None: what the half is to be aborted with.
    /// </summary>
    public KwikError AddInbound(StreamHeader header, ITransportStream half, out KwikStream? whole)
    {
        whole = null;
        KwikStream? open;
        lock (_gate)
        {
            _inbound.TryGetValue(header.Id, out open);
        }

        if (open is not null)
        {
            open.Abort(KwikError.MetadataProtocolViolation);
            return KwikError.MetadataProtocolViolation;
        }

        KwikError refused = _pairs.Add(header, half, out (ITransportStream Main, ITransportStream Error)? pair);
        if (pair is { } both)
        {
            whole = Add(both.Main, both.Error, XStreamDirection.Inbound, header.Id);
        }

        return refused;
    }

    /// <summary>Aborts halves whose other half does not come, and tells of each. Runs until it is cancelled.</summary>
    public Task SweepPairsAsync(Action expired, CancellationToken cancellationToken) => _pairs.SweepAsync(expired, cancellationToken);

    /// <summary>Shows a stream to the application.</summary>
    public void Announce(KwikStream stream) => _accepted.Writer.TryWrite(stream);

    public KwikStream? Find(long id)
    {
        lock (_gate)
        {
            return _streams.GetValueOrDefault(id);
        }
    }

    /// <summary>Finds a stream, or tells a closed one from one that has not been seen yet.</summary>
    public bool TryFind(long id, [NotNullWhen(true)] out KwikStream? stream, out bool wasClosed)
    {
        lock (_gate)
        {
            bool found = _streams.TryGetValue(id, out stream);
            wasClosed = !found && _closedIds.Contains(id);
            return found;
        }
    }

    public bool WasClosed(long id) => !TryFind(id, out _, out bool wasClosed) && wasClosed;

    public void Remove(KwikStream stream)
    {
        lock (_gate)
        {
            _inbound.Remove(stream.XStreamId);
            if (_streams.Remove(stream.Id))
            {
                _closedCounts += CountOf(stream).Lasting;
                _closedIds.Enqueue(stream.Id);
            }

            if (_closedIds.Count > ClosedIdsKept)
            {
                _closedIds.Dequeue();
            }
        }
    }

    /// <summary>
    /// Ends every stream, and every wait for one, with the reason for which the session ended. Those that go on without the
    /// peer lose it only; called again, they end as well.
    /// </summary>
    public void Fail(KwikException fault, Predicate<KwikStream>? goesOn = null)
    {
        SetFault(fault);
        _pairs.Clear();
        _accepted.Writer.TryComplete();
        foreach (KwikStream stream in Snapshot())
        {
            if (goesOn?.Invoke(stream) == true)
            {
                stream.LosePeer(fault);
            }
            else
            {
                stream.Disconnect(fault);
            }
        }
    }

    /// <summary>
    /// The peer has closed all streams and said goodbye: what it sent before is here, or waits for its reader, but may not have
    /// been read from the connection. Ends when it has, or after a bounded time.
    /// </summary>
    public async Task DrainAsync()
    {
        // Where a reader does not come, the rest goes with the connection.
        await Background.EndsWithinAsync(() => Task.WhenAll(Snapshot().Select(stream => stream.Received)), SessionTimeouts.Close, owner.Time);
    }

    /// <summary>Closes every stream; each gives its peer a bounded time to take what was written.</summary>
    public Task CloseAsync()
    {
        SetFault(new KwikException(KwikError.Cancelled, KwikErrorSide.Local, "This side has closed the session."));
        _accepted.Writer.TryComplete();
        return Task.WhenAll(Snapshot().Select(stream => stream.CloseWithSessionAsync()));
    }

    private async Task<KwikStream> OpenOnAsync(CancellationToken cancellationToken)
    {
        (ITransportStream main, ITransportStream error) = await OpenPairAsync(cancellationToken);
        try
        {
            StreamHeader header = StreamHeader.Create(StreamType.Main);
            await Task.WhenAll(
                WriteHeaderAsync(main, header, isAll: false),
                WriteHeaderAsync(error, header with { Type = StreamType.Error }, isAll: true)).WaitAsync(cancellationToken);
            return Add(main, error, XStreamDirection.Outbound, header.Id);
        }
        catch
        {
            await Task.WhenAll(AbandonAsync(main), AbandonAsync(error));
            throw;
        }
    }

    /// <summary>
    /// Opens both halves. Asks for both at once, one pair after the other: two calls that had got one half each would wait
    /// for each other when the peer allows no more.
    /// </summary>
    private async Task<(ITransportStream Main, ITransportStream Error)> OpenPairAsync(CancellationToken cancellationToken)
    {
        Task before;
        var turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            (before, _lastTurn) = (_lastTurn, turn.Task);
        }

        Task<ITransportStream> main;
        Task<ITransportStream> error;
        try
        {
            await AwaitAsync(before).WaitAsync(cancellationToken);
            main = connection.OpenStreamAsync(bidirectional: true, cancellationToken).AsTask();
            error = connection.OpenStreamAsync(bidirectional: true, cancellationToken).AsTask();
        }
        finally
        {
            _ = PassOnAsync(before, turn);
        }

        try
        {
            return (await main, await error);
        }
        catch
        {
            await Task.WhenAll(AbandonAsync(main), AbandonAsync(error));
            throw;
        }
    }

    // WaitAsync on the task itself would continue on the thread pool: docs/adr/0002.
    private static async Task AwaitAsync(Task task) => await task;

    /// <summary>Who gave up waiting does not let the next one overtake those before.</summary>
    private static async Task PassOnAsync(Task before, TaskCompletionSource turn)
    {
        await before;
        turn.TrySetResult();
    }

    private static async Task WriteHeaderAsync(ITransportStream stream, StreamHeader header, bool isAll)
    {
        var bytes = new byte[StreamHeader.Size];
        header.Write(bytes);
        await stream.WriteAsync(bytes, completeWrites: isAll);
    }

    private async Task AbandonAsync(Task<ITransportStream> opening)
    {
        try
        {
            await AbandonAsync(await opening);
        }
        catch (Exception e) when (e is KwikException or OperationCanceledException)
        {
            // There is none.
        }
    }

    private Task AbandonAsync(ITransportStream stream)
    {
        stream.AbortWrites(KwikError.Cancelled);
        stream.AbortReads(KwikError.Cancelled);
        return stream.DisposeWithinAsync(SessionTimeouts.Close, owner.Time);
    }

    private KwikStream Add(ITransportStream main, ITransportStream error, XStreamDirection direction, UInt128 xStreamId)
    {
        var stream = new KwikStream(main, error, direction, owner, options, pool, budget) { XStreamId = xStreamId };
        KwikException? fault;
        lock (_gate)
        {
            _streams.Add(stream.Id, stream);
            if (direction == XStreamDirection.Inbound)
            {
                _inbound.TryAdd(xStreamId, stream);
            }

            fault = _fault;
        }

        _added.Set();
        Opened?.Invoke(stream);
        if (fault is not null)
        {
            stream.Disconnect(fault);
            // Too late for those who close all of them, and for the application.
            _ = Background.Start(stream.CloseWithSessionAsync);
        }

        return stream;
    }

    /// <summary>Waits until a stream is open. One waiter.</summary>
    public async ValueTask WaitForAnyAsync(CancellationToken cancellationToken)
    {
        while (IsEmpty)
        {
            await _added.WaitAsync(cancellationToken);
        }
    }

    /// <summary>The streams that are open.</summary>
    public List<KwikStream> Snapshot()
    {
        lock (_gate)
        {
            return [.. _streams.Values];
        }
    }

    // The streams' locks are taken inside ours.
    private static SessionCounts CountOf(KwikStream stream) => new(
        Streams: 1,
        Pending: 0,
        Holes: stream.Incoming.FirstHole is null || stream.Incoming.IsPositioned ? 0 : 1,
        FromPrimary: stream.MainReceived,
        FromSecondaries: 0,
        Sent: stream.MainSent,
        Duplicate: stream.Incoming.DuplicateBytes);

    private void SetFault(KwikException fault)
    {
        lock (_gate)
        {
            _fault ??= fault;
        }

        _ended.TrySetResult();
    }

    private void ThrowIfEnded()
    {
        lock (_gate)
        {
            if (_fault is not null)
            {
                throw new XStreamException(XStreamErrorKind.NotConnected, _fault.Code, _fault.Side, _fault.Message, _fault);
            }
        }
    }
}
