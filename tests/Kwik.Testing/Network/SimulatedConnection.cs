using System.Net;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Testing;

/// <summary>
/// One end of a simulated connection. Pings three times an idle timeout, as the product's QUIC does: a quiet connection
/// lives, and one without an answer dies after the idle timeout, counted from the first ping at the latest.
/// </summary>
internal sealed class SimulatedConnection : ITransportConnection
{
    private const int PingsPerIdleTimeout = 3;

    private readonly SimulatedWorld _world;
    private readonly SimulatedProcess _process;
    private readonly bool _isClient;
    private readonly TransportOptions _options;
    private readonly string _name;
    private readonly Dictionary<long, SimulatedStream> _streams = [];
    private readonly WaitQueue<SimulatedStream> _arrived;
    private readonly WaitQueue<bool>[] _openCredit;
    private readonly long[] _opened = new long[2];
    private readonly long[] _openedByPeer = new long[2];
    private readonly Queue<SendHalf> _blocked = [];
    private readonly TaskCompletionSource _closed = new();
    private SimulatedLink _link = null!;
    private EndReason? _end;
    private TimedEvent? _idleTimer;
    private TimeSpan _idleTimeout;
    private long _lastPacket;
    private bool _sentSinceReceived;
    private bool _closing;
    private bool _ackOnItsWay;
    private bool _ackOwed;
    private long _consumed;
    private long _announced;

    public SimulatedConnection(
        SimulatedWorld world,
        SimulatedProcess process,
        bool isClient,
        IPEndPoint localEndPoint,
        IPEndPoint remoteEndPoint,
        KeyHash peerKey,
        TransportOptions options)
    {
        _world = world;
        _process = process;
        _isClient = isClient;
        _options = options;
        LocalEndPoint = localEndPoint;
        RemoteEndPoint = remoteEndPoint;
        PeerKey = peerKey;
        _name = $"{process.Host} {localEndPoint.Port}->{remoteEndPoint}";
        _arrived = new WaitQueue<SimulatedStream>(world.Loop);
        _openCredit = [new WaitQueue<bool>(world.Loop), new WaitQueue<bool>(world.Loop)];
    }

    /// <inheritdoc/>
    public IPEndPoint RemoteEndPoint { get; }

    /// <inheritdoc/>
    public IPEndPoint LocalEndPoint { get; }

    /// <inheritdoc/>
    public KeyHash PeerKey { get; }

    public EventLoop Loop => _world.Loop;

    public bool IgnoresStopSending => _process.Host.IgnoresStopSending;

    public SimulatedConnection Peer { get; private set; } = null!;

    public int StreamWindow => _options.StreamWindow;

    public int OpenStreams => _streams.Count;

    /// <summary>Payload that this end may still send, all streams together.</summary>
    public long SendCredit { get; private set; }

    /// <summary>Ties this end to its peer, before either may be used.</summary>
    public void Begin(SimulatedConnection peer)
    {
        Peer = peer;
        _link = _world.Link(_process.Host, peer._process.Host);
        _idleTimeout = _options.IdleTimeout < peer._options.IdleTimeout ? _options.IdleTimeout : peer._options.IdleTimeout;
        _announced = _options.ConnectionWindow;
        SendCredit = peer._options.ConnectionWindow;
        Grant(bidirectional: true, peer._options.InboundBidirectionalStreams);
        Grant(bidirectional: false, peer._options.InboundUnidirectionalStreams);
        _lastPacket = Loop.Now;
        _idleTimer = Loop.Schedule(_lastPacket + (_idleTimeout.Ticks / PingsPerIdleTimeout), OnIdleTimer);
    }

    /// <summary>
    /// The handshake is over on this side. Packets that overtook its last flight have been delivered before; nobody
    /// could look at them.
    /// </summary>
    public void Establish()
    {
        _process.Connections.Add(this);
        if (_isClient)
        {
            _world.Connections.Add(this);
        }

        Record("established", 0, 0);
    }

    /// <inheritdoc/>
    public async ValueTask<ITransportStream> OpenStreamAsync(bool bidirectional, CancellationToken cancellationToken)
    {
        int type = TypeIndex(bidirectional);
        await _openCredit[type].TakeAsync(cancellationToken);
        if (_end is not null)
        {
            throw _end.ToException();
        }

        long id = (_opened[type]++ << 2) | (bidirectional ? 0L : 2L) | (_isClient ? 0L : 1L);
        var stream = new SimulatedStream(this, id, canRead: bidirectional, canWrite: true);
        _streams.Add(id, stream);
        _process.UndisposedStreams++;
        return stream;
    }

    /// <inheritdoc/>
    public async ValueTask<ITransportStream> AcceptStreamAsync(CancellationToken cancellationToken)
    {
        SimulatedStream stream = await _arrived.TakeAsync(cancellationToken);
        _process.UndisposedStreams++;
        return stream;
    }

    /// <summary>A stream that was opened or accepted here is disposed of.</summary>
    public void OnDisposed() => _process.UndisposedStreams--;

    /// <inheritdoc/>
    public ValueTask CloseAsync(KwikError code)
    {
        Loop.AssertOnLoop();
        Close(code);
        return new ValueTask(_closed.Task);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => CloseAsync(KwikError.None);

    /// <summary>
    /// Closes this end now and tells the peer. <see cref="CloseAsync"/> completes when the peer has answered, or after
    /// three round trips, at least 100 ms, when it does not.
    /// </summary>
    public void Close(KwikError code)
    {
        if (_end is not null)
        {
            return;
        }

        _closing = true;
        Send(peer => peer.OnPeerClosed(code));
        End(new EndReason(code, KwikErrorSide.Local, $"The connection to {RemoteEndPoint} was closed here with {code}."));

        long patience = Math.Max(3 * _link.RoundTrip.Ticks, 100 * TimeSpan.TicksPerMillisecond);
        Loop.Schedule(Loop.Now + patience, () => _closed.TrySetResult());
    }

    /// <summary>Fault: both ends lose the connection at this instant, without a word from either.</summary>
    public void Reset(KwikError code)
    {
        Loop.AssertOnLoop();
        var reason = new EndReason(code, KwikErrorSide.Network, $"The connection between {LocalEndPoint} and {RemoteEndPoint} was reset.");
        End(reason);
        Peer.End(reason);
    }

    /// <summary>Ends this end alone; the peer learns nothing.</summary>
    public void End(EndReason reason)
    {
        reason = reason with { OfConnection = true };
        if (_end is not null)
        {
            return;
        }

        Record($"ended {reason.Side} {reason.Code}", _streams.Count, 0);
        _end = reason;
        _idleTimer?.Cancel();
        _process.Connections.Remove(this);
        _world.Connections.Remove(this);
        _blocked.Clear();
        foreach (SimulatedStream stream in _streams.Values)
        {
            stream.OnConnectionEnded(reason);
        }

        _streams.Clear();
        _arrived.Close(() => reason.ToException());
        _openCredit[0].Close(() => reason.ToException());
        _openCredit[1].Close(() => reason.ToException());
        if (!_closing)
        {
            Loop.Post(() => _closed.TrySetResult());
        }
    }

    /// <summary>
    /// Sends control to the peer: it takes effect there after the link's latency, unless either end has ended by then.
    /// </summary>
    public void Send(Action<SimulatedConnection> effect, bool isAck = false)
    {
        if (_end is null)
        {
            Carry(Packet(effect, 0, isAck));
        }
    }

    /// <summary>A packet that is leaving now.</summary>
    public Packet Packet(Action<SimulatedConnection> effect, int bytes, bool isAck = false)
    {
        // RFC 9000, 10.1: only the first packet that asks for an answer restarts the idle timer.
        if (!isAck && !_sentSinceReceived)
        {
            _sentSinceReceived = true;
            _lastPacket = Loop.Now;
        }

        SimulatedConnection peer = Peer;
        return new Packet(() => peer.Receive(effect, isAck), bytes);
    }

    /// <summary>Waits for its turn on the link.</summary>
    public void Enqueue(SendHalf sender) => _link.Enqueue(sender);

    /// <summary>Waits until the peer allows the connection more bytes.</summary>
    public void Block(SendHalf sender)
    {
        if (!sender.IsBlocked)
        {
            sender.IsBlocked = true;
            _blocked.Enqueue(sender);
        }
    }

    public void Spend(int bytes) => SendCredit -= bytes;

    /// <summary>The reader, or nobody, has taken bytes: the peer may send as many again.</summary>
    public void Consume(long bytes)
    {
        _consumed += bytes;
        long limit = _consumed + _options.ConnectionWindow;
        if (_end is null && limit - _announced >= Math.Max(1, _options.ConnectionWindow / 4))
        {
            long more = limit - _announced;
            _announced = limit;
            Send(peer => peer.OnMoreCredit(more));
        }
    }

    /// <summary>Notes in the trace what happened to a stream of this end.</summary>
    public void Record(string what, long id, long value) => _world.Trace.Record(what, _name, id, value);

    /// <summary>A stream that this end knows; null when it is closed.</summary>
    public SimulatedStream? FindStream(long id)
    {
        bool openedHere = ((id & 1) == 0) == _isClient;
        if (!openedHere)
        {
            // RFC 9000, 3.2: the first packet of a stream also opens those with lower ids of its type.
            bool bidirectional = (id & 2) == 0;
            ref long opened = ref _openedByPeer[TypeIndex(bidirectional)];
            for (; opened <= id >> 2; opened++)
            {
                long next = (opened << 2) | (id & 3);
                var stream = new SimulatedStream(this, next, canRead: true, canWrite: bidirectional);
                _streams.Add(next, stream);
                _arrived.Add(stream);
            }
        }

        return _streams.GetValueOrDefault(id);
    }

    /// <summary>A stream is closed both ways; what still arrives for it is ignored.</summary>
    public void Forget(SimulatedStream stream) => _streams.Remove(stream.Id);

    /// <summary>Lets the peer open another stream in the place of this one, if the peer opened it.</summary>
    public void ReturnPlace(long id)
    {
        bool openedHere = ((id & 1) == 0) == _isClient;
        if (!openedHere)
        {
            bool bidirectional = (id & 2) == 0;
            Send(peer => peer.Grant(bidirectional, 1));
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"{_name}, {OpenStreams} streams";

    private static int TypeIndex(bool bidirectional) => bidirectional ? 0 : 1;

    private void Carry(Packet packet)
    {
        if (_process.TryEnter(() => Carry(packet)))
        {
            _link.Carry(packet);
        }
    }

    private void Receive(Action<SimulatedConnection> effect, bool isAck)
    {
        if (!_process.TryEnter(() => Receive(effect, isAck)) || _end is not null)
        {
            return;
        }

        // A stopped process finds out on waking that its time was up before it looks at what arrived.
        if (Loop.Now - _lastPacket >= _idleTimeout.Ticks)
        {
            OnIdle();
            return;
        }

        _lastPacket = Loop.Now;
        _sentSinceReceived = false;
        if (!isAck)
        {
            Acknowledge();
        }

        effect(this);
    }

    /// <summary>One acknowledgement at a time: what arrives while one travels is covered by the next.</summary>
    private void Acknowledge()
    {
        _ackOwed = _ackOnItsWay;
        if (_ackOnItsWay)
        {
            return;
        }

        _ackOnItsWay = true;
        Send(
            peer =>
            {
                SimulatedConnection self = peer.Peer;
                self._ackOnItsWay = false;
                if (self._ackOwed)
                {
                    self.Acknowledge();
                }
            },
            isAck: true);
    }

    private void Grant(bool bidirectional, int streams)
    {
        for (int stream = 0; stream < streams; stream++)
        {
            _openCredit[TypeIndex(bidirectional)].Add(true);
        }
    }

    private void OnMoreCredit(long bytes)
    {
        SendCredit += bytes;
        for (int count = _blocked.Count; count > 0; count--)
        {
            SendHalf sender = _blocked.Dequeue();
            sender.IsBlocked = false;
            sender.Wake();
        }
    }

    private void OnPeerClosed(KwikError code)
    {
        SimulatedConnection peer = Peer;
        _link.Carry(new Packet(() => peer._closed.TrySetResult(), 0));
        End(new EndReason(
            EndReason.Received(code), KwikErrorSide.Remote, $"{RemoteEndPoint} closed the connection with {code}."));
    }

    private void OnIdleTimer()
    {
        if (!_process.TryEnter(OnIdleTimer) || _end is not null)
        {
            return;
        }

        if (Loop.Now - _lastPacket >= _idleTimeout.Ticks)
        {
            OnIdle();
            return;
        }

        long interval = _idleTimeout.Ticks / PingsPerIdleTimeout;
        if (Loop.Now - _lastPacket >= interval)
        {
            Send(static _ => { });
        }

        // The idle timeout is one of the multiples, so that this timer meets it exactly.
        long passed = (Loop.Now - _lastPacket) / interval;
        _idleTimer = Loop.Schedule(Math.Min(_lastPacket + ((passed + 1) * interval), _lastPacket + _idleTimeout.Ticks), OnIdleTimer);
    }

    private void OnIdle() => End(new EndReason(
        KwikError.Timeout, KwikErrorSide.Network, $"Nothing was heard from {RemoteEndPoint} for {_idleTimeout}."));
}
