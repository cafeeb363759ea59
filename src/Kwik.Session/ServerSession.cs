using System.Net;
using System.Threading.Channels;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using Microsoft.Extensions.Logging;

namespace Kwik.Sessions;

/// <summary>What a server session is made of: a connection that has been admitted.</summary>
internal sealed record ServerLink(
    ITransportConnection Connection, ControlChannel Control, KwikListenerOptions Options, SessionEnvironment Environment);

/// <summary>
/// One client, seen from a server. Which kind of server it is, is the type: a <see cref="SecondarySession"/> has no way
/// to open a public stream. Safe for concurrent use.
/// </summary>
public abstract partial class ServerSession : IAsyncDisposable, IMeasuredSession
{
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ILogger _log;
    private readonly RangeServer? _ranges;
    private readonly LeafHashServer? _leafHashes;
    private readonly InboundStreams _inbound;
    private readonly DateTimeOffset _began;
    private KwikException? _goodbye;
    private KwikException? _ended;
    private long _lastHeard;
    private int _closing;

    private protected ServerSession(ServerLink link, Guid id)
    {
        Link = link;
        Id = id;
        Pushed = new PushedStreams(link.Connection, link.Environment.Pool, link.Environment.Time);
        _log = link.Options.LoggerFactory.CreateLogger(GetType());
        Budget = FrameBudget.OfPeer(link.Environment.Time, link.Options.MaxPublicStreams);
        _rawBudget = new TokenBucket(link.Environment.Time, FrameBudget.RawDataPerSecond, FrameBudget.RawDataPerSecond);
        Contents = new ContentUses(link.Environment.Time, EventQueue);
        _inbound = new InboundStreams(link.Connection, link.Environment.Time, Dispatch);
        _began = link.Environment.Time.GetUtcNow();
        _lastHeard = link.Environment.Time.GetTimestamp();
        if (link.Options.ContentProvider is { } provider)
        {
            _ranges = new RangeServer(
                link.Connection, link.Control, provider, Admits, Budget, link.Options.MaxRangeRequests, link.Environment.Pool)
            {
                Served = (request, bytes, _) => Contents.Count((long)request.KwikStreamId, (long)request.Offset, bytes),
            };
            _leafHashes = new LeafHashServer(link.Control, provider, Admits, Budget);
        }
    }

    /// <summary>Names the session on every server that takes part in it.</summary>
    public Guid Id { get; }

    /// <summary>The key that the client proved to hold.</summary>
    public KeyHash ClientKey => Link.Connection.PeerKey;

    /// <summary>The client's address.</summary>
    public IPEndPoint RemoteEndPoint => Link.Connection.RemoteEndPoint;

    /// <summary>Ends when the session has, whatever the reason. Never faults.</summary>
    public Task Closed => _closed.Task;

    /// <summary>
    /// What the session found out by itself. Ends when the session has; 1,024 events are kept, then the oldest go.
    /// </summary>
    public ChannelReader<SessionEvent> Events => EventQueue.Reader;

    SessionSide IMeasuredSession.Side => this is PrimarySession ? SessionSide.Primary : SessionSide.Secondary;

    SessionCounts IMeasuredSession.Count()
    {
        SessionCounts counts = CountStreams();
        return counts with { Sent = counts.Sent + Pushed.Sent + (_ranges?.Sent ?? 0) };
    }

    IReadOnlyList<PathInfo> IMeasuredSession.PathsNow() => [];

    IReadOnlyList<StreamSample> IMeasuredSession.StreamsNow() => SampleStreams();

    private protected ServerLink Link { get; }

    /// <summary>Set before anybody has the session.</summary>
    private protected SessionObserver? Observer { get; private set; }

    /// <summary>The Internal streams that the application writes.</summary>
    private protected PushedStreams Pushed { get; }

    private protected SessionEventQueue EventQueue { get; } = new();

    /// <summary>
    /// Closes the session: what was written to its streams has 5 s to arrive. May be called twice, from anywhere; every call
    /// returns when the session has ended, which is after 20 s at the latest: 10 s for streams that the client neither takes nor
    /// ends, and 10 s for its answer to the goodbye. A content provider that does not end its calls when they are cancelled, and a
    /// qlog that does not take its last records, for 5 s, come on top.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        await CloseAsync(KwikError.None, "");
        GC.SuppressFinalize(this);
    }

    /// <summary>
    /// Closes the session as <see cref="DisposeAsync"/> does, and tells the client why: the calls of a primary's client
    /// fail with <paramref name="code"/>, in a message that contains <paramref name="reason"/>; a secondary's client goes on
    /// without it. Only the first call's reason is told.
    /// </summary>
    /// <param name="code">None: a normal end.</param>
    /// <param name="reason">For people; at most 512 bytes of UTF-8, what is longer is cut.</param>
    public async ValueTask CloseAsync(KwikError code, string reason)
    {
        ArgumentNullException.ThrowIfNull(reason);
        if (Interlocked.Exchange(ref _closing, 1) == 0)
        {
            await CloseStreamsAsync();
            Contents.CloseAll(code == KwikError.None ? KwikError.Cancelled : code);
            Link.Control.Send(SessionGoodbye.Write(code, reason));
            await Link.Control.CloseAsync(SessionTimeouts.Close, Link.Environment.Time);
            // The client closes the connection when it has read this; closing it here might overtake what was written.
            // One that does not is left without.
            await Background.EndsWithinAsync(() => Closed, SessionTimeouts.Close, Link.Environment.Time);
            Stop();
        }

        await Closed;
    }

    /// <summary>Ends the session at once.</summary>
    internal void Stop() => _stop.Cancel();

    /// <summary>What the session does is seen from now on: once, before anybody has it.</summary>
    internal void Observe()
    {
        Observer = new SessionObserver(Link.Environment, this, Id, RemoteEndPoint, Link.Options.Qlog, _log);
        if (Observer.Qlog is { } qlog)
        {
            EventQueue.Observed = qlog.Happened;
            if (_ranges is not null)
            {
                _ranges.Served += qlog.RangeServed;
            }
        }
    }

    /// <summary>Serves the connection until it ends; after <see cref="Observe"/>. Never throws.</summary>
    internal async Task RunAsync(CancellationToken stopping)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(stopping, _stop.Token);
        List<Func<CancellationToken, Task>> loops = [_ => ReceiveControlAsync(), _inbound.RunAsync];
        if (_ranges is not null)
        {
            loops.AddRange([_ranges.RunAsync, _ranges.RunUrgentAsync, _leafHashes!.RunAsync]);
        }

        loops.AddRange(Loops(() => _inbound.CountViolation()));

        try
        {
            await ConnectionLoops.RunAsync(Link.Connection, Link.Control, loops, OnEnded, either.Token);
            await _inbound.JoinAsync();
            await (_ranges?.JoinAsync() ?? Task.CompletedTask);
        }
        finally
        {
            _rawData.Complete();
            EventQueue.Complete();
            await Observer!.EndAsync(_ended?.Code ?? KwikError.Internal, _ended?.Message);
            _closed.TrySetResult();
        }
    }

    /// <summary>The path between this server and its client, as this server sees it.</summary>
    private protected PathInfo DescribeOwnPath(int pathId, ServerRole role)
    {
        PathState state = _ended is null ? PathState.Active
            : _ended.Code == KwikError.None ? PathState.Removed
            : PathState.Dead;
        TimeProvider time = Link.Environment.Time;
        DateTimeOffset lastActivity = time.GetUtcNow() - time.GetElapsedTime(Interlocked.Read(ref _lastHeard));
        return new(pathId, role, Link.Connection.LocalEndPoint, state, _began, lastActivity, null, 0, _inbound.Violations);
    }

    /// <summary>The public streams in numbers, where there are any.</summary>
    private protected virtual SessionCounts CountStreams() => default;

    private protected virtual IReadOnlyList<StreamSample> SampleStreams() => [];

    /// <summary>True when this client may have these bytes.</summary>
    private protected abstract bool Admits(ContentAccess access);

    /// <summary>True when this server may still send the byte at this offset of a public stream without being asked.</summary>
    private protected virtual bool MayPush(long streamId, long offset) => Pushed.MayDeliver(streamId, offset);

    /// <summary>What else a role runs for as long as its connection; each tells of a rule that the client breaks.</summary>
    private protected virtual IEnumerable<Func<CancellationToken, Task>> Loops(Action ruleBroken) => [];

    /// <summary>Takes over a stream that the client opened, or returns the code that it is to be aborted with.</summary>
    private protected abstract KwikError Dispatch(StreamHeader header, ITransportStream stream);

    /// <summary>A control frame that every role treats in its own way; others are ignored, as version 1 demands.</summary>
    private protected abstract void OnControl(ControlFrame frame);

    /// <summary>The connection ended for this reason.</summary>
    private protected abstract void OnEnding(KwikException reason);

    private protected abstract Task CloseStreamsAsync();

    /// <summary>The client has said goodbye: takes from the connection what it sent before.</summary>
    private protected virtual Task DrainAsync() => Task.CompletedTask;

    /// <summary>A client misses bytes: tells it whether they are on their way.</summary>
    private void Synchronise(OffsetSyncRequest request)
    {
        (long streamId, long offset) = ((long)request.KwikStreamId, (long)request.CurrentOffset);
        if (request.KwikStreamId > StreamFrame.MaxOffset || request.CurrentOffset >= request.EndOffset || request.EndOffset > StreamFrame.MaxOffset)
        {
            throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"A question about stream {request.KwikStreamId} has values out of range.");
        }

        bool comes = MayPush(streamId, offset) || _ranges?.Holds(streamId, offset) == true;
        Link.Control.Send(new ControlFrame
        {
            OffsetSyncResponse = new OffsetSyncResponse
            {
                KwikStreamId = request.KwikStreamId,
                ExpectedOffset = comes ? request.CurrentOffset : request.EndOffset,
                SyncRequired = !comes,
            },
        });
    }

    private void OnEnded(KwikException reason)
    {
        reason = _goodbye ?? reason;
        _ended = reason;
        SessionLog.SessionEnded(_log, Id, RemoteEndPoint, reason.Code, reason.Message);
        OnEnding(reason);
        Contents.CloseAll(reason.Code);
    }

    private async Task ReceiveControlAsync()
    {
        while (await Link.Control.ReceiveAsync() is { } frame)
        {
            Interlocked.Exchange(ref _lastHeard, Link.Environment.Time.GetTimestamp());
            if (!Budget.TryTake())
            {
                throw new KwikException(
                    KwikError.LimitExceeded, KwikErrorSide.Remote, $"More than {FrameBudget.FramesPerSecond} control frames a second came.");
            }

            if (TryTakeRawData(frame))
            {
                continue;
            }

            switch (frame.BodyCase)
            {
                case ControlFrame.BodyOneofCase.Heartbeat:
                    Link.Control.Send(
                        new ControlFrame { HeartbeatAck = new HeartbeatAck { Sequence = frame.Heartbeat.Sequence } }, urgent: true);
                    break;
                case ControlFrame.BodyOneofCase.RangeRequest when _ranges is not null:
                    _ranges.Enqueue(frame.RangeRequest);
                    break;
                case ControlFrame.BodyOneofCase.RangeRequest:
                    Link.Control.Send(new ControlFrame
                    {
                        RangeRefused = new RangeRefused
                        {
                            RequestId = frame.RangeRequest.RequestId,
                            ErrorCode = (ulong)KwikError.NotFound,
                        },
                    });
                    break;
                case ControlFrame.BodyOneofCase.LeafHashRequest:
                    // Who serves no content refuses the range that these hashes are for.
                    _leafHashes?.Enqueue(frame.LeafHashRequest);
                    break;
                case ControlFrame.BodyOneofCase.RangeCancel:
                    _ranges?.Cancel(frame.RangeCancel.RequestId);
                    break;
                case ControlFrame.BodyOneofCase.OffsetSyncRequest:
                    Synchronise(frame.OffsetSyncRequest);
                    break;
                case ControlFrame.BodyOneofCase.SessionClose:
                    _goodbye = SessionGoodbye.Read(frame.SessionClose);
                    await DrainAsync();
                    return;
                case ControlFrame.BodyOneofCase.Authenticate:
                    throw new KwikException(
                        KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, "Authenticate comes once, and first.");
                default:
                    OnControl(frame);
                    break;
            }
        }
    }
}
