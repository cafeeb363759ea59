using System.Net;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// A client's connection to one server, once it is authenticated: its control channel, its heartbeat, and what is known
/// about it. A path that is recovered gets another one. Safe for concurrent use.
/// </summary>
internal sealed class KwikPath
{
    private readonly TimeProvider _time;
    private readonly Lock _gate = new();
    private readonly AsyncSignal _busyChanged = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _isolated = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ulong _highestCarried;
    private long _lastHeard;
    private TimeSpan _roundTrip;
    private long _bytesReceived;
    private ulong _heartbeatSequence;
    private long _heartbeatSentAt;
    private int _unanswered;
    private bool _silent;
    private int _outstanding;
    private int _limit;
    private bool _retired;

    /// <param name="id">Number of the path in its session.</param>
    /// <param name="role">Of the server.</param>
    /// <param name="connection">Authenticated.</param>
    /// <param name="control">Its control stream.</param>
    /// <param name="maxRequests">Ranges that the server lets be outstanding.</param>
    /// <param name="roundTrip">How long the authentication took.</param>
    /// <param name="time">The session's clock.</param>
    public KwikPath(
        int id,
        ServerRole role,
        ITransportConnection connection,
        ControlChannel control,
        int maxRequests,
        TimeSpan roundTrip,
        TimeProvider time)
    {
        Id = id;
        Role = role;
        Connection = connection;
        Control = control;
        _limit = maxRequests;
        _roundTrip = roundTrip;
        CarryBudget = new TokenBucket(time, FrameBudget.CarriedPerSecond, FrameBudget.CarriedPerSecond);
        _time = time;
        _lastHeard = time.GetTimestamp();
    }

    public int Id { get; }

    public ServerRole Role { get; }

    public ITransportConnection Connection { get; }

    public ControlChannel Control { get; }

    /// <summary>What the server may send on this connection; set before anything is received.</summary>
    public TokenBucket? Budget { get; set; }

    /// <summary>Raw data, and refusals of it, that are carried to the server.</summary>
    public TokenBucket CarryBudget { get; }

    /// <summary>The highest number of raw data that was carried to the server; 0 before the first.</summary>
    public ulong HighestCarried => Volatile.Read(ref _highestCarried);

    /// <summary>Why the connection ended; null while it lives.</summary>
    public KwikException? Fault { get; private set; }

    /// <summary>What the server said when it closed the session; null when it said nothing.</summary>
    public KwikException? Goodbye { get; set; }

    /// <summary>The streams that the server opens; null before they are accepted.</summary>
    public InboundStreams? Inbound { get; set; }

    /// <summary>Streams of the server's that broke a rule.</summary>
    public int Violations => Inbound?.Violations ?? 0;

    /// <summary>Runs when the server takes requests again after as many were outstanding as it allows.</summary>
    public Action? HasRoomAgain { get; set; }

    /// <summary>Runs when the server falls silent, and when it is heard again.</summary>
    public Action<PathInput>? Noticed { get; set; }

    /// <summary>Runs with each heartbeat.</summary>
    public Action? Beaten { get; set; }

    /// <summary>True when another range may be asked for; somebody else may be faster.</summary>
    public bool TakesRequests
    {
        get
        {
            lock (_gate)
            {
                return !_retired && _outstanding < _limit;
            }
        }
    }

    /// <summary>Of the last heartbeat that was answered before the next one; of the authentication before the first.</summary>
    public TimeSpan RoundTrip
    {
        get
        {
            lock (_gate)
            {
                return _roundTrip;
            }
        }
    }

    /// <summary>Payload received for public streams.</summary>
    public long BytesReceived
    {
        get
        {
            lock (_gate)
            {
                return _bytesReceived;
            }
        }
    }

    /// <summary>When something was last heard of the server.</summary>
    public DateTimeOffset LastActivity
    {
        get
        {
            lock (_gate)
            {
                return _time.GetUtcNow() - _time.GetElapsedTime(_lastHeard);
            }
        }
    }

    /// <summary>Carries raw data to the server, if it takes more now.</summary>
    public bool TryCarry(ControlFrame frame)
    {
        if (!CarryBudget.TryTake())
        {
            return false;
        }

        // Before it is sent: the server may refuse it at once. Servers number what they send, but may send it in another order.
        lock (_gate)
        {
            _highestCarried = Math.Max(_highestCarried, frame.RawData.Id);
        }

        return Control.TrySendRaw(frame);
    }

    /// <summary>Takes a place for one more outstanding range, if there is one.</summary>
    public bool TryTakeRequest()
    {
        bool becameBusy;
        lock (_gate)
        {
            if (_retired || _outstanding >= _limit)
            {
                return false;
            }

            becameBusy = _outstanding++ == 0;
        }

        if (becameBusy)
        {
            _busyChanged.Set();
        }

        return true;
    }

    /// <summary>The number of outstanding ranges fell. Not to be called under a lock.</summary>
    public void CountRequests(int change)
    {
        bool hasRoomAgain;
        lock (_gate)
        {
            hasRoomAgain = !_retired && _outstanding >= _limit && _outstanding + change < _limit;
            _outstanding += change;
        }

        if (hasRoomAgain)
        {
            HasRoomAgain?.Invoke();
        }
    }

    /// <summary>
    /// The server found a request to be one too many: no more are outstanding than without it from now on. False when it
    /// was the only one.
    /// </summary>
    public bool TryLowerLimit()
    {
        lock (_gate)
        {
            if (_outstanding <= 1)
            {
                return false;
            }

            _limit = _outstanding - 1;
            return true;
        }
    }

    /// <summary>Nothing more is asked on this connection.</summary>
    public void Retire()
    {
        lock (_gate)
        {
            _retired = true;
        }
    }

    /// <summary>The server broke a rule; after <see cref="InboundStreams.ViolationLimit"/> times its path is taken out.</summary>
    public void CountViolation()
    {
        if (Inbound?.CountViolation() > InboundStreams.ViolationLimit)
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
    public Task AwaitIsolationAsync(CancellationToken cancellationToken) => Background.WaitFor(_isolated).WaitAsync(cancellationToken);

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
        bool wasSilent;
        lock (_gate)
        {
            _lastHeard = _time.GetTimestamp();
            _unanswered = 0;
            (wasSilent, _silent) = (_silent, false);
            if (ack?.Sequence == _heartbeatSequence)
            {
                _roundTrip = _time.GetElapsedTime(_heartbeatSentAt, _lastHeard);
            }
        }

        if (wasSilent)
        {
            Noticed?.Invoke(PathInput.Heard);
        }
    }

    /// <summary>The connection has ended.</summary>
    public void End(KwikException reason)
    {
        lock (_gate)
        {
            _retired = true;
            Fault = reason;
        }

        _ended.TrySetResult();
    }

    /// <summary>
    /// Says goodbye, and waits a bounded time until the server has heard it: a connection that is closed at once may
    /// overtake what was written. Nothing is closed yet then.
    /// </summary>
    public async Task SayGoodbyeAsync(KwikError code, string reason)
    {
        Control.Send(SessionGoodbye.Write(code, reason));
        await Control.CloseAsync(SessionTimeouts.Close, _time);
        // A server that does not answer is left without.
        await Background.EndsWithinAsync(() => _ended.Task, SessionTimeouts.Close, _time);
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

    private bool TryBeat(out TimeSpan interval)
    {
        Heartbeat heartbeat;
        bool changed;
        bool silent;
        lock (_gate)
        {
            interval = IntervalLocked(_outstanding > 0 ? SessionTimeouts.BusyHeartbeat : SessionTimeouts.IdleHeartbeat);
            if (_unanswered == SessionTimeouts.MissedHeartbeats)
            {
                return false;
            }

            // Payload is a sign of life too, but is counted under other locks: it is noticed here.
            silent = _unanswered++ > 0;
            changed = silent != _silent;
            _silent = silent;
            heartbeat = new Heartbeat { Sequence = ++_heartbeatSequence };
            _heartbeatSentAt = _time.GetTimestamp();
        }

        Control.Send(new ControlFrame { Heartbeat = heartbeat }, urgent: true);
        if (changed)
        {
            Noticed?.Invoke(silent ? PathInput.Silent : PathInput.Heard);
        }

        Beaten?.Invoke();
        return true;
    }

    /// <summary>On a long path the answer to one heartbeat comes before the next one is due.</summary>
    private TimeSpan IntervalLocked(TimeSpan atLeast)
    {
        TimeSpan patience = 2 * _roundTrip;
        patience = patience < SessionTimeouts.LongestHeartbeat ? patience : SessionTimeouts.LongestHeartbeat;
        return patience > atLeast ? patience : atLeast;
    }

    private TimeSpan UntilBusyHeartbeat()
    {
        lock (_gate)
        {
            return IntervalLocked(SessionTimeouts.BusyHeartbeat) - _time.GetElapsedTime(_heartbeatSentAt);
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
            TimeSpan rest = UntilBusyHeartbeat();
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
