using System.Diagnostics.CodeAnalysis;
using System.Threading.Channels;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>The public streams of a session, whichever side opened them. Safe for concurrent use.</summary>
internal sealed class PublicStreams(
    ITransportConnection connection, IStreamOwner owner, AggregatorOptions options, LeasePool pool, PendingBudget budget)
{
    // Streams do not arrive in the order of their ids, so that a closed one cannot be told by its number. One that was
    // closed longer ago counts as never seen: what comes for it waits, and is then refused.
    private const int ClosedIdsKept = 1024;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, KwikStream> _streams = [];
    private readonly Channel<KwikStream> _accepted = Channel.CreateUnbounded<KwikStream>();
    private readonly Queue<long> _closedIds = new();
    private readonly AsyncSignal _added = new();
    private KwikException? _fault;

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
        ITransportStream main = await connection.OpenStreamAsync(bidirectional: true, cancellationToken);
        try
        {
            var header = new byte[StreamHeader.Size];
            StreamHeader.Create(StreamType.Main).Write(header);
            await main.WriteAsync(header).AsTask().WaitAsync(cancellationToken);
        }
        catch
        {
            main.AbortWrites(KwikError.Cancelled);
            main.AbortReads(KwikError.Cancelled);
            await main.DisposeAsync();
            throw;
        }

        return Add(main);
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

    /// <summary>Takes over a Main stream of the peer's, behind its header; the application sees it after <see cref="Announce"/>.</summary>
    public KwikStream AddInbound(ITransportStream main) => Add(main);

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
            if (_streams.Remove(stream.Id))
            {
                _closedIds.Enqueue(stream.Id);
            }

            if (_closedIds.Count > ClosedIdsKept)
            {
                _closedIds.Dequeue();
            }
        }
    }

    /// <summary>Ends every stream, and every wait for one, with the reason for which the session ended.</summary>
    public void Fail(KwikException fault)
    {
        lock (_gate)
        {
            _fault ??= fault;
        }

        _accepted.Writer.TryComplete();
        foreach (KwikStream stream in Snapshot())
        {
            stream.Fail(fault);
        }
    }

    /// <summary>Closes every stream; each gives its peer a bounded time to take what was written.</summary>
    public Task CloseAsync() => Task.WhenAll(Snapshot().Select(stream => stream.DisposeAsync().AsTask()));

    private KwikStream Add(ITransportStream main)
    {
        var stream = new KwikStream(main, owner, options, pool, budget);
        KwikException? fault;
        lock (_gate)
        {
            _streams.Add(stream.Id, stream);
            fault = _fault;
        }

        _added.Set();
        if (fault is not null)
        {
            stream.Fail(fault);
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

    private void ThrowIfEnded()
    {
        lock (_gate)
        {
            if (_fault is not null)
            {
                throw new KwikException(_fault.Code, _fault.Side, _fault.Message, _fault, _fault.PathId);
            }
        }
    }
}
