using System.Net;
using System.Threading.Channels;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;
using Microsoft.Extensions.Logging;

namespace Kwik.Sessions;

/// <summary>Accepts sessions on one address, as a primary or as a secondary server. Safe for concurrent use.</summary>
public sealed class KwikListener : IAsyncDisposable
{
    private const int Version = 1;

    // Sessions that wait for AcceptSessionAsync; further ones are closed, so that an application that does not accept
    // holds no more than these.
    private const int MaxBacklog = 1024;

    private readonly KwikListenerOptions _options;
    private readonly SessionEnvironment _environment;
    private readonly ITransportListener _listener;
    private readonly ILogger _log;
    private readonly PrimaryKey _signingKey;
    private readonly StatementVerifier _verifier;
    private readonly KeyHash _ownKey;
    private readonly CancellationTokenSource _stopping = new();
    private readonly Channel<ServerSession> _accepted = Channel.CreateBounded<ServerSession>(MaxBacklog);
    private readonly Lock _gate = new();
    private readonly HashSet<Task> _connections = [];
    private readonly Dictionary<(Guid Session, int Path), ServerSession> _secondarySessions = [];
    private Task _accepting = Task.CompletedTask;
    private int _unauthenticated;
    private int _sessions;
    private int _closing;
    private volatile bool _acceptsNobody;

    private KwikListener(KwikListenerOptions options, SessionEnvironment environment, ITransportListener listener, ILogger log)
    {
        _options = options;
        _environment = environment;
        _listener = listener;
        _log = log;
        _signingKey = options.SigningKey ?? PrimaryKey.Create();
        _verifier = new StatementVerifier(options.TrustedPrimaries, environment.Time);
        _ownKey = KeyHash.OfCertificate(options.Certificate);
    }

    /// <summary>The bound address, with the port that was chosen.</summary>
    public IPEndPoint LocalEndPoint => _listener.LocalEndPoint;

    /// <summary>What clients pin: the key of this server's certificate.</summary>
    public KeyHash Pin => _ownKey;

    /// <summary>What the secondaries of this primary trust.</summary>
    public PrimaryPublicKey PublicKey => _signingKey.PublicKey;

    /// <summary>False when nobody is heard any more: the listener was closed, or has failed.</summary>
    public bool IsListening => Volatile.Read(ref _closing) == 0 && !_accepting.IsCompleted;

    /// <summary>Binds and listens.</summary>
    /// <exception cref="ArgumentException">An option is missing or out of its range.</exception>
    /// <exception cref="KwikException">The address is in use or cannot be bound.</exception>
    public static Task<KwikListener> ListenAsync(KwikListenerOptions options, CancellationToken cancellationToken = default) =>
        ListenAsync(options, SessionEnvironment.System, cancellationToken);

    internal static async Task<KwikListener> ListenAsync(
        KwikListenerOptions options, SessionEnvironment environment, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        ILogger log = options.LoggerFactory.CreateLogger<KwikListener>();
        ITransportListener transport = await environment.Transport.ListenAsync(
            new TransportListenOptions
            {
                LocalEndPoint = options.ListenEndPoint,
                ServerCertificate = options.Certificate,
                Intermediates = options.Intermediates,
                TrustedClientRoots = options.TrustedClientRoots,
                // One stream more than public ones: control.
                InboundBidirectionalStreams = 1 + (options.Role == ServerRole.Primary ? 2 * options.MaxPublicStreams : 0),
                HandshakeFailed = failure => TellFailure(failure, options.Role, environment, log),
            },
            cancellationToken);
        var listener = new KwikListener(options, environment, transport, log);
        listener._accepting = Background.Start(listener.AcceptAsync);
        return listener;
    }

    /// <summary>The next session: a <see cref="PrimarySession"/> or a <see cref="SecondarySession"/>, as the listener's role is.</summary>
    /// <exception cref="ObjectDisposedException">The listener was closed.</exception>
    public async Task<ServerSession> AcceptSessionAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            return await _accepted.Reader.ReadAsync(cancellationToken);
        }
        catch (ChannelClosedException e)
        {
            throw new ObjectDisposedException($"The listener on {LocalEndPoint} was closed.", e);
        }
    }

    /// <summary>
    /// From now on new sessions are refused with <see cref="KwikError.ServerClosing"/>; those that there are go on. For a server that
    /// is about to stop.
    /// </summary>
    public void StopAccepting() => _acceptsNobody = true;

    /// <summary>Stops listening and closes every session. May be called twice; every call returns when all has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _closing, 1) == 0)
        {
            _stopping.Cancel();
            await _listener.DisposeAsync();
            if (_options.SigningKey is null)
            {
                _signingKey.Dispose();
            }
        }

        await _accepting;
    }

    private static void TellFailure(KwikException failure, ServerRole role, SessionEnvironment environment, ILogger log)
    {
        environment.Telemetry.Refused(role, failure.Code);
        if (failure.Code == KwikError.Internal)
        {
            SessionLog.HandshakeBroken(log, failure.Message, failure.InnerException);
        }
        else
        {
            SessionLog.HandshakeFailed(log, failure.Message);
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                ITransportConnection connection = await _listener.AcceptConnectionAsync(_stopping.Token);
                Track(Background.Start(() => ServeAsync(connection)));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            // The listener was closed.
        }
        finally
        {
            _accepted.Writer.TryComplete();
        }

        await Task.WhenAll(Connections());
    }

    /// <summary>One connection from its handshake to its end. Never throws.</summary>
    private async Task ServeAsync(ITransportConnection connection)
    {
        ServerSession session;
        try
        {
            session = await AdmitAsync(connection);
        }
        catch (Exception e)
        {
            // One code for every cause: what was wrong with a token is nobody's business. Whatever a stranger's bytes set
            // off ends here, with the connection.
            KwikError code = e is KwikException { Code: KwikError.LimitExceeded or KwikError.ServerClosing } known
                ? known.Code : KwikError.AuthenticationFailed;
            SessionLog.ConnectionRefused(_log, connection.RemoteEndPoint, code, e.Message);
            _environment.Telemetry.Refused(_options.Role, code);
            await connection.CloseAsync(code);
            await connection.DisposeAsync();
            return;
        }

        SessionLog.SessionBegan(_log, session.Id, connection.RemoteEndPoint);
        session.Observe();
        if (!_accepted.Writer.TryWrite(session))
        {
            session.Stop();
        }

        await session.RunAsync(_stopping.Token);
        Forget(session);
    }

    /// <summary>Reads Authenticate and answers it, within the limits for strangers.</summary>
    private async Task<ServerSession> AdmitAsync(ITransportConnection connection)
    {
        if (Interlocked.Increment(ref _unauthenticated) > _options.MaxUnauthenticated || Volatile.Read(ref _sessions) >= _options.MaxSessions)
        {
            Interlocked.Decrement(ref _unauthenticated);
            throw new KwikException(KwikError.LimitExceeded, KwikErrorSide.Local, "MaxSessions or MaxUnauthenticated is reached.");
        }

        try
        {
            (ControlChannel control, Authenticate request) = await ReceiveAuthenticateAsync(connection)
                .WaitAsync(SessionTimeouts.Authentication, _environment.Time, _stopping.Token);
            if (_acceptsNobody)
            {
                throw new KwikException(KwikError.ServerClosing, KwikErrorSide.Local, "The server is about to stop.");
            }

            ServerSession session = Admit(connection, control, request);
            Interlocked.Increment(ref _sessions);
            control.Send(new ControlFrame
            {
                Authenticated = new Authenticated
                {
                    Version = Version,
                    SessionId = ByteString.CopyFrom(session.Id.ToByteArray(bigEndian: true)),
                    MaxPublicStreams = (uint)_options.MaxPublicStreams,
                    MaxRangeRequests = (uint)_options.MaxRangeRequests,
                },
            });
            return session;
        }
        finally
        {
            Interlocked.Decrement(ref _unauthenticated);
        }
    }

    private async Task<(ControlChannel Control, Authenticate Request)> ReceiveAuthenticateAsync(ITransportConnection connection)
    {
        ITransportStream stream = await connection.AcceptStreamAsync(_stopping.Token);
        StreamHeader header = await InboundStreams.ReadHeaderAsync(stream, _environment.Time);
        if (header != new StreamHeader(0, StreamType.Control) || !stream.CanWrite)
        {
            throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, "The first stream of a client is its control stream.");
        }

        var control = new ControlChannel(stream);
        ControlFrame? frame = await control.ReceiveAsync(ControlCodec.MaxUnauthenticatedFrameSize);
        return frame?.Authenticate is { Version: Version } request
            ? (control, request)
            : throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"The first frame of a client is Authenticate, version {Version}.");
    }

    private ServerSession Admit(ITransportConnection connection, ControlChannel control, Authenticate request)
    {
        var link = new ServerLink(connection, control, _options, _environment);
        if (_options.Role == ServerRole.Primary && request.Role == Role.Primary)
        {
            return new PrimarySession(link, Guid.NewGuid(), _signingKey);
        }

        if (_options.Role == ServerRole.Secondary && request.Role == Role.Secondary && request.SessionId.Length == 16
            && _verifier.AdmitsConnection(
                request.PathToken.Span, request.SessionId.Span, connection.PeerKey, _ownKey, out int pathId))
        {
            return AddSecondary(new SecondarySession(link, new Guid(request.SessionId.Span, bigEndian: true), pathId, _verifier));
        }

        throw new KwikException(
            KwikError.AuthenticationFailed, KwikErrorSide.Remote, $"A {request.Role} was asked for, or the token is not valid here.");
    }

    /// <summary>A client that comes again, with the same token, replaces its earlier connection.</summary>
    private SecondarySession AddSecondary(SecondarySession session)
    {
        ServerSession? earlier;
        lock (_gate)
        {
            _secondarySessions.TryGetValue((session.Id, session.PathId), out earlier);
            _secondarySessions[(session.Id, session.PathId)] = session;
        }

        earlier?.Stop();
        return session;
    }

    private void Forget(ServerSession session)
    {
        Interlocked.Decrement(ref _sessions);
        if (session is SecondarySession secondary)
        {
            lock (_gate)
            {
                if (_secondarySessions.GetValueOrDefault((session.Id, secondary.PathId)) == session)
                {
                    _secondarySessions.Remove((session.Id, secondary.PathId));
                }
            }
        }
    }

    private void Track(Task connection)
    {
        lock (_gate)
        {
            _connections.RemoveWhere(ended => ended.IsCompletedSuccessfully);
            _connections.Add(connection);
        }
    }

    private List<Task> Connections()
    {
        lock (_gate)
        {
            return [.. _connections];
        }
    }
}
