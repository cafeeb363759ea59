using Kwik.Data;

namespace Kwik.Streams;

/// <summary>A hole that a reader waits at: bytes behind it are here, or the stream is known to be longer.</summary>
/// <param name="Offset">The first missing byte.</param>
/// <param name="End">Offset behind the last missing one.</param>
internal readonly record struct Hole(long Offset, long End);

/// <summary>What is due about the hole at the reader of a stream.</summary>
internal enum HoleStep
{
    /// <summary>Nothing: there is no hole, or it is young.</summary>
    None,

    /// <summary>Its source is to be asked how far it is.</summary>
    Synchronise,

    /// <summary>Nobody answered that: <see cref="KwikError.OffsetSyncFailure"/>.</summary>
    Unanswered,

    /// <summary>Its source said it would come, or that it will not: <see cref="KwikError.AggregationTimeout"/>.</summary>
    Overdue,
}

/// <summary>
/// Follows how far each public stream of a client has come, from all of its sources together: the next byte, the holes,
/// and for how long the reader has waited at one. Safe for concurrent use.
/// </summary>
/// <remarks>
/// One hole counts a stream, the one at the reader: those behind it cost nothing yet. Its clock starts when it is first
/// seen and starts anew when the reader moves or something was done about it.
/// <code>
///   young --ReorderTimeout: Synchronise--> asked --"it comes"--> promised --AggregationTimeout--> Overdue
///                                            |-----"it does not"--------------------------------> Overdue
///                                            +-----AggregationTimeout---------------------------> Unanswered
/// </code>
/// </remarks>
internal sealed class MultiSourceOffsetManager(RecoveryOptions options, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<long, Watch> _watches = [];

    // Streams whose primary had to give way, and the last hole that was put down to that.
    private readonly Dictionary<long, long> _excused = [];

    private enum Answer
    {
        NotAsked,
        Awaited,
        Comes,
        DoesNotCome,
    }

    /// <summary>Offset of the next byte that the reader gets: everything before it was read.</summary>
    public static long GetNextExpectedOffset(KwikStream stream) => stream.Incoming.ReadOffset;

    /// <summary>Offset behind the highest byte that this path ever sent for the stream; -1 when it sent none.</summary>
    public static long GetSourceOffset(KwikStream stream, int pathId) => stream.Incoming.SourceOffset(pathId);

    /// <summary>
    /// What a piece there would meet: None; <see cref="KwikError.FinalSize"/> beyond the end of the stream; or
    /// <see cref="KwikError.SecondaryStreamOverflow"/> while it does not fit the window.
    /// </summary>
    public static KwikError ValidateOffset(KwikStream stream, long offset, int length) => stream.Incoming.Validate(offset, length) switch
    {
        AcceptOutcome.FinalSize => KwikError.FinalSize,
        AcceptOutcome.Overflow => KwikError.SecondaryStreamOverflow,
        _ => KwikError.None,
    };

    /// <summary>What is due now about this stream: Synchronise once, the others until the hole was treated.</summary>
    /// <param name="stream">The stream.</param>
    /// <param name="hole">The hole at its reader.</param>
    /// <param name="progress">
    /// A number that changes while what will fill the hole arrives, and is not placed before it is whole: its clock then starts
    /// anew.
    /// </param>
    public HoleStep Inspect(KwikStream stream, out Hole hole, long progress = 0)
    {
        hole = default;
        if (stream.Incoming.FirstHole is not { } found)
        {
            Treated(stream.Id);
            return HoleStep.None;
        }

        hole = new Hole(found.Offset, found.End);
        lock (_gate)
        {
            if (!_watches.TryGetValue(stream.Id, out Watch? watch) || (watch.Offset, watch.Progress) != (found.Offset, progress))
            {
                _watches[stream.Id] = new Watch(found.Offset, progress, time.GetTimestamp());
                return HoleStep.None;
            }

            TimeSpan age = time.GetElapsedTime(watch.Since);
            switch (watch.Answer)
            {
                case Answer.NotAsked when age >= options.ReorderTimeout:
                    watch.Answer = Answer.Awaited;
                    return HoleStep.Synchronise;
                case Answer.Awaited when age >= options.AggregationTimeout:
                    return HoleStep.Unanswered;
                case Answer.Comes when age >= options.AggregationTimeout:
                case Answer.DoesNotCome:
                    return HoleStep.Overdue;
                default:
                    return HoleStep.None;
            }
        }
    }

    /// <summary>The question about a hole is put to this path: nobody else can answer it.</summary>
    public void Asked(long streamId, int pathId)
    {
        lock (_gate)
        {
            if (_watches.TryGetValue(streamId, out Watch? watch))
            {
                watch.AskedPath = pathId;
            }
        }
    }

    /// <summary>A source answered the question about a hole. False when it was not asked.</summary>
    public bool Answered(long streamId, int pathId, long offset, bool comes)
    {
        lock (_gate)
        {
            if (!_watches.TryGetValue(streamId, out Watch? watch) || watch.AskedPath != pathId)
            {
                return false;
            }

            if (watch.Offset == offset && watch.Answer == Answer.Awaited)
            {
                watch.Answer = comes ? Answer.Comes : Answer.DoesNotCome;
            }

            return true;
        }
    }

    /// <summary>Something was done about the hole, or there is none any more: its clock starts anew.</summary>
    public void Treated(long streamId)
    {
        lock (_gate)
        {
            _watches.Remove(streamId);
        }
    }

    /// <summary>
    /// Bytes of this stream, from a server that need not be granted any, were dropped to make room for others. Their
    /// sender does not know which; its next holes are not its fault.
    /// </summary>
    public void Excuse(long streamId)
    {
        lock (_gate)
        {
            _excused.TryAdd(streamId, -1);
        }
    }

    /// <summary>True once for each hole of a stream that was excused.</summary>
    public bool IsExcused(long streamId, long offset)
    {
        lock (_gate)
        {
            if (!_excused.TryGetValue(streamId, out long last) || last == offset)
            {
                return false;
            }

            _excused[streamId] = offset;
            return true;
        }
    }

    /// <summary>The stream is closed.</summary>
    public void Forget(long streamId)
    {
        lock (_gate)
        {
            _watches.Remove(streamId);
            _excused.Remove(streamId);
        }
    }

    private sealed class Watch(long offset, long progress, long since)
    {
        public long Offset => offset;

        public long Progress => progress;

        public long Since => since;

        /// <summary>Null until somebody was asked.</summary>
        public int? AskedPath { get; set; }

        public Answer Answer { get; set; }
    }
}
