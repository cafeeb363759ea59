using System.Net;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// A client's connection to one server, once it is authenticated: its control channel, its heartbeat, and what is known
/// about it. Safe for concurrent use.
/// </summary>
internal sealed class KwikPath
{
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly AsyncSignal _busyChanged = new();
    private PathState _state = PathState.Active;
    private DateTimeOffset _since;
    private long _lastHeard;
    private TimeSpan? _roundTrip;
    private long _bytesReceived;
    private ulong _heartbeatSequence;
    private long _heartbeatSentAt;
    private int _unanswered;
    private int _outstanding;
    private int _violations;
    private readonly TaskCompletionSource _isolated = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public KwikPath(int id, ServerRole role, ITransportConnection connection, ControlChannel control, int maxRequests, TimeProvider time)
    {
        Id = id;
        Role = role;
        Connection = connection;
        Control = control;
        MaxRequests = maxRequests;
        _time = time;
        _since = time.GetUtcNow();
        _lastHeard = time.GetTimestamp();
    }

    public int Id { get; }

    public ServerRole Role { get; }

    public ITransportConnection Connection { get; }

    public ControlChannel Control { get; }

    /// <summary>Range requests that the server lets be outstanding.</summary>
    public int MaxRequests { get; }

    /// <summary>Why the path was lost; null while it is alive.</summary>
    public KwikException? Fault { get; private set; }

    /// <summary>Runs when the server takes requests again after as many were outstanding as it allows.</summary>
    public Action? HasRoomAgain { get; set; }

    /// <summary>True while the connection serves.</summary>
    public bool IsActive
    {
        get
        {
            lock (_gate)
            {
                return _state == PathState.Active;
            }
        }
    }

    /// <summary>True when another range may be asked for.</summary>
    public bool TakesRequests
    {
        get
        {
            lock (_gate)
            {
                return _state == PathState.Active && _outstanding < MaxRequests;
            }
        }
    }

    public PathInfo Snapshot()
    {
        lock (_gate)
        {
            DateTimeOffset lastActivity = _time.GetUtcNow() - _time.GetElapsedTime(_lastHeard);
            return new(Id, Role, Connection.RemoteEndPoint, _state, _since, lastActivity, _roundTrip, _bytesReceived);
        }
    }

    /// <summary>Ranges were asked for, or their answers ended. Not to be called under a lock.</summary>
    public void CountRequests(int change)
    {
        bool becameBusy;
        bool hasRoomAgain;
        lock (_gate)
        {
            becameBusy = _outstanding == 0 && change > 0;
            hasRoomAgain = _outstanding >= MaxRequests && _outstanding + change < MaxRequests;
            _outstanding += change;
        }

        if (becameBusy)
        {
            _busyChanged.Set();
        }

        if (hasRoomAgain)
        {
            HasRoomAgain?.Invoke();
        }
    }

    /// <summary>The server broke a rule; after <see cref="InboundStreams.ViolationLimit"/> times its path is taken out.</summary>
    public void CountViolation()
    {
        if (Interlocked.Increment(ref _violations) > InboundStreams.ViolationLimit)
        {
            Isolate(new KwikException(
                KwikError.LimitExceeded,
                KwikErrorSide.Remote,
                $"{Connection.RemoteEndPoint} broke rules more than {InboundStreams.ViolationLimit} times.",
                null,
                Id));
        }
    }

    /// <summary>True when the server's own doing took the path out of the session: it does not come back.</summary>
    public bool IsIsolated => _isolated.Task.IsFaulted;

    /// <summary>Takes the path out of the session, for this reason.</summary>
    public void Isolate(KwikException reason) => _isolated.TrySetException(reason);

    /// <summary>Ends with the reason when the path is isolated.</summary>
    public Task AwaitIsolationAsync(CancellationToken cancellationToken) => WaitAsync(_isolated).WaitAsync(cancellationToken);

    /// <summary>Payload arrived.</summary>
    public void CountBytes(long bytes)
    {
        lock (_gate)
        {
            _bytesReceived += bytes;
            _lastHeard = _time.GetTimestamp();
            _unanswered = 0;
        }
    }

    /// <summary>A control frame arrived; an answer to the last heartbeat gives the round trip.</summary>
    public void Heard(HeartbeatAck? ack = null)
    {
        lock (_gate)
        {
            _lastHeard = _time.GetTimestamp();
            _unanswered = 0;
            if (ack?.Sequence == _heartbeatSequence)
            {
                _roundTrip = _time.GetElapsedTime(_heartbeatSentAt, _lastHeard);
            }
        }
    }

    /// <summary>The connection has ended.</summary>
    public void End(PathState state, KwikException reason)
    {
        lock (_gate)
        {
            _state = state;
            _since = _time.GetUtcNow();
            Fault = reason;
        }
    }

    /// <summary>
    /// Sends heartbeats until <see cref="SessionTimeouts.MissedHeartbeats"/> of them in a row stay without any sign of
    /// life; then throws. Counts heartbeats and not time, so that a process that was stopped itself does not blame its peers.
    /// </summary>
    public async Task BeatAsync(CancellationToken cancellationToken)
    {
        while (TryBeat(out TimeSpan interval))
        {
            await WaitAsync(interval, cancellationToken);
        }

        throw new KwikException(
            KwikError.Timeout,
            KwikErrorSide.Network,
            $"Path {Id} to {Connection.RemoteEndPoint} left {SessionTimeouts.MissedHeartbeats} heartbeats unanswered.",
            null,
            Id);
    }

    // WaitAsync on the source's own task would continue on the thread pool: docs/adr/0002.
    private static async Task WaitAsync(TaskCompletionSource source) => await source.Task;

    private bool TryBeat(out TimeSpan interval)
    {
        Heartbeat heartbeat;
        lock (_gate)
        {
            interval = _outstanding > 0 ? SessionTimeouts.BusyHeartbeat : SessionTimeouts.IdleHeartbeat;
            if (_unanswered == SessionTimeouts.MissedHeartbeats)
            {
                return false;
            }

            _unanswered++;
            heartbeat = new Heartbeat { Sequence = ++_heartbeatSequence };
            _heartbeatSentAt = _time.GetTimestamp();
        }

        Control.Send(new ControlFrame { Heartbeat = heartbeat }, urgent: true);
        return true;
    }

    private TimeSpan SinceHeartbeat()
    {
        lock (_gate)
        {
            return _time.GetElapsedTime(_heartbeatSentAt);
        }
    }

    /// <summary>Waits for the next heartbeat, which comes sooner when the path becomes busy and its silence starts to matter.</summary>
    private async Task WaitAsync(TimeSpan interval, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(interval, _time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        try
        {
            await _busyChanged.WaitAsync(either.Token);

            // Busy from now on: the next heartbeat is due a busy interval after the last one, not at once.
            TimeSpan rest = SessionTimeouts.BusyHeartbeat - SinceHeartbeat();
            if (rest > TimeSpan.Zero)
            {
                await Task.Delay(rest, _time, cancellationToken);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // The interval is over.
        }
    }
}
