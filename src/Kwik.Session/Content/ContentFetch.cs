using System.Diagnostics.CodeAnalysis;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using ContentOffer = Kwik.Data.ContentOffer;

namespace Kwik.Sessions;

/// <summary>
/// Fetches one offered content into one public stream, from every path that has it: asks what the scheduler says, and
/// tells it what came. Safe for concurrent use.
/// </summary>
internal sealed class ContentFetch : IRangeReceiver
{
    private readonly KwikStream _stream;
    private readonly ByteString _root;
    private readonly ByteString _grant;
    private readonly StreamMappingManager _mappings;
    private readonly Lock _gate = new();
    private readonly RangeScheduler _scheduler;
    private readonly Dictionary<int, Source> _sources = [];
    private readonly Dictionary<long, StreamMapping> _asked = [];
    private bool _ended;

    public ContentFetch(
        KwikStream stream, ContentOffer offer, ByteString grant, long window, StreamMappingManager mappings, Func<long> nextRequestId)
    {
        _stream = stream;
        _root = ByteString.CopyFrom(offer.Root.ToByteArray());
        _grant = grant;
        _mappings = mappings;
        _scheduler = new RangeScheduler(offer.Length, window, nextRequestId);
        stream.Incoming.ReaderMoved = Pump;
    }

    // A path that is asked for this content; it has been shown the grant with the first request.
    private sealed class Source(KwikPath path)
    {
        public KwikPath Path => path;

        public bool HasGrant { get; set; }
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

            _scheduler.AddSource(path.Id);
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
        Source? source;
        List<StreamMapping> lost;
        bool nobodyLeft;
        lock (_gate)
        {
            if (!_sources.TryGetValue(pathId, out source) || (only is not null && source.Path != only))
            {
                return;
            }

            _sources.Remove(pathId);
            lost = [.. _asked.Values.Where(mapping => mapping.PathId == pathId)];
            lost.ForEach(mapping => TakeBackLocked(mapping, reason.Code));
            _scheduler.RemoveSource(pathId);
            nobodyLeft = _sources.Count == 0 && !_scheduler.IsComplete && !_ended;
            // The stream fails: a server that comes back is not asked for it any more.
            _ended |= nobodyLeft;
        }

        Cancel(lost);
        source.Path.CountRequests(-lost.Count);
        if (nobodyLeft)
        {
            _stream.Fail(new KwikException(
                reason.Code, reason.Side, $"No server is left that can send stream {_stream.Id}. {reason.Message}", reason, pathId, _stream.Id));
            return;
        }

        Pump();
    }

    /// <summary>A server said no to a request: it is not asked for this content again.</summary>
    public void Refused(int pathId, KwikError error) => RemovePath(pathId, new KwikException(
        error == KwikError.None ? KwikError.Internal : error, KwikErrorSide.Remote, $"Path {pathId} refused ({error}).", null, pathId));

    /// <summary>A server found a request to be one too many: the range is asked of any server that has room.</summary>
    public void GaveBack(StreamMapping mapping) => ((IRangeReceiver)this).RangeEnded(mapping, KwikError.None);

    /// <summary>The stream is closed: nothing more is asked, and what is under way is stopped.</summary>
    public void End()
    {
        List<(StreamMapping Mapping, KwikPath Path)> open;
        lock (_gate)
        {
            _ended = true;
            open = [.. _asked.Values.Select(mapping => (mapping, _sources[mapping.PathId].Path))];
            _asked.Clear();
        }

        Cancel(open.ConvertAll(entry => entry.Mapping));
        foreach ((StreamMapping mapping, KwikPath path) in open)
        {
            path.Control.Send(new ControlFrame { RangeCancel = new RangeCancel { RequestId = (ulong)mapping.RequestId } });
            path.CountRequests(-1);
        }
    }

    /// <summary>Asks for whatever may be asked for now.</summary>
    public void Pump()
    {
        while (TryAsk(out KwikPath? path, out RangeRequest? request))
        {
            path.Control.Send(new ControlFrame { RangeRequest = request });
        }
    }

    void IRangeReceiver.RangeReceived(StreamMapping mapping, long bytes)
    {
        lock (_gate)
        {
            if (_asked.ContainsKey(mapping.RequestId))
            {
                _scheduler.Received(mapping.RequestId, bytes);
            }
        }
    }

    void IRangeReceiver.RangeEnded(StreamMapping mapping, KwikError outcome)
    {
        if (!TryGiveBack(mapping, elsewhere: false, outcome, out _))
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
        if (TryGiveBack(mapping, elsewhere, error, out _))
        {
            Pump();
        }
    }

    /// <summary>Nobody has sent the byte at this offset in time: it is asked of another server, and no longer of its present one.</summary>
    public void GiveBackAt(long offset, KwikError error)
    {
        StreamMapping? late;
        lock (_gate)
        {
            late = _asked.Values.FirstOrDefault(mapping => mapping.Offset <= offset && offset < mapping.End);
        }

        if (late is null)
        {
            return;
        }

        Cancel([late]);
        if (TryGiveBack(late, elsewhere: true, error, out KwikPath? path))
        {
            path.Control.Send(new ControlFrame { RangeCancel = new RangeCancel { RequestId = (ulong)late.RequestId } });
            Pump();
        }
    }

    /// <summary>The range is no longer this path's; false when it was not any more.</summary>
    private bool TryGiveBack(StreamMapping mapping, bool elsewhere, KwikError error, [NotNullWhen(true)] out KwikPath? path)
    {
        path = null;
        lock (_gate)
        {
            if (!TakeBackLocked(mapping, error))
            {
                return false;
            }

            path = _sources[mapping.PathId].Path;
            _scheduler.GiveBack(mapping.RequestId, elsewhere);
        }

        path.CountRequests(-1);
        return true;
    }

    /// <summary>The request is no longer open; false when it was not any more. What is missing of it is news, unless nothing went wrong.</summary>
    private bool TakeBackLocked(StreamMapping mapping, KwikError error)
    {
        if (!_asked.Remove(mapping.RequestId))
        {
            return false;
        }

        if (error != KwikError.None && _scheduler.Missing(mapping.RequestId) is (long offset, long length))
        {
            _stream.Raise(new PieceFetchedAgain(offset, length, mapping.PathId, error));
        }

        return true;
    }

    private bool TryAsk([NotNullWhen(true)] out KwikPath? path, [NotNullWhen(true)] out RangeRequest? request)
    {
        (path, request) = (null, null);
        lock (_gate)
        {
            if (_ended || !TryLease(out RangeLease lease))
            {
                return false;
            }

            Source source = _sources[lease.Source];
            path = source.Path;
            request = new RangeRequest
            {
                RequestId = (ulong)lease.RequestId,
                KwikStreamId = (ulong)_stream.Id,
                Root = _root,
                Offset = (ulong)lease.Offset,
                Length = (ulong)lease.Length,
                Grant = source.HasGrant || path.Role == ServerRole.Primary ? ByteString.Empty : _grant,
            };
            source.HasGrant = true;
            var mapping = new StreamMapping(path.Id, lease.RequestId, _stream, lease.Offset, lease.Length, this);
            _asked.Add(lease.RequestId, mapping);
            _mappings.Expect(mapping);
        }

        return true;
    }

    /// <summary>A lease together with its place among the outstanding requests of its path.</summary>
    private bool TryLease(out RangeLease lease)
    {
        // The stream's lock is taken inside ours.
        while (_scheduler.TryLease(
            _stream.Incoming.TakenBytes, out lease, id => _sources[id].Path.TakesRequests, _stream.Incoming.Reserve))
        {
            if (_sources[lease.Source].Path.TryTakeRequest())
            {
                return true;
            }

            // Another stream took the last place in between.
            _scheduler.GiveBack(lease.RequestId);
        }

        return false;
    }

    private void Cancel(List<StreamMapping> mappings)
    {
        foreach (StreamMapping mapping in mappings)
        {
            _mappings.Forget(mapping);
            mapping.Cancel();
        }
    }
}
