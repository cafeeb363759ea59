using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// The receiving half of a public stream: pieces come in from any source, bytes go out to one reader, in order or each where
/// it belongs. Safe for concurrent use by many sources and one reader.
/// </summary>
/// <remarks>
/// Sources hand over leases under the lock; the reader takes a whole piece out under the lock and copies from it outside.
/// Callbacks and continuations run after the lock is released. The session's budget is asked under the lock.
/// </remarks>
internal sealed partial class ReceiveBuffer : IDisposable
{
    private readonly Lock _gate = new();
    private readonly OffsetAggregator _aggregator;
    private readonly PendingBudget _budget;
    private readonly PendingBudget.Share _share;
    private readonly long _window;
    private readonly AsyncSignal _readable = new();
    private readonly List<WindowWait> _parked = [];

    // The piece that the reader is copying from; touched by the reader only, or under the lock while nobody reads.
    private Lease? _current;
    private long _currentOffset;
    private bool _reading;
    private bool _offered;
    private Exception? _fault;
    private Exception? _interruption;
    private bool _interrupted;
    private bool _discarded;
    private bool _endReported;
    private bool _closed;
    private bool _disposed;
    private Exception? _closeReason;

    // What a fault does not take from the reader; each includes those before.
    private enum Spared
    {
        Nothing,
        AtTheEnd,
        Begun,
        Interrupted,
        Whole,
    }

    /// <param name="options">Limits of this stream.</param>
    /// <param name="pool">Where leases go back to.</param>
    /// <param name="budget">The limit of all streams together; null: none.</param>
    public ReceiveBuffer(AggregatorOptions options, LeasePool pool, PendingBudget? budget = null)
    {
        _aggregator = new OffsetAggregator(options, pool);
        _window = options.MaxPendingBytes;
        _budget = budget ?? new PendingBudget(long.MaxValue);
        _share = _budget.Join(OnRoom);
    }

    /// <summary>Runs when there may be more room in the window: after the reader took a piece, on its call, or others freed theirs.</summary>
    public Action? ReaderMoved { get; set; }

    /// <summary>Runs when pieces of a path have come in, from an offset on; null: nobody wants to know.</summary>
    public Action<int, long, long>? Placed { get; init; }

    /// <summary>Runs before the reader learns that it has reached the end, on its call.</summary>
    public Action? EndReached { get; init; }

    /// <summary>Everything before this offset has gone to the reader.</summary>
    public long ReadOffset
    {
        get
        {
            lock (_gate)
            {
                return _aggregator.NextOffset;
            }
        }
    }

    /// <summary>Nobody will read what is missing.</summary>
    private bool HasEndedLocked => _closed || _fault is not null || _interruption is not null;

    /// <summary>Bytes that came again, the same, or for what had gone to the reader.</summary>
    public long DuplicateBytes
    {
        get
        {
            lock (_gate)
            {
                return _aggregator.DuplicateBytes;
            }
        }
    }

    /// <summary>Times that two sources sent different bytes for one offset.</summary>
    public long Conflicts
    {
        get
        {
            lock (_gate)
            {
                return _aggregator.Conflicts;
            }
        }
    }

    /// <summary>Bytes that have gone to the reader.</summary>
    public long TakenBytes
    {
        get
        {
            lock (_gate)
            {
                return _aggregator.TakenBytes;
            }
        }
    }

    /// <summary>True when pieces are taken wherever they lie.</summary>
    public bool IsPositioned
    {
        get
        {
            lock (_gate)
            {
                return _aggregator.IsPositioned;
            }
        }
    }

    /// <summary>The hole that the reader waits at; null when there is none.</summary>
    public (long Offset, long End)? FirstHole
    {
        get
        {
            lock (_gate)
            {
                return HasEndedLocked ? null : _aggregator.FirstHole;
            }
        }
    }

    /// <summary>Offset behind the highest byte that this path ever sent; -1 when it sent none.</summary>
    public long SourceOffset(int pathId)
    {
        lock (_gate)
        {
            return _aggregator.SourceOffset(pathId);
        }
    }

    /// <summary>What a piece there would meet now; nothing changes.</summary>
    public AcceptOutcome Validate(long offset, int length)
    {
        lock (_gate)
        {
            return _aggregator.Validate(offset, length);
        }
    }

    /// <summary>The ranges that are not here, from one offset to another, as far as the stream goes.</summary>
    public List<(long Offset, long Length)> Missing(long start, long end)
    {
        var missing = new List<(long Offset, long Length)>();
        lock (_gate)
        {
            if (!HasEndedLocked)
            {
                _aggregator.Missing(start, Math.Min(end, _aggregator.FinalSize ?? end), missing);
            }
        }

        return missing;
    }

    /// <summary>
    /// Takes pieces that follow each other, each with the ownership of its lease, up to the first that does not fit the
    /// window now or is refused. After the end of the stream, and when the stream was offered, pieces are dropped.
    /// </summary>
    /// <param name="source">The path that they came on.</param>
    /// <param name="offset">Of the first piece; afterwards of the first that was not taken.</param>
    /// <param name="pieces">What is not taken stays the caller's: wait for the window and come again.</param>
    /// <param name="last">What became of the last piece taken.</param>
    /// <returns>How many were taken.</returns>
    public int Accept(int source, ref long offset, ReadOnlySpan<Lease> pieces, out AcceptResult last)
    {
        last = new(AcceptOutcome.Duplicate);
        long start = offset;
        int taken = 0;
        bool readable;
        bool freed;
        List<WindowWait>? released;
        lock (_gate)
        {
            while (taken < pieces.Length && last.Outcome is not (AcceptOutcome.Rejected or AcceptOutcome.FinalSize))
            {
                int length = pieces[taken].Length;
                if (_closed || _fault is not null || _offered)
                {
                    pieces[taken++].Return();
                }
                else if (_aggregator.Validate(offset, length) == AcceptOutcome.Overflow || !TryTakeRoomLocked(offset, length))
                {
                    break;
                }
                else
                {
                    last = _aggregator.Accept(source, offset, pieces[taken++]);
                }

                offset += length;
            }

            freed = SettleLocked();
            readable = _aggregator.CanTake;
            // Holes that were closed make room for a source that waits to make others.
            released = TakeFittingLocked();
        }

        if (readable)
        {
            TransportStep.Set(_readable);
        }

        Placed?.Invoke(source, start, offset - start);
        Release(released);
        WakeOthers(freed);
        return taken;
    }

    /// <summary>Takes pieces of offered content that follow each other, verified, and reserved with <see cref="Reserve"/>.</summary>
    public void AcceptVerified(int source, long offset, ReadOnlySpan<Lease> pieces)
    {
        long start = offset;
        bool readable;
        bool freed;
        lock (_gate)
        {
            foreach (Lease piece in pieces)
            {
                int length = piece.Length;
                if (_closed || _fault is not null)
                {
                    piece.Return();
                }
                else
                {
                    _aggregator.Accept(source, offset, piece, isReserved: true);
                }

                offset += length;
            }

            freed = SettleLocked();
            readable = _aggregator.CanTake;
        }

        // Before the reader is woken: who has read everything finds all of it told.
        Placed?.Invoke(source, start, offset - start);
        if (readable)
        {
            TransportStep.Set(_readable);
        }

        WakeOthers(freed);
    }

    /// <summary>Says how long the stream is; false when that contradicts what is known.</summary>
    public bool TrySetFinalSize(long size) => TrySetFinalSize(size, offered: null);

    /// <summary>
    /// The whole stream is an offered content of this size; from now on only <see cref="AcceptVerified"/> adds to it. What its
    /// reader <paramref name="held"/> before counts as delivered. False when bytes are here already, or when that contradicts
    /// what is known.
    /// </summary>
    public bool TryOffer(long size, IReadOnlyList<(long Offset, long Length)> held) => TrySetFinalSize(size, held);

    private bool TrySetFinalSize(long size, IReadOnlyList<(long Offset, long Length)>? offered)
    {
        List<WindowWait>? released;
        lock (_gate)
        {
            if ((offered is not null && (_offered || _aggregator.HighestOffset > 0)) || !_aggregator.TrySetFinalSize(size))
            {
                return false;
            }

            foreach ((long offset, long length) in offered ?? [])
            {
                _aggregator.Skip(offset, offset + length);
            }

            if (offered is not null)
            {
                _offered = true;
                _reservedEnd = _aggregator.TakenBytes;
            }

            // Who waits with bytes beyond it will not be let in; it is to learn that now.
            released = TakeFittingLocked();
        }

        _readable.Set();
        Release(released);
        return true;
    }

    /// <summary>
    /// Pending and later reads throw this from now on, although there may be bytes; those that are here stay for
    /// <see cref="ReadRestAsync"/>. Does nothing when the end was reported.
    /// </summary>
    public void Interrupt(Exception reason)
    {
        lock (_gate)
        {
            if (_closed || _fault is not null)
            {
                return;
            }

            _interrupted = true;
            if (_endReported)
            {
                return;
            }

            _interruption ??= reason;
        }

        _readable.Set();
    }

    /// <summary>
    /// Ends the stream for the reader: pending and later reads throw this. The first fault stays, and so does an end that was
    /// reached, and what is left to read after an interruption.
    /// </summary>
    public void Fail(Exception fault) => Fail(fault, Spared.Interrupted);

    /// <summary>Nothing comes any more: fails the stream, unless all of it is here.</summary>
    public void Disconnect(Exception fault) => Fail(fault, Spared.Whole);

    /// <summary>Nobody wants what is here; only an end that was reached stays.</summary>
    public void Discard(Exception fault) => Fail(fault, Spared.AtTheEnd);

    /// <summary>Nobody wants what is here, but for the piece that the reader has begun, and an end that was reached.</summary>
    public void GiveUp(Exception fault) => Fail(fault, Spared.Begun);

    /// <summary>The reader has lost a piece that it took: the stream cannot be whole any more.</summary>
    public void Break(Exception fault) => Fail(fault, Spared.Nothing);

    /// <summary>Returns all memory. Pending and later reads throw this, until <see cref="Dispose"/>.</summary>
    public void Close(Exception reason) => Close(isDisposed: false, reason);

    /// <summary>Returns all memory. Pending and later reads end with <see cref="ObjectDisposedException"/>.</summary>
    public void Dispose() => Close(isDisposed: true, null);

    private void Close(bool isDisposed, Exception? reason)
    {
        List<WindowWait>? released;
        bool freed;
        lock (_gate)
        {
            _disposed |= isDisposed;
            _closeReason ??= reason;
            if (_closed)
            {
                return;
            }

            _closed = true;
            _aggregator.Clear();
            if (!_reading)
            {
                ReleaseReaderLocked();
            }

            freed = SettleLocked();
            released = TakeFittingLocked();
        }

        _readable.Set();
        Release(released);
        WakeOthers(freed);
    }

    private void Fail(Exception fault, Spared spared)
    {
        List<WindowWait>? released;
        bool freed;
        lock (_gate)
        {
            if (_closed || IsSparedLocked(spared))
            {
                return;
            }

            _discarded |= spared <= Spared.AtTheEnd;
            if (_fault is not null)
            {
                return;
            }

            _fault = fault;
            _aggregator.Clear();
            freed = SettleLocked();
            released = TakeFittingLocked();
        }

        _readable.Set();
        Release(released);
        WakeOthers(freed);
    }

    private bool IsSparedLocked(Spared spared) =>
        // The end is not reached with a piece that the reader has taken and not copied yet.
        (spared >= Spared.AtTheEnd && _aggregator.IsComplete && (spared >= Spared.Begun || _current is null))
        || (spared >= Spared.Interrupted && _interruption is not null)
        || (spared >= Spared.Whole && _aggregator.IsWhole);

    private void ThrowIfClosedLocked()
    {
        if (_closed)
        {
            ObjectDisposedException.ThrowIf(_disposed, typeof(KwikStream));
            throw _closeReason!;
        }
    }

    private void ReleaseReaderLocked()
    {
        _current?.Return();
        _current = null;
    }
}
