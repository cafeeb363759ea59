using System.Net;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// The paths of one client session: the limits on them, the connecting, and what became of each. Safe for concurrent use.
/// </summary>
internal sealed class PathTable(int maxPaths, SessionEnvironment environment, TransportConnectOptions primaryTarget, Guid sessionId)
{
    /// <summary>Addresses that a session ever connects to: a primary must not be able to aim its clients at anybody.</summary>
    public const int MaxAddresses = 32;

    /// <summary>Attempts to connect to a server before it is given up.</summary>
    public const int MaxAttempts = 3;

    private readonly Lock _gate = new();
    private readonly SortedDictionary<int, KwikPath> _paths = [];
    private readonly HashSet<int> _connecting = [];
    private readonly HashSet<IPEndPoint> _addresses = [];
    private readonly List<Task> _tasks = [];

    public void Add(KwikPath path)
    {
        lock (_gate)
        {
            _paths.Add(path.Id, path);
        }
    }

    public KwikPath? Find(int pathId)
    {
        lock (_gate)
        {
            return _paths.GetValueOrDefault(pathId);
        }
    }

    public List<PathInfo> Snapshot()
    {
        lock (_gate)
        {
            return [.. _paths.Values.Select(path => path.Snapshot())];
        }
    }

    public List<KwikPath> Alive()
    {
        lock (_gate)
        {
            return [.. _paths.Values.Where(path => path.IsActive)];
        }
    }

    /// <summary>Keeps a task that <see cref="JoinAsync"/> waits for.</summary>
    public void Track(Task task)
    {
        lock (_gate)
        {
            _tasks.RemoveAll(done => done.IsCompletedSuccessfully);
            _tasks.Add(task);
        }
    }

    /// <summary>Waits for every tracked task; the session has told them to stop.</summary>
    public Task JoinAsync()
    {
        lock (_gate)
        {
            return Task.WhenAll(_tasks);
        }
    }

    /// <summary>Connects to a server that the primary named, within the limits.</summary>
    /// <exception cref="KwikException">It may not be connected to, or could not be.</exception>
    public async Task<KwikPath> ConnectAsync(AddPath request, IPAddress primary, CancellationToken cancellationToken)
    {
        // Before anything is looked up or sent: a primary may announce thousands.
        Reserve(request);
        try
        {
            TransportConnectOptions target = await TargetAsync(request, primary, cancellationToken);
            Reserve(target.RemoteEndPoint);
            KwikPath path = await TryConnectAsync(request, target, cancellationToken);
            Add(path);
            return path;
        }
        finally
        {
            lock (_gate)
            {
                _connecting.Remove((int)request.PathId);
            }
        }
    }

    private async Task<TransportConnectOptions> TargetAsync(AddPath request, IPAddress primary, CancellationToken cancellationToken)
    {
        IPEndPoint address = await AddressResolver.ResolveAsync(request.Host, (int)request.Port, cancellationToken);
        return PathAddressPolicy.IsAllowed(primary, address.Address)
            ? primaryTarget with
            {
                RemoteEndPoint = address,
                ServerName = request.ServerName.Length > 0 ? request.ServerName : request.Host,
                Pins = [.. request.Pins.Select(pin => KeyHash.FromBytes(pin.Span))],
                AcceptAnyServer = false,
                InboundBidirectionalStreams = 0,
            }
            : throw new KwikException(
                KwikError.LimitExceeded, KwikErrorSide.Remote, $"A primary at {primary} may not send its clients to {address}.", pathId: 0);
    }

    private void Reserve(AddPath request)
    {
        if (request.PathId is 0 or > int.MaxValue || request.Port is 0 or > 65535 || request.Host.Length is 0 or > 255
            || request.Pins.Count is 0 or > 2 || request.Pins.Any(pin => pin.Length != KeyHash.Size))
        {
            throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"AddPath {request.PathId} has values out of range.", pathId: 0);
        }

        int pathId = (int)request.PathId;
        lock (_gate)
        {
            if (_paths.ContainsKey(pathId) || _connecting.Contains(pathId))
            {
                throw new KwikException(
                    KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"Path {pathId} exists already.", pathId: 0);
            }

            if (_paths.Values.Count(path => path.IsActive) + _connecting.Count >= maxPaths)
            {
                throw new KwikException(
                    KwikError.LimitExceeded, KwikErrorSide.Remote, $"A session has at most {maxPaths} paths (MaxPaths).", pathId: 0);
            }

            _connecting.Add(pathId);
        }
    }

    private void Reserve(IPEndPoint address)
    {
        lock (_gate)
        {
            if (_addresses.Count >= MaxAddresses && !_addresses.Contains(address))
            {
                throw new KwikException(
                    KwikError.LimitExceeded, KwikErrorSide.Remote, $"A session connects to at most {MaxAddresses} addresses.", pathId: 0);
            }

            _addresses.Add(address);
        }
    }

    private async Task<KwikPath> TryConnectAsync(AddPath request, TransportConnectOptions target, CancellationToken cancellationToken)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                var authenticate = new Authenticate
                {
                    Role = Role.Secondary,
                    SessionId = ByteString.CopyFrom(sessionId.ToByteArray(bigEndian: true)),
                    PathToken = request.PathToken,
                };
                (KwikPath path, _) = await PathConnector.ConnectAsync(
                    environment, target, (int)request.PathId, authenticate, cancellationToken);
                return path;
            }
            catch (KwikException e) when (attempt < MaxAttempts && e.Code is KwikError.PathLost or KwikError.Timeout)
            {
                // 100 to 200 ms, then 200 to 400: clients that lost a server together do not come back together.
                TimeSpan pause = TimeSpan.FromMilliseconds(100 * attempt * (1 + environment.Random.NextDouble()));
                await Task.Delay(pause, environment.Time, cancellationToken);
            }
        }
    }
}
