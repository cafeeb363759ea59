using Kwik.Data;

namespace Kwik.Streams;

/// <content>Who may deliver now, and who waits until there is room.</content>
internal sealed partial class ReceiveBuffer
{
    // A source that holds a piece beyond the window; its bytes are still with QUIC, which holds back their sender.
    private sealed class WindowWait(long start, int length)
    {
        public readonly TaskCompletionSource Released = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public long Start => start;

        public int Length => length;
    }

    // Offset behind the last byte that may be asked for; 0 while everything is pushed.
    private long _reservedEnd;

    /// <summary>
    /// Makes room for bytes that servers are to be asked for, before they are. Returns the offset up to which there is room:
    /// at most <paramref name="end"/>, and never less than before. Called again, and <see cref="ReaderMoved"/> says when,
    /// it may be more. What is reserved is always accepted.
    /// </summary>
    public long Reserve(long end)
    {
        lock (_gate)
        {
            if (!HasEndedLocked)
            {
                long wanted = Math.Min(end, _aggregator.TakenBytes + _window) - _reservedEnd;
                _reservedEnd += wanted > 0 ? _share.TakeUpTo(wanted) : 0;
            }

            return _reservedEnd;
        }
    }

    /// <summary>
    /// Waits until a piece may be accepted, or the stream has ended. The piece that the reader waits for never waits here.
    /// Any number of sources.
    /// </summary>
    /// <exception cref="OperationCanceledException">The source was given up meanwhile.</exception>
    public async ValueTask WaitForWindowAsync(long offset, int length, CancellationToken cancellationToken)
    {
        WindowWait wait;
        lock (_gate)
        {
            if (FitsLocked(offset, length))
            {
                return;
            }

            wait = new WindowWait(offset, length);
            _parked.Add(wait);
        }

        using (cancellationToken.UnsafeRegister(static (state, token) => ((WindowWait)state!).Released.TrySetCanceled(token), wait))
        {
            try
            {
                await wait.Released.Task;
            }
            finally
            {
                lock (_gate)
                {
                    _parked.Remove(wait);
                }
            }
        }
    }

    private bool FitsLocked(long start, int length) =>
        _closed || _fault is not null
        || (_aggregator.Validate(start, length) != AcceptOutcome.Overflow && (NeedsNoRoomLocked(start) || _share.HasRoom(length)));

    /// <summary>The reader's next byte is taken at any price, and so is what was reserved.</summary>
    private bool NeedsNoRoomLocked(long start) => start <= _aggregator.NextOffset || _reservedEnd > 0;

    private bool TryTakeRoomLocked(long start, int length) => NeedsNoRoomLocked(start) || _share.TryTake(length);

    /// <summary>Tells the budget what this stream really holds; true when that is less than before.</summary>
    private bool SettleLocked() => _share.Settle(
        _closed || _fault is not null ? 0
        : _reservedEnd > 0 ? _reservedEnd - _aggregator.TakenBytes
        : _aggregator.BufferedBytes);

    private void WakeOthers(bool freed)
    {
        if (freed)
        {
            _budget.WakeWaiting();
        }
    }

    /// <summary>Other streams have freed what this one may use.</summary>
    private void OnRoom()
    {
        List<WindowWait>? released;
        lock (_gate)
        {
            released = TakeFittingLocked();
        }

        Release(released);
        ReaderMoved?.Invoke();
    }

    /// <summary>Sources that may go on; to be released outside the lock.</summary>
    private List<WindowWait>? TakeFittingLocked()
    {
        List<WindowWait>? fitting = null;
        for (int i = 0; i < _parked.Count;)
        {
            if (!FitsLocked(_parked[i].Start, _parked[i].Length))
            {
                i++;
                continue;
            }

            (fitting ??= []).Add(_parked[i]);
            _parked.RemoveAt(i);
        }

        return fitting;
    }

    private static void Release(List<WindowWait>? waits) => waits?.ForEach(wait => wait.Released.TrySetResult());
}
