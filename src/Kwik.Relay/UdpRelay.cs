using System.Net;
using System.Net.Sockets;

namespace Kwik.Relay;

/// <summary>
/// Stands between clients and one server on UDP, and shapes what passes like a bad network would: the means of tests,
/// benchmarks and demonstrations on machines whose kernel cannot do it.
/// </summary>
/// <remarks>
/// Each client address gets its own socket towards the target, so that the target tells clients apart. One thread does all
/// the work. It looks at a busy link every 100 us and sends all that is due by then, hence a datagram is up to that late
/// (on a busy machine, by as much as the system lets the thread wait), but the rate is exact: see <see cref="LinkShaper"/>.
/// Datagrams come out separate and as long as they went in, unless the receiver itself asks its kernel to merge them.
/// Members are for any thread.
/// </remarks>
public sealed class UdpRelay : IDisposable
{
    private static readonly TimeSpan Granularity = TimeSpan.FromMicroseconds(100);

    /// <summary>Datagrams from one socket before others get their turn.</summary>
    private const int MaxReceivedInARow = 256;

    private readonly UdpRelayOptions _options;
    private readonly long _startedAt;
    private readonly Link _toServer;
    private readonly Link _toClient;
    private readonly SendBatch _serverBatch;
    private readonly SendBatch _clientBatch;
    private readonly DatagramSocket _listener;
    private readonly DatagramSocket _alarm;
    private readonly SocketWait _wait = new();
    private readonly Thread _thread;
    private readonly Lock _gate = new();

    // Of the relay's thread alone:
    private readonly Dictionary<SocketAddress, RelayClient> _clients = [];
    private readonly Dictionary<Socket, RelayClient> _clientsBySocket = [];
    private readonly byte[] _received = new byte[65_536];
    private readonly SocketAddress _from;
    private TimeSpan _nextExpiry;

    private volatile int _clientCount;
    private volatile bool _isRebindDue;
    private volatile bool _isStopping;

    private UdpRelay(UdpRelayOptions options, DatagramSocket listener, DatagramSocket alarm)
    {
        _options = options;
        _startedAt = options.TimeProvider.GetTimestamp();
        _listener = listener;
        _alarm = alarm;
        _from = new(options.Listen.AddressFamily);
        LocalEndPoint = (IPEndPoint)listener.Socket.LocalEndPoint!;
        var seeds = new SeededRandom(options.Seed);
        _toServer = new(options.ToServer, seeds.NextUInt64());
        _toClient = new(options.ToClient, seeds.NextUInt64());
        _serverBatch = new(_toServer);
        _clientBatch = new(_toClient);
        _nextExpiry = options.ClientIdleTimeout;
        _wait.Add(alarm.Socket);
        _wait.Add(listener.Socket);
        _thread = new(Run) { Name = $"Kwik relay {LocalEndPoint.Port}", IsBackground = true };
    }

    /// <summary>Where clients send to; the port is never 0.</summary>
    public IPEndPoint LocalEndPoint { get; }

    /// <summary>Clients that are not forgotten.</summary>
    public int ClientCount => _clientCount;

    /// <summary>
    /// What happens to datagrams towards the target. A new value is effective at once: see <see cref="LinkShaper.Change"/>.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range; nothing has changed.</exception>
    /// <exception cref="ObjectDisposedException">The relay is disposed.</exception>
    public LinkOptions ToServer
    {
        get => _toServer.Options;
        set => Change(_toServer, value);
    }

    /// <summary>
    /// What happens to datagrams towards clients. A new value is effective at once: see <see cref="LinkShaper.Change"/>.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range; nothing has changed.</exception>
    /// <exception cref="ObjectDisposedException">The relay is disposed.</exception>
    public LinkOptions ToClient
    {
        get => _toClient.Options;
        set => Change(_toClient, value);
    }

    /// <summary>What happened so far towards the target.</summary>
    public LinkCounters ToServerCounters => _toServer.ReadCounters();

    /// <summary>What happened so far towards clients.</summary>
    public LinkCounters ToClientCounters => _toClient.ReadCounters();

    /// <summary>Listens, and relays from now on.</summary>
    /// <exception cref="ArgumentException">An option is missing or out of range.</exception>
    /// <exception cref="SocketException">The address to listen on is taken or not ours.</exception>
    public static UdpRelay Start(UdpRelayOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        DatagramSocket listener = DatagramSocket.Bind(options.Listen);
        DatagramSocket? alarm = null;
        try
        {
            alarm = DatagramSocket.Bind(new(IPAddress.Loopback, 0));
            alarm.Socket.Connect(alarm.Socket.LocalEndPoint!);
            var relay = new UdpRelay(options, listener, alarm);
            relay._thread.Start();
            return relay;
        }
        catch
        {
            alarm?.Dispose();
            listener.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Gives every client another port towards the target, like a NAT that forgot its mappings. What arrives from clients
    /// after this returned, and what was under way to the target, leaves by the new port; what the target sends to the old
    /// one is lost a moment later. A client for whom the system has no socket left keeps its port.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The relay is disposed.</exception>
    public void Rebind()
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isStopping, this);
            _isRebindDue = true;
            RingAlarmLocked();
        }
    }

    /// <summary>
    /// Stops within a moment; what is under way is lost. May be called again, and from several threads.
    /// </summary>
    public void Dispose()
    {
        lock (_gate)
        {
            if (!_isStopping)
            {
                _isStopping = true;
                RingAlarmLocked();
            }
        }

        _thread.Join();
    }

    private void Change(Link link, LinkOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isStopping, this);
            link.Options = options;
            RingAlarmLocked();
        }
    }

    /// <summary>Ends the thread's wait. It closes the socket under the lock, after it saw <c>_isStopping</c>.</summary>
    private void RingAlarmLocked() => _alarm.TrySend([0], null, 1);

    private void SilenceAlarm()
    {
        while (_alarm.Socket.Available > 0 && _alarm.TryReceive(_received, out _))
        {
        }
    }

    private TimeSpan Now() => _options.TimeProvider.GetElapsedTime(_startedAt);

    private void Run()
    {
        try
        {
            TimeSpan? timeout = null;
            while (!_isStopping)
            {
                List<Socket> readable = _wait.Wait(timeout);
                SilenceAlarm(); // before looking at what it is about, so that none goes unnoticed
                TimeSpan now = Now();
                _toServer.ApplyOptions(now);
                _toClient.ApplyOptions(now);
                foreach (Socket socket in readable)
                {
                    Receive(socket, now);
                }

                // After receiving: what came after Rebind leaves by the new port.
                RebindClientsIfDue();
                SendDue(Now());
                timeout = NextTimeout(Now());
            }
        }
        finally
        {
            foreach (RelayClient client in _clients.Values)
            {
                client.Close();
            }

            _listener.Dispose();
            lock (_gate) // whoever set _isStopping still rings the alarm
            {
                _alarm.Dispose();
            }
        }
    }

    private void Receive(Socket socket, TimeSpan now)
    {
        if (socket == _listener.Socket)
        {
            ReceiveFromClients(now);
        }
        else if (_clientsBySocket.TryGetValue(socket, out RelayClient? client))
        {
            for (int i = 0; i < MaxReceivedInARow && client.Upstream.TryReceive(_received, out int length); i++)
            {
                client.LastSeen = now;
                _toClient.Offer(_received.AsSpan(0, length), client, now);
            }
        }
    }

    private void ReceiveFromClients(TimeSpan now)
    {
        int left = MaxReceivedInARow;
        do
        {
            if (!_listener.TryReceiveFrom(_received, _from, out int length))
            {
                return;
            }

            if (FindClient(now) is { } client)
            {
                client.LastSeen = now;
                _toServer.Offer(_received.AsSpan(0, length), client, now);
            }
            else
            {
                _toServer.Refuse(length);
            }
        }
        while (--left > 0 && _listener.Socket.Available > 0);
    }

    /// <summary>The client at <c>_from</c>; null when the system has no socket left for it.</summary>
    private RelayClient? FindClient(TimeSpan now)
    {
        if (_clients.TryGetValue(_from, out RelayClient? known))
        {
            return known;
        }

        if (OpenUpstream() is not { } upstream)
        {
            return null;
        }

        var address = new SocketAddress(_from.Family, _from.Size);
        _from.Buffer.Span[.._from.Size].CopyTo(address.Buffer.Span);
        var client = new RelayClient(address, upstream) { LastSeen = now };
        _clients.Add(address, client);
        _clientsBySocket.Add(upstream.Socket, client);
        _wait.Add(upstream.Socket);
        _clientCount = _clients.Count;
        return client;
    }

    /// <summary>A socket for one client; null when the system has none left.</summary>
    private DatagramSocket? OpenUpstream()
    {
        try
        {
            return DatagramSocket.Connect(_options.Target);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    private void RebindClientsIfDue()
    {
        if (!_isRebindDue)
        {
            return;
        }

        _isRebindDue = false;
        foreach (RelayClient client in _clients.Values)
        {
            // Opened before the old one is closed: the port is another one.
            if (OpenUpstream() is { } upstream)
            {
                DatagramSocket old = client.Rebind(upstream);
                _clientsBySocket.Remove(old.Socket);
                _wait.Remove(old.Socket);
                old.Dispose();
                _clientsBySocket.Add(upstream.Socket, client);
                _wait.Add(upstream.Socket);
            }
        }
    }

    private void SendDue(TimeSpan now)
    {
        while (_toServer.TryTake(now, out HeldDatagram datagram))
        {
            Send(_toServer, _serverBatch, datagram, to: null);
        }

        while (_toClient.TryTake(now, out HeldDatagram datagram))
        {
            Send(_toClient, _clientBatch, datagram, datagram.Client.Address);
        }

        _serverBatch.Flush();
        _clientBatch.Flush();
    }

    private void Send(Link link, SendBatch batch, in HeldDatagram datagram, SocketAddress? to)
    {
        if (datagram.Client.IsClosed)
        {
            link.CountRefused(1);
        }
        else
        {
            batch.Add(datagram.Bytes, to is null ? datagram.Client.Upstream : _listener, to);
        }

        link.Recycle(datagram.Buffer);
    }

    private TimeSpan? NextTimeout(TimeSpan now)
    {
        if (now >= _nextExpiry)
        {
            ForgetIdleClients(now);
            _nextExpiry = now + (_options.ClientIdleTimeout / 2);
        }

        TimeSpan? due = _toServer.NextDue is { } first && !(_toClient.NextDue < first) ? first : _toClient.NextDue;
        if (due is { } time)
        {
            return time - now > Granularity ? time - now : Granularity;
        }

        return _clients.Count > 0 ? _nextExpiry - now : null;
    }

    private void ForgetIdleClients(TimeSpan now)
    {
        RelayClient[] idle = [.. _clients.Values.Where(client => now - client.LastSeen >= _options.ClientIdleTimeout)];
        foreach (RelayClient client in idle)
        {
            _wait.Remove(client.Upstream.Socket);
            _clientsBySocket.Remove(client.Upstream.Socket);
            _clients.Remove(client.Address);
            client.Close();
        }

        _clientCount = _clients.Count;
    }
}
