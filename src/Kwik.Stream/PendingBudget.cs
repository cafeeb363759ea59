namespace Kwik.Streams;

/// <summary>
/// Shares out how many bytes may wait ahead of the readers of all streams of a session together. Safe for concurrent use;
/// its lock is taken inside the streams' own.
/// </summary>
/// <remarks>
/// First come, first served, until somebody has to wait: then whoever holds more than an equal share gets nothing, so that
/// what readers free goes to those who have less. Each stream may hold <see cref="Guaranteed"/> bytes whatever the others
/// hold, and the next byte that its reader waits for; so every reader gets on, and the limit is exceeded by no more.
/// </remarks>
internal sealed class PendingBudget(long limit)
{
    /// <summary>What every stream may hold, bytes.</summary>
    public const int Guaranteed = 64 * 1024;

    private readonly long _limit = limit;
    private readonly Lock _gate = new();
    private List<Share> _waiting = [];
    private long _used;
    private int _holders;

    /// <summary>Bytes held by all streams.</summary>
    public long Used
    {
        get
        {
            lock (_gate)
            {
                return _used;
            }
        }
    }

    /// <summary>The part of a new stream. <paramref name="freed"/> runs outside every lock when it was refused and there is room again.</summary>
    public Share Join(Action freed) => new(this, freed);

    /// <summary>Lets those try again who were refused, if anything has become free. Called outside the streams' locks.</summary>
    public void WakeWaiting()
    {
        List<Share> waiting;
        lock (_gate)
        {
            if (_waiting.Count == 0 || _used >= _limit)
            {
                return;
            }

            (waiting, _waiting) = (_waiting, []);
            waiting.ForEach(share => share.IsWaiting = false);
        }

        waiting.ForEach(share => share.Freed());
    }

    /// <summary>What one stream holds. Guarded by that stream's lock, and changed under the budget's.</summary>
    internal sealed class Share(PendingBudget budget, Action freed)
    {
        public Action Freed => freed;

        /// <summary>Bytes held.</summary>
        public long Held { get; private set; }

        public bool IsWaiting { get; set; }

        /// <summary>True when the stream may hold so much more now. Else it is woken when that may have changed.</summary>
        public bool HasRoom(long bytes)
        {
            lock (budget._gate)
            {
                return RoomLocked(bytes) == bytes;
            }
        }

        /// <summary>Takes as much of this as there is room for, and returns it. When it is less, the stream is woken later.</summary>
        public long TakeUpTo(long bytes)
        {
            lock (budget._gate)
            {
                long taken = RoomLocked(bytes);
                HoldLocked(Held + taken);
                return taken;
            }
        }

        /// <summary>Takes all of this, or nothing; the stream is woken later then.</summary>
        public bool TryTake(long bytes)
        {
            lock (budget._gate)
            {
                bool hasRoom = RoomLocked(bytes) == bytes;
                HoldLocked(Held + (hasRoom ? bytes : 0));
                return hasRoom;
            }
        }

        /// <summary>Sets what is held, whether there is room or not. True when that has become less.</summary>
        public bool Settle(long held)
        {
            if (held == Held)
            {
                return false;
            }

            lock (budget._gate)
            {
                bool frees = held < Held;
                HoldLocked(held);
                return frees;
            }
        }

        private long RoomLocked(long bytes)
        {
            long equalShare = budget._limit / Math.Max(1, budget._holders + (Held == 0 ? 1 : 0));
            bool othersWait = budget._waiting.Count > (IsWaiting ? 1 : 0);
            long room = budget._limit - budget._used;
            room = othersWait ? Math.Min(room, equalShare - Held) : room;
            room = Math.Clamp(Math.Max(room, Guaranteed - Held), 0, bytes);
            if (room < bytes && Held + room < equalShare && !IsWaiting)
            {
                // Who holds more waits for its own reader instead.
                IsWaiting = true;
                budget._waiting.Add(this);
            }

            return room;
        }

        private void HoldLocked(long held)
        {
            budget._used += held - Held;
            budget._holders += (held > 0 ? 1 : 0) - (Held > 0 ? 1 : 0);
            Held = held;
        }
    }
}
