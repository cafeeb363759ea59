using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using ContentOffer = Kwik.Data.ContentOffer;

namespace Kwik.Sessions;

/// <summary>
/// Fetches one offered content into one public stream, from every path that has it: does what the scheduler says, and
/// tells it what came. Safe for concurrent use.
/// </summary>
internal sealed class ContentFetch : IRangeReceiver
{
    private readonly KwikStream _stream;
    private readonly ByteString _root;
    private readonly ByteString _grant;
    private readonly int _leafSize;
    private readonly StreamMappingManager _mappings;
    private readonly TimeProvider _time;
    private readonly long _began;
    private readonly ITimer _wakeUp;
    private readonly Lock _gate = new();
    private readonly DeliveryScheduler _scheduler;
    private readonly Dictionary<int, Source> _sources = [];
    private readonly Dictionary<long, Request> _requests = [];
    private bool _ended;

    public ContentFetch(
        KwikStream stream,
        ContentOffer offer,
        ByteString grant,
        long window,
        DeliveryOptions options,
        StreamMappingManager mappings,
        TimeProvider time,
        Func<long> nextRequestId)
    {
        _stream = stream;
        _root = ByteString.CopyFrom(offer.Root.ToByteArray());
        _grant = grant;
        _leafSize = offer.LeafSize;
        _mappings = mappings;
        _time = time;
        _began = time.GetTimestamp();
        _scheduler = new DeliveryScheduler(offer.Length, offer.LeafSize, window, options, nextRequestId);
        _wakeUp = time.CreateTimer(
            static fetch => ((ContentFetch)fetch!).Pump(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        stream.Incoming.ReaderMoved = Pump;
    }

    private TimeSpan Now => _time.GetElapsedTime(_began);

    // A path that is asked for this content; it has been shown the grant with the first request.
    private sealed class Source(KwikPath path)
    {
        public KwikPath Path => path;

        public bool HasGrant { get; set; }

        public TimeSpan RoundTrip { get; set; } = path.RoundTrip;
    }

    // A range that was asked for and has not been answered to its end.
    private sealed class Request(StreamMapping mapping, KwikPath path)
    {
        public StreamMapping Mapping => mapping;

        public KwikPath Path => path;

        // Offset behind what was placed, and bytes that the scheduler has heard of.
        public long PlacedEnd { get; set; } = mapping.Offset;

        public long Reported { get; set; }
    }

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
    /// path still has this connection.
    /// </summary>
    public void RemovePath(int pathId, KwikException reason, KwikPath? only = null)
    {
        bool nobodyLeft;
        lock (_gate)
        {
            if (!_sources.TryGetValue(pathId, out Source? source) || (only is not null && source.Path != only))
            {
                return;
            }

            _sources.Remove(pathId);
            TellLostLocked(pathId, reason.Code);
            _scheduler.RemoveSource(pathId);
            nobodyLeft = _sources.Count == 0 && !_scheduler.IsComplete && !_ended;
        }

        Pump();
        if (nobodyLeft)
        {
            // A server that comes back is not asked for it any more.
            End();
            _stream.Fail(new KwikException(
                reason.Code, reason.Side, $"No server is left that can send stream {_stream.Id}. {reason.Message}", reason, pathId, _stream.Id));
        }
    }

    /// <summary>A server said no to a request: it is not asked for this content again.</summary>
    public void Refused(int pathId, KwikError error) => RemovePath(pathId, new KwikException(
        error == KwikError.None ? KwikError.Internal : error, KwikErrorSide.Remote, $"Path {pathId} refused ({error}).", null, pathId));

    /// <summary>A server found a request to be one too many: the range is asked of any server that has room.</summary>
    public void GaveBack(StreamMapping mapping) => ((IRangeReceiver)this).RangeEnded(mapping, KwikError.None);

    /// <summary>The stream is closed: nothing more is asked, and what is under way is stopped.</summary>
    public void End()
    {
        List<Request> open;
        lock (_gate)
        {
            _ended = true;
            open = [.. _requests.Values];
            _requests.Clear();
        }

        _wakeUp.Dispose();
        open.ForEach(Stop);
    }

    /// <summary>Does whatever is to be done now.</summary>
    public void Pump()
    {
        while (TryNext() is { } action)
        {
            action();
        }
    }

    void IRangeReceiver.RangeReceived(StreamMapping mapping, long bytes)
    {
        lock (_gate)
        {
            if (_requests.TryGetValue(mapping.RequestId, out Request? request))
            {
                HearLocked(request, Now);
                request.PlacedEnd += bytes;
                VerifyLocked(request, request.PlacedEnd - bytes);
            }
        }

        Pump();
    }

    void IRangeReceiver.RangeEnded(StreamMapping mapping, KwikError outcome)
    {
        if (!TryClose(mapping, avoid: false, outcome))
        {
            return;
        }

        if (outcome != KwikError.None)
        {
            Refused(mapping.PathId, outcome);
            return;
        }

        Pump();
    }

    void IRangeReceiver.RangeFailed(StreamMapping mapping, bool elsewhere, KwikError error)
    {
        if (TryClose(mapping, elsewhere, error))
        {
            Pump();
        }
    }

    /// <summary>Nobody has sent the byte at this offset in time: it is asked of another server, and no longer of its present one.</summary>
    public void GiveBackAt(long offset, KwikError error)
    {
        lock (_gate)
        {
            if (_scheduler.RequestAt(offset) is { } late && _requests.TryGetValue(late, out Request? request))
            {
                TellLostLocked(request, error);
                _scheduler.GiveBack(late, avoid: true);
            }
        }

        Pump();
    }

    /// <summary>The answer has ended, one way or another; false when the request was closed before.</summary>
    private bool TryClose(StreamMapping mapping, bool avoid, KwikError error)
    {
        Request? request;
        lock (_gate)
        {
            if (!_requests.Remove(mapping.RequestId, out request))
            {
                return false;
            }

            if (error != KwikError.None)
            {
                TellLostLocked(request, error);
            }

            _scheduler.GiveBack(mapping.RequestId, avoid);
        }

        request.Path.CountRequests(-1);
        return true;
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
            while (_scheduler.TryNext(_stream.Incoming.TakenBytes, now, out DeliveryStep step, TakesRequests, _stream.Incoming.Reserve))
            {
                if (DoLocked(step) is { } action)
                {
                    return action;
                }
            }

            TimeSpan wait = _scheduler.NextWakeUp is { } due ? due - now : Timeout.InfiniteTimeSpan;
            // In whole milliseconds, rounded up: a timer that fires early would be set again and again.
            _wakeUp.Change(
                wait < TimeSpan.Zero ? wait : TimeSpan.FromMilliseconds(Math.Ceiling(wait.TotalMilliseconds)), Timeout.InfiniteTimeSpan);
            return null;
        }
    }

    // The path's lock is taken inside ours.
    private bool TakesRequests(int source) => _sources[source].Path.TakesRequests;

    /// <summary>What to do outside of the lock.</summary>
    private Action? DoLocked(DeliveryStep step)
    {
        switch (step.Kind)
        {
            case DeliveryStepKind.Ask:
                return AskLocked(step);
            case DeliveryStepKind.Cancel when _requests.TryGetValue(step.RequestId, out Request? request):
                if (request.PlacedEnd == request.Mapping.End)
                {
                    // All of it is here; only its end is on its way.
                    return null;
                }

                _requests.Remove(step.RequestId);
                return () => Stop(request);
            case DeliveryStepKind.Dead:
                TellLostLocked(step.Source, KwikError.Timeout);
                return null;
            default:
                return null;
        }
    }

    private Action? AskLocked(DeliveryStep step)
    {
        Source source = _sources[step.Source];
        if (!source.Path.TryTakeRequest())
        {
            // Another stream took the last place in between.
            _scheduler.GiveBack(step.RequestId, avoid: false);
            return null;
        }

        var frame = new RangeRequest
        {
            RequestId = (ulong)step.RequestId,
            KwikStreamId = (ulong)_stream.Id,
            Root = _root,
            Offset = (ulong)step.Offset,
            Length = (ulong)(step.End - step.Offset),
            Grant = source.HasGrant || source.Path.Role == ServerRole.Primary ? ByteString.Empty : _grant,
            Urgent = step.IsUrgent,
        };
        source.HasGrant = true;
        var mapping = new StreamMapping(step.Source, step.RequestId, _stream, step.Offset, step.End - step.Offset, this);
        _requests.Add(step.RequestId, new Request(mapping, source.Path));
        _mappings.Expect(mapping);
        return () => source.Path.Control.Send(new ControlFrame { RangeRequest = frame }, urgent: step.IsUrgent);
    }

    /// <summary>What has come since the last time, also of frames that are not whole yet, and what is known of the paths.</summary>
    private void ListenLocked(TimeSpan now)
    {
        foreach (Request request in _requests.Values)
        {
            HearLocked(request, now);
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

    private void HearLocked(Request request, TimeSpan now)
    {
        long arrived = request.Mapping.ArrivedBytes;
        if (arrived > request.Reported)
        {
            _scheduler.Received(request.Mapping.RequestId, arrived - request.Reported, now);
            request.Reported = arrived;
        }
    }

    private void VerifyLocked(Request request, long from)
    {
        for (long leaf = from / _leafSize * _leafSize; leaf < request.PlacedEnd; leaf += _leafSize)
        {
            if (leaf + _leafSize <= request.PlacedEnd || request.PlacedEnd == request.Mapping.End)
            {
                _scheduler.Verified(request.Mapping.RequestId, leaf);
            }
        }
    }

    private void TellLostLocked(int pathId, KwikError error)
    {
        foreach (Request request in _requests.Values.Where(request => request.Mapping.PathId == pathId))
        {
            TellLostLocked(request, error);
        }
    }

    private void TellLostLocked(Request request, KwikError error)
    {
        if (_scheduler.Missing(request.Mapping.RequestId) is (long offset, long length))
        {
            _stream.Raise(new PieceFetchedAgain(offset, length, request.Mapping.PathId, error));
        }
    }

    /// <summary>A request that is not in the table any more: its answer is not wanted.</summary>
    private void Stop(Request request)
    {
        _mappings.Forget(request.Mapping);
        request.Mapping.Cancel();
        request.Path.Control.Send(new ControlFrame { RangeCancel = new RangeCancel { RequestId = (ulong)request.Mapping.RequestId } });
        request.Path.CountRequests(-1);
    }
}
