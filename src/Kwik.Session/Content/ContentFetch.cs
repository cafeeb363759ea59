using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using ContentOffer = Kwik.Data.ContentOffer;

namespace Kwik.Sessions;

/// <summary>
/// Fetches one offered content into one public stream, from every path that has it: does what the scheduler says, tells it
/// what came, and gives the stream no byte whose leaf has not been proven. Safe for concurrent use.
/// </summary>
internal sealed partial class ContentFetch
{
    private readonly KwikStream _stream;
    private readonly ContentOffer _offer;
    private readonly ByteString _root;
    private readonly StreamMappingManager _mappings;
    private readonly TimeProvider _time;
    private readonly SessionObserver _observer;
    private readonly Func<long> _nextRequestId;
    private readonly Action<KwikPath, long, KwikException> _blame;
    private readonly Action _done;
    private readonly long _began;
    private readonly ITimer _wakeUp;
    private readonly Lock _gate = new();
    private readonly DeliveryScheduler _scheduler;
    private readonly SortedDictionary<int, Source> _sources = [];
    private readonly Dictionary<long, RangeAnswer> _answers = [];
    private bool _ended;
    private bool _isDone;
    private Span? _span;

    /// <param name="stream">Where the bytes go.</param>
    /// <param name="offer">What they are.</param>
    /// <param name="grant">Shows to a secondary that the primary lets this client have them.</param>
    /// <param name="window">Bytes that may wait ahead of the reader.</param>
    /// <param name="options">How the work is shared out.</param>
    /// <param name="mappings">Who may write where.</param>
    /// <param name="time">The clock.</param>
    /// <param name="observer">Is told what comes of it; not under a lock.</param>
    /// <param name="nextRequestId">Gives numbers that are unique in the session.</param>
    /// <param name="blame">Learns of a server that sent what is not the content of this stream; not under a lock.</param>
    /// <param name="done">Runs once, when all bytes are in the stream, or nobody is left to send them; not under a lock.</param>
    public ContentFetch(
        KwikStream stream,
        ContentOffer offer,
        HeldGrant grant,
        long window,
        DeliveryOptions options,
        StreamMappingManager mappings,
        TimeProvider time,
        SessionObserver observer,
        Func<long> nextRequestId,
        Action<KwikPath, long, KwikException> blame,
        Action done)
    {
        _stream = stream;
        _offer = offer;
        _root = ByteString.CopyFrom(offer.Root.ToByteArray());
        _grant = grant;
        _mappings = mappings;
        _time = time;
        _observer = observer;
        _nextRequestId = nextRequestId;
        _blame = blame;
        _done = done;
        _began = time.GetTimestamp();
        _proofs = new LeafProofs(offer);
        _scheduler = new DeliveryScheduler(offer.Length, offer.LeafSize, window, options, nextRequestId);
        foreach ((long offset, long length) in stream.Held)
        {
            _scheduler.Skip(offset, offset + length);
            _proofs.Done(offset, offset + length);
        }

        _wakeUp = time.CreateTimer(
            static fetch => ((ContentFetch)fetch!).Pump(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        stream.Incoming.ReaderMoved = Pump;
    }

    public long StreamId => _stream.Id;

    /// <summary>True while bytes are missing that somebody may send.</summary>
    public bool IsUnderWay
    {
        get
        {
            lock (_gate)
            {
                return !_ended && !_scheduler.IsComplete;
            }
        }
    }

    private TimeSpan Now => _time.GetElapsedTime(_began);

    // A path that is asked for this content.
    private sealed class Source(KwikPath path)
    {
        public KwikPath Path => path;

        // The number of the grant that it was shown last; 0: it is to be shown one.
        public int ShownGrant { get; set; }

        // It refused the grant that is held. Asked nothing until there is another one, at the latest by then.
        public TimeSpan? GrantDue { get; set; }

        public TimeSpan RoundTrip { get; set; } = path.RoundTrip;
    }

    /// <summary>True when bytes are missing that others than this path may send.</summary>
    public bool CanDoWithout(int pathId)
    {
        lock (_gate)
        {
            return !_ended && !_scheduler.IsComplete && _sources.Keys.Any(id => id != pathId);
        }
    }

    /// <summary>It is under way from now on.</summary>
    public void Trace() => _span = _observer.BeginFetch(_stream, _offer);

    /// <summary>A server can be asked from now on.</summary>
    public void AddPath(KwikPath path)
    {
        lock (_gate)
        {
            if (_ended || !_sources.TryAdd(path.Id, new Source(path)))
            {
                return;
            }

            _scheduler.AddSource(path.Id, path.RoundTrip);
        }

        // A path that ended meanwhile was not a source yet when it was removed everywhere.
        if (path.Fault is { } fault)
        {
            RemovePath(path.Id, fault, only: path);
            return;
        }

        Pump();
    }

    /// <summary>
    /// A server is gone, or does not have the content: others are asked for what it owes. <paramref name="only"/>: if the
    /// path still has this connection. False when it was not asked for this content any more.
    /// </summary>
    public bool RemovePath(int pathId, KwikException reason, KwikPath? only = null)
    {
        bool nobodyLeft;
        lock (_gate)
        {
            if (!_sources.TryGetValue(pathId, out Source? source) || (only is not null && source.Path != only))
            {
                return false;
            }

            _sources.Remove(pathId);
            TellLostLocked(pathId, reason.Code);
            _scheduler.RemoveSource(pathId);
            ForgetHashesLocked(pathId);
            nobodyLeft = _sources.Count == 0 && !_scheduler.IsComplete && !_ended;
        }

        Pump();
        if (nobodyLeft)
        {
            // A server that comes back is not asked for it any more.
            _span?.End(reason.Code);
            End();
            _stream.Fail(new KwikException(
                reason.Code, reason.Side, $"No server is left that can send stream {_stream.Id}. {reason.Message}", reason, pathId, _stream.Id));
            _done();
        }

        return true;
    }

    /// <summary>The stream is closed: nothing more is asked, and what is under way is stopped.</summary>
    public void End()
    {
        List<RangeAnswer> open;
        lock (_gate)
        {
            _ended = true;
            open = [.. _answers.Values];
            _answers.Clear();
            _unproven.ForEach(leaf => leaf.Return());
            _unproven.Clear();
        }

        _wakeUp.Dispose();
        open.ForEach(Stop);
        _span?.End(KwikError.Cancelled);
    }

    /// <summary>Does whatever is to be done now.</summary>
    public void Pump()
    {
        while (TryNext() is { } action)
        {
            action();
        }
    }

    /// <summary>Nobody has sent the byte at this offset in time: it is asked of another server, and no longer of its present one.</summary>
    public void GiveBackAt(long offset, KwikError error)
    {
        lock (_gate)
        {
            if (_scheduler.RequestAt(offset) is { } late && _answers.TryGetValue(late, out RangeAnswer? answer))
            {
                TellLostLocked(answer, error);
                _scheduler.GiveBack(late, avoid: true);
            }
        }

        Pump();
    }

    /// <summary>What has come of the request that is to bring a byte, in a number that grows; null when nobody was asked for it.</summary>
    public long? ProgressAt(long offset)
    {
        lock (_gate)
        {
            return _scheduler.RequestAt(offset) is { } request && _answers.TryGetValue(request, out RangeAnswer? answer)
                ? answer.Mapping.Offset + answer.Mapping.ArrivedBytes
                : null;
        }
    }

    private Action? TryNext()
    {
        lock (_gate)
        {
            if (_ended)
            {
                return null;
            }

            TimeSpan now = Now;
            ListenLocked(now);
            _scheduler.InOrder = !_stream.Incoming.IsPositioned;
            if ((GiveUpWaitingLocked(now) ?? AskAgainLocked(now)) is { } first)
            {
                return first;
            }

            while (_scheduler.TryNext(_stream.Incoming.TakenBytes, now, out DeliveryStep step, TakesRequests, _stream.Incoming.Reserve))
            {
                if (DoLocked(step, now) is { } action)
                {
                    return action;
                }
            }

            SetWakeUpLocked(now);
            if (_scheduler.IsComplete && !_isDone)
            {
                _isDone = true;
                return Complete;
            }

            return null;
        }
    }

    private void Complete()
    {
        _span?.End();
        _done();
    }

    private void SetWakeUpLocked(TimeSpan now)
    {
        TimeSpan? due = _scheduler.NextWakeUp;
        if (_sources.Count > 0 && (due is null || _proofsDue < due))
        {
            due = _proofsDue;
        }

        foreach (Source source in _sources.Values)
        {
            due = due is null || source.GrantDue < due ? source.GrantDue ?? due : due;
        }

        // In whole milliseconds, rounded up: a timer that fires early would be set again and again.
        TimeSpan wait = due is { } at ? TimeSpan.FromMilliseconds(Math.Max(0, Math.Ceiling((at - now).TotalMilliseconds))) : Timeout.InfiniteTimeSpan;
        _wakeUp.Change(wait, Timeout.InfiniteTimeSpan);
    }

    // The path's lock is taken inside ours.
    private bool TakesRequests(int source) => _sources[source].GrantDue is null && _sources[source].Path.TakesRequests;

    /// <summary>What to do outside of the lock.</summary>
    private Action? DoLocked(DeliveryStep step, TimeSpan now)
    {
        _stream.Trace(now, step);
        _observer.Qlog?.Decided(_stream.Id, step);
        switch (step.Kind)
        {
            case DeliveryStepKind.Ask:
                return AskLocked(step, now);
            case DeliveryStepKind.Cancel when _answers.TryGetValue(step.RequestId, out RangeAnswer? answer):
                if (answer.HasEnded || answer.Mapping.ArrivedBytes < answer.Mapping.End - answer.Mapping.Offset)
                {
                    _answers.Remove(step.RequestId);
                    DropUnprovenLocked(answer);
                    return answer.HasEnded ? null : () => Stop(answer);
                }

                // All of it is here; only its end is on its way.
                return null;
            case DeliveryStepKind.Dead:
                TellLostLocked(step.Source, KwikError.Timeout);
                return null;
            default:
                return null;
        }
    }

    private Action? AskLocked(DeliveryStep step, TimeSpan now)
    {
        Source source = _sources[step.Source];
        if (!source.Path.TryTakeRequest())
        {
            // Another stream took the last place in between.
            _scheduler.GiveBack(step.RequestId, avoid: false);
            return null;
        }

        int shownBefore = source.ShownGrant;
        List<ControlFrame> frames = AskForHashesLocked(source, step, now);
        ByteString grant = GrantLocked(source, out _);
        frames.Add(new ControlFrame
        {
            RangeRequest = new RangeRequest
            {
                RequestId = (ulong)step.RequestId,
                KwikStreamId = (ulong)_stream.Id,
                Root = _root,
                Offset = (ulong)step.Offset,
                Length = (ulong)(step.End - step.Offset),
                Grant = grant,
                Urgent = step.IsUrgent,
            },
        });
        // Also when it was in the request for hashes just before.
        int shown = source.ShownGrant == shownBefore ? 0 : source.ShownGrant;
        var answer = new RangeAnswer(this, source.Path, _stream, step, shown);
        _answers.Add(step.RequestId, answer);
        _mappings.Expect(answer.Mapping);
        return () => frames.ForEach(frame => source.Path.Control.Send(frame, urgent: step.IsUrgent));
    }

    /// <summary>What has come since the last time, also of frames that are not whole yet, and what is known of the paths.</summary>
    private void ListenLocked(TimeSpan now)
    {
        foreach (RangeAnswer answer in _answers.Values)
        {
            HearLocked(answer, now);
        }

        foreach ((int id, Source source) in _sources)
        {
            if (source.Path.RoundTrip is var roundTrip && roundTrip != source.RoundTrip)
            {
                source.RoundTrip = roundTrip;
                _scheduler.Measured(id, roundTrip);
            }
        }
    }

    private void HearLocked(RangeAnswer answer, TimeSpan now)
    {
        long arrived = answer.Mapping.ArrivedBytes;
        if (arrived > answer.Reported)
        {
            _scheduler.Received(answer.Id, arrived - answer.Reported, now);
            answer.Reported = arrived;
        }
    }

    private void TellLostLocked(int pathId, KwikError error)
    {
        foreach (RangeAnswer answer in _answers.Values.Where(answer => answer.Path.Id == pathId))
        {
            TellLostLocked(answer, error);
        }
    }

    private void TellLostLocked(RangeAnswer answer, KwikError error)
    {
        if (_proofs.FindMissing(answer.Mapping.Offset, answer.Mapping.End) is (long offset, long length))
        {
            _stream.Raise(new PieceFetchedAgain(offset, length, answer.Path.Id, error));
        }
    }

    /// <summary>A request that is not in the table any more: its answer is not wanted.</summary>
    private void Stop(RangeAnswer answer)
    {
        if (answer.HasEnded)
        {
            return;
        }

        _mappings.Forget(answer.Mapping);
        answer.Mapping.Cancel();
        answer.Path.Control.Send(new ControlFrame { RangeCancel = new RangeCancel { RequestId = (ulong)answer.Id } });
        answer.Path.CountRequests(-1);
    }
}
