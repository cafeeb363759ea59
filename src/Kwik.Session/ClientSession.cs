using System.Diagnostics;
using System.Threading.Channels;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using Microsoft.Extensions.Logging;
using ContentOffer = Kwik.Data.ContentOffer;

namespace Kwik.Sessions;

/// <summary>
/// A client's session: one connection to a primary server, which alone opens streams here, and connections to the
/// secondary servers that the primary names. Safe for concurrent use.
/// </summary>
/// <remarks>
/// Ends with its primary connection: every stream then fails with <see cref="KwikError.PrimaryLost"/>, or with the code
/// with which the primary closed the session. A secondary that is lost costs time, not bytes, and is connected again for
/// as long as <see cref="KwikClientOptions.PathRecoveryTime"/> says.
/// </remarks>
public sealed partial class ClientSession : IAsyncDisposable, IStreamOwner, IMeasuredSession
{
    private readonly KwikClientOptions _options;
    private readonly SessionEnvironment _environment;
    private readonly ILogger _log;
    private readonly TransportConnectOptions _target;
    private readonly KwikPath _primary;
    private readonly PathEntry _primaryPath;
    private readonly PendingBudget _pending;
    private readonly MessagePace _messagePace;
    private readonly PublicStreams _streams;
    private readonly StreamMappingManager _mappings = new();
    private readonly SecondaryStreamHandler _secondaries;
    private readonly SessionEventQueue _events = new();
    private readonly PathTable _paths;
    private readonly SessionObserver _observer;
    private readonly TaskSet _beside = new();
    private readonly CancellationTokenSource _stopping = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<long, ContentFetch> _fetches = [];
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _running = Task.CompletedTask;
    private long _lastRequestId;
    private int _closing;

    private ClientSession(
        KwikClientOptions options, SessionEnvironment environment, TransportConnectOptions target, KwikPath primary, Guid id)
    {
        _options = options;
        _environment = environment;
        _log = options.LoggerFactory.CreateLogger<ClientSession>();
        _target = target;
        _primary = primary;
        Id = id;
        _pending = new PendingBudget(options.MaxPendingBytes);
        _messagePace = new MessagePace(environment.Time, options.MessageRate);
        _streams = new PublicStreams(primary.Connection, this, options.Aggregation, environment.Pool, _pending, options.MaxPublicStreams);
        _secondaries = new SecondaryStreamHandler(this, _mappings, options.SecondaryStreams, environment.Time, environment.Pool);
        _recovery = new RecoveryTable(options.Recovery.Rules);
        _offsets = new MultiSourceOffsetManager(options.Recovery, environment.Time);
        _paths = new PathTable(options.MaxPaths, environment.Time, _events);
        _primaryPath = _paths.AddPrimary(primary, _stopping);
        // Last: it is measured from now on.
        _observer = new SessionObserver(environment, this, id, primary.Connection.RemoteEndPoint, options.Qlog, _log);
        if (_observer.Qlog is { } qlog)
        {
            qlog.PathFound(_paths.Snapshot().Single());
            _events.Observed = qlog.Happened;
            _streams.Opened = qlog.StreamOpened;
            _mappings.Changed = qlog.MappingChanged;
        }
    }

    /// <summary>Names the session on every server; chosen by the primary.</summary>
    public Guid Id { get; }

    /// <summary>Ends when the session has: normally after a close by either side, else with the reason.</summary>
    public Task Closed => _closed.Task;

    /// <summary>
    /// Bytes that wait ahead of the readers of all streams, or that servers have been asked for to go there:
    /// <see cref="KwikClientOptions.MaxPendingBytes"/>.
    /// </summary>
    public long PendingBytes => _pending.Used;

    // Streams are made when the session is whole.
    Action<long, int, long, long>? IStreamOwner.Placed => _observer.Qlog is { } qlog ? qlog.Placed : null;

    SessionSide IMeasuredSession.Side => SessionSide.Client;

    TimeProvider IStreamOwner.Time => _environment.Time;

    MessagePace? IStreamOwner.MessagePace => _messagePace;

    SessionCounts IMeasuredSession.Count()
    {
        SessionCounts counts = _streams.Count();
        (long primary, long secondaries) = _paths.CountReceived();
        return counts with { FromPrimary = counts.FromPrimary + primary, FromSecondaries = secondaries };
    }

    IReadOnlyList<PathInfo> IMeasuredSession.PathsNow() => [.. _paths.Snapshot().Where(path => path.State != PathState.Removed)];

    IReadOnlyList<StreamSample> IMeasuredSession.StreamsNow() => _streams.Sample();

    internal static async Task<ClientSession> ConnectAsync(
        KwikClientOptions options, SessionEnvironment environment, CancellationToken cancellationToken)
    {
        TransportConnectOptions target = await TargetAsync(options, environment.Time, cancellationToken);
        (KwikPath primary, Authenticated answer) = await PathConnector.ConnectAsync(
            environment, target, pathId: 0, new Authenticate { Role = Role.Primary }, session: default, cancellationToken);
        var session = new ClientSession(options, environment, target, primary, new Guid(answer.SessionId.Span, bigEndian: true));
        session._running = Background.Start(session.RunAsync);
        return session;
    }

    /// <summary>Opens a public stream to the primary, waiting while its limit is reached.</summary>
    /// <exception cref="KwikException">The session has ended.</exception>
    public Task<KwikStream> OpenStreamSync(CancellationToken cancellationToken = default) => _streams.OpenAsync(cancellationToken);

    /// <summary>The next public stream that the primary opened. Never a stream of any other server.</summary>
    /// <exception cref="KwikException">The session has ended.</exception>
    public Task<KwikStream> AcceptStream(CancellationToken cancellationToken = default) => _streams.AcceptAsync(cancellationToken);

    /// <summary>
    /// What the session found out by itself. Ends when the session has; 1,024 events are kept, then the oldest go.
    /// </summary>
    public ChannelReader<SessionEvent> Events => _events.Reader;

    /// <summary>
    /// Every path of the session: those that are being connected too, and the lost ones; of those that were removed the
    /// last 64.
    /// </summary>
    public IReadOnlyList<PathInfo> GetAllPaths() => _paths.Snapshot();

    /// <summary>The paths that data can be asked of now: Active and Degraded.</summary>
    public IReadOnlyList<PathInfo> GetActivePaths() => [.. _paths.Snapshot().Where(path => PathStates.Serves(path.State))];

    /// <summary>The paths that were lost and may come back: Dead and Recovering.</summary>
    public IReadOnlyList<PathInfo> GetDeadPaths() => [.. _paths.Snapshot().Where(path => PathStates.IsLost(path.State))];

    /// <summary>
    /// Closes the streams, each with a bounded time for what was written, then every connection. May be called twice, from
    /// anywhere, at any moment; every call returns when the session has ended.
    /// </summary>
    public ValueTask DisposeAsync() => CloseAsync(KwikError.None, "");

    /// <summary>
    /// Closes the session as <see cref="DisposeAsync"/> does, and tells the servers why: the calls of the primary's
    /// application fail with <paramref name="code"/>, in a message that contains <paramref name="reason"/>. Only the first
    /// call's reason is told.
    /// </summary>
    /// <param name="code">None: a normal end.</param>
    /// <param name="reason">For people; at most 512 bytes of UTF-8, what is longer is cut.</param>
    public async ValueTask CloseAsync(KwikError code, string reason)
    {
        ArgumentNullException.ThrowIfNull(reason);
        if (Interlocked.Exchange(ref _closing, 1) == 0)
        {
            await _streams.CloseAsync();
            await Task.WhenAll(_paths.Alive().Select(path => path.SayGoodbyeAsync(code, reason)));
            _stopping.Cancel();
        }

        await _running;
    }

    bool IStreamOwner.Pushes => false;

    Task<SecondaryStream> IStreamOwner.OpenSecondaryAsync(CancellationToken cancellationToken) => throw new UnreachableException();

    ValueTask IStreamOwner.OfferAsync(KwikStream stream, ContentOffer offer, CancellationToken cancellationToken) =>
        throw new InvalidOperationException("Only a primary server offers content.");

    void IStreamOwner.StreamClosed(KwikStream stream)
    {
        _observer.Holes.Look(stream.Id, null);
        _observer.Qlog?.StreamClosed(stream);
        _streams.Remove(stream);
        bool hadGrants = _secondaries.CloseTarget(stream.Id);
        _offsets.Forget(stream.Id);
        // Its offer: the limit of public streams bounds these.
        _primary.Budget?.GiveBack();
        ContentFetch? fetch;
        lock (_gate)
        {
            _fetches.Remove(stream.Id, out fetch);
            _recovery.Forget(stream.Id);
        }

        fetch?.End();
        EndWhenNothingIsFetched();
        foreach (KwikPath path in fetch is not null ? _paths.Alive() : stream.Offer is not null || hadGrants ? [_primary] : [])
        {
            TellClosed(path, stream.Id);
        }
    }

    /// <summary>Offers and grants for the stream can be forgotten.</summary>
    private static void TellClosed(KwikPath path, long streamId) =>
        path.Control.Send(new ControlFrame { StreamClosed = new StreamClosed { KwikStreamId = (ulong)streamId } });

    private static async Task<TransportConnectOptions> TargetAsync(
        KwikClientOptions options, TimeProvider time, CancellationToken cancellationToken)
    {
        (string host, int port) = options.Primary is System.Net.DnsEndPoint name
            ? (name.Host, name.Port)
            : (((System.Net.IPEndPoint)options.Primary).Address.ToString(), ((System.Net.IPEndPoint)options.Primary).Port);
        return new TransportConnectOptions
        {
            RemoteEndPoint = await AddressResolver.ResolveAsync(host, port, cancellationToken),
            ServerName = options.ServerName ?? host,
            Pins = options.Pins,
            TrustedRoots = options.TrustedRoots,
            AcceptAnyServer = options.AcceptAnyPrimary,
            ClientCertificate = options.ClientCertificate
                ?? KwikCertificate.CreateSelfSigned(["kwik-client"], TimeSpan.FromDays(30), time.GetUtcNow()),
            HandshakeTimeout = options.ConnectTimeout,
            InboundBidirectionalStreams = 2 * options.MaxPublicStreams,
            InboundUnidirectionalStreams = options.SecondaryStreams.MaxStreamsPerPath,
        };
    }

    /// <summary>
    /// Lives as long as the primary connection, or for as long as others send what it had offered, and then waits for
    /// everything else to end.
    /// </summary>
    private async Task RunAsync()
    {
        try
        {
            _beside.Start(() => SweepAsync(_stopping.Token));
            await RunPathAsync(_primaryPath, _primary);
            await _beside.JoinAsync();
        }
        finally
        {
            _events.Complete();
            await _observer.EndAsync(_primary.Fault?.Code ?? KwikError.None, _primary.Fault?.Message);
            CompleteClosed();
        }
    }

    private void CompleteClosed()
    {
        if (_primary.Fault is { Code: not KwikError.None } fault)
        {
            _closed.TrySetException(fault);
            _ = _closed.Task.Exception;
        }
        else
        {
            _closed.TrySetResult();
        }
    }
}
