using System.Net;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

public sealed partial class ClientSession
{
    /// <summary>Attempts of a path's first connection.</summary>
    private const int MaxAttempts = 3;

    // From one attempt to recover a path to the next, give or take a quarter; and longest time of one, beside round trips. A
    // handshake that finds nobody sends its second datagram after a second: a new one is no less likely to be heard.
    private static readonly TimeSpan RecoveryPause = TimeSpan.FromSeconds(1);

    /// <summary>One path from its announcement to its removal, over all of its connections.</summary>
    private async Task LivePathAsync(AddPath request)
    {
        PathEntry path;
        try
        {
            // Before anything is looked up or sent: a primary may announce thousands.
            path = _paths.Announce(request, HeldToken.TryRead(request.PathToken, Id, request.PathId, _environment.Time));
        }
        catch (KwikException e)
        {
            TellAdded(request, e);
            return;
        }

        using CancellationTokenRegistration withSession =
            _stopping.Token.UnsafeRegister(static stop => ((CancellationTokenSource)stop!).Cancel(), path.Stop);
        KwikPath? connection = await ConnectFirstAsync(path, request);
        bool wasActive = connection is not null;
        KwikException? end = null;
        while (connection is not null)
        {
            _paths.TryAdvance(path, PathInput.Connected, connection);
            SessionLog.PathActive(_log, path.Id, connection.Connection.RemoteEndPoint);
            if (end is null)
            {
                TellAdded(request, null);
            }
            else
            {
                _streams.Snapshot().ForEach(stream => stream.OnPathBack(path.Id));
            }

            Task running = RunPathAsync(path, connection);
            foreach (ContentFetch fetch in Fetches())
            {
                fetch.AddPath(connection);
            }

            await running;
            end = connection.Fault;
            connection = path.State == PathState.Dead ? await RecoverAsync(path) : null;
        }

        _paths.TryAdvance(path, PathInput.Remove);
        if (!wasActive)
        {
            _paths.Forget(path);
        }

        if (wasActive || path.IsLeaving)
        {
            _paths.Tell(new ControlFrame
            {
                PathRemoved = new PathRemoved
                {
                    PathId = request.PathId,
                    ErrorCode = (ulong)(path.IsLeaving ? KwikError.None : end?.Code ?? KwikError.Cancelled),
                },
            });
        }
    }

    private void TellAdded(AddPath request, KwikException? refused)
    {
        if (refused is not null)
        {
            SessionLog.PathRefused(_log, (int)request.PathId, request.Host, (int)request.Port, refused.Code, refused.Message);
        }

        _paths.Tell(new ControlFrame
        {
            PathAdded = new PathAdded { PathId = request.PathId, ErrorCode = (ulong)(refused?.Code ?? KwikError.None) },
        });
    }

    /// <summary>The first connection of a path; null when there is none, which the primary has been told then.</summary>
    private async Task<KwikPath?> ConnectFirstAsync(PathEntry path, AddPath request)
    {
        CancellationToken stopping = path.Stop.Token;
        try
        {
            path.Target = await TargetAsync(request, stopping);
            for (int attempt = 1; ; attempt++)
            {
                try
                {
                    return await ConnectAsync(path, path.Target, stopping);
                }
                catch (KwikException e) when (attempt < MaxAttempts && e.Code is KwikError.PathLost or KwikError.Timeout)
                {
                    // 100 to 200 ms, then 200 to 400: clients that lost a server together do not come back together.
                    TimeSpan pause = TimeSpan.FromMilliseconds(100 * attempt * (1 + _environment.Random.NextDouble()));
                    await Task.Delay(pause, _environment.Time, stopping);
                }
            }
        }
        catch (KwikException e)
        {
            TellAdded(request, e);
        }
        catch (OperationCanceledException e)
        {
            TellAdded(request, new KwikException(
                KwikError.Cancelled, KwikErrorSide.Remote, $"Path {path.Id} was removed before it was connected.", e, path.Id));
        }

        return null;
    }

    /// <summary>Connects a lost path again: at once, then about each second, so that one that is back is used within two; null when its time is over or it was refused.</summary>
    private async Task<KwikPath?> RecoverAsync(PathEntry path)
    {
        long began = _environment.Time.GetTimestamp();
        CancellationToken stopping = path.Stop.Token;
        TimeSpan attempt = RecoveryPause + (path.Connection?.RoundTrip ?? TimeSpan.Zero) * 4;
        TransportConnectOptions target = path.Target! with
        {
            HandshakeTimeout = attempt < _options.ConnectTimeout ? attempt : _options.ConnectTimeout,
        };
        try
        {
            while (true)
            {
                long started = _environment.Time.GetTimestamp();
                if (path.Token!.HasExpired)
                {
                    RenewToken(path);
                }
                else if (_paths.TryAdvance(path, PathInput.Retry) && await TryReconnectAsync(path, target, stopping) is { } connection)
                {
                    return connection;
                }

                TimeSpan pause = (RecoveryPause * (0.75 + _environment.Random.NextDouble() / 2)) - _environment.Time.GetElapsedTime(started);
                pause = pause > TimeSpan.Zero ? pause : TimeSpan.Zero;
                if (_environment.Time.GetElapsedTime(began) + pause > _options.PathRecoveryTime)
                {
                    return null;
                }

                await Task.Delay(pause, _environment.Time, stopping);
            }
        }
        catch (KwikException e)
        {
            SessionLog.PathRefused(_log, path.Id, path.Announced!.Host, target.RemoteEndPoint.Port, e.Code, e.Message);
            return null;
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>Null when the server cannot be reached; throws when it can and does not want.</summary>
    private async Task<KwikPath?> TryReconnectAsync(PathEntry path, TransportConnectOptions target, CancellationToken stopping)
    {
        try
        {
            return await ConnectAsync(path, target, stopping);
        }
        catch (KwikException e) when (e.Code is not (KwikError.AuthenticationFailed or KwikError.MetadataProtocolViolation))
        {
            _paths.TryAdvance(path, PathInput.Lost);
            return null;
        }
    }

    private async Task<TransportConnectOptions> TargetAsync(AddPath request, CancellationToken cancellationToken)
    {
        IPAddress primary = _primary.Connection.RemoteEndPoint.Address;
        IPEndPoint address = await AddressResolver.ResolveAsync(request.Host, (int)request.Port, cancellationToken);
        if (!PathAddressPolicy.IsAllowed(primary, address.Address))
        {
            throw new KwikException(
                KwikError.LimitExceeded, KwikErrorSide.Remote, $"A primary at {primary} may not send its clients to {address}.", pathId: 0);
        }

        _paths.Reserve(address);
        return _target with
        {
            RemoteEndPoint = address,
            ServerName = request.ServerName.Length > 0 ? request.ServerName : request.Host,
            Pins = [.. request.Pins.Select(pin => KeyHash.FromBytes(pin.Span))],
            AcceptAnyServer = false,
            InboundBidirectionalStreams = 0,
        };
    }

    private async Task<KwikPath> ConnectAsync(PathEntry path, TransportConnectOptions target, CancellationToken cancellationToken)
    {
        var authenticate = new Authenticate
        {
            Role = Role.Secondary,
            SessionId = ByteString.CopyFrom(Id.ToByteArray(bigEndian: true)),
            PathToken = path.Token!.Bytes,
        };
        (KwikPath connection, _) = await PathConnector.ConnectAsync(
            _environment, target, path.Id, authenticate, _observer.Context, cancellationToken);
        return connection;
    }

    /// <summary>Whether a path that was lost for this reason is connected again: not after a goodbye, nor after a violation.</summary>
    private bool MayComeBack(PathEntry path, KwikPath connection, KwikException reason) =>
        _options.PathRecoveryTime > TimeSpan.Zero
        && !path.IsLeaving
        && !path.Stop.IsCancellationRequested
        && Volatile.Read(ref _closing) == 0
        && connection.Goodbye is null
        && !connection.IsIsolated
        && reason.Code is KwikError.None or KwikError.PathLost or KwikError.Timeout or KwikError.Cancelled or KwikError.Internal;
}
