using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Transfer;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Kwik.Hosting;

/// <summary>
/// A file server in a host: listens when the host starts, serves every session until it ends, and when the host stops lets
/// transfers end, for a time, and closes all sessions.
/// </summary>
public abstract class KwikService : BackgroundService
{
    private readonly KwikServerOptions _options;
    private readonly ILoggerFactory _loggerFactory;
    private readonly HostOptions _host;
    private readonly ILogger _log;
    private readonly CancellationTokenSource _serving = new();
    private readonly Lock _gate = new();
    private readonly Dictionary<ServerSession, Task> _sessions = [];
    private KwikListener? _listener;
    private FileCatalog? _catalog;
    private FileServer? _files;
    private volatile bool _isStopping;

    private protected KwikService(KwikServerOptions options, HostOptions host, ILoggerFactory loggerFactory)
    {
        _options = options;
        _host = host;
        _loggerFactory = loggerFactory;
        _log = loggerFactory.CreateLogger(GetType());
    }

    /// <summary>The bound address, with the port that was chosen.</summary>
    /// <exception cref="InvalidOperationException">The host has not started.</exception>
    public IPEndPoint LocalEndPoint => Listener.LocalEndPoint;

    /// <summary>What clients pin: the key of the server's certificate.</summary>
    /// <exception cref="InvalidOperationException">The host has not started.</exception>
    public KeyHash Pin => Listener.Pin;

    private protected abstract ServerRole Role { get; }

    /// <summary>What this role's files are served with.</summary>
    private protected virtual FileServerOptions ServerOptions => new() { LoggerFactory = _loggerFactory };

    private KwikListener Listener => _listener ?? throw new InvalidOperationException("The host has not started.");

    /// <summary>What the options say about the files.</summary>
    internal static FileCatalogOptions CatalogOptions(KwikServerOptions options) => new()
    {
        CacheDirectory = options.CacheDirectory,
        MaxCacheBytes = options.MaxCacheBytes,
        MaxTreeMemory = options.MaxTreeMemory,
        MaxFileBytes = options.MaxFileBytes,
        AllowedExtensions = [.. options.AllowedExtensions],
    };

    /// <summary>Listens; when this returns, clients can connect.</summary>
    /// <exception cref="KwikException">The address is in use or cannot be bound.</exception>
    public override async Task StartAsync(CancellationToken cancellationToken)
    {
        _catalog = FileCatalog.Open(_options.Root, CatalogOptions(_options) with { LoggerFactory = _loggerFactory });
        _files = new FileServer(_catalog, ServerOptions);
        await PrepareAsync(_catalog, cancellationToken);
        ServerCertificate certificate = ServerCertificate.Load(_options);
        _listener = await KwikListener.ListenAsync(
            Configure(new()
            {
                Role = Role,
                ListenEndPoint = ListenAddress.Parse(_options.Listen),
                Certificate = certificate.Certificate,
                Intermediates = certificate.Intermediates,
                ContentProvider = _catalog,
                MaxSessions = _options.MaxSessions,
                MaxUnauthenticated = _options.MaxUnauthenticated,
                MaxRangeRequests = _options.MaxRangeRequests,
                // Clients write requests of 4 KiB, and nothing else.
                MaxPendingBytes = 1024 * 1024,
                Qlog = string.IsNullOrEmpty(_options.QlogDirectory)
                    ? null : new() { Directory = _options.QlogDirectory, MaxBytes = _options.MaxQlogBytes },
                LoggerFactory = _loggerFactory,
            }),
            cancellationToken);
        if (certificate.DeriveStatelessResetKey() is { } resetKey)
        {
            // Should the library not take it, clients of a server that died wait a little longer.
            _ = QuicProvider.TrySetStatelessResetKey(resetKey);
        }

        if (_host.ShutdownTimeout != Timeout.InfiniteTimeSpan)
        {
            // What was set there is for closing, and for the other services; they stop one after the other.
            _host.ShutdownTimeout += _options.ShutdownTimeout;
        }

        HostingLog.Listening(_log, Role, LocalEndPoint, Pin, _catalog.Root);
        await base.StartAsync(cancellationToken);
    }

    /// <summary>
    /// Begins nothing new; waits until transfers have ended, at most <see cref="KwikServerOptions.ShutdownTimeout"/>; closes every
    /// session, whose client is told <see cref="KwikError.ServerClosing"/>, which takes at most 20 s; and stops listening.
    /// </summary>
    /// <param name="cancellationToken">Ends the wait for transfers.</param>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        _isStopping = true;
        _listener?.StopAccepting();
        _files?.StopAccepting();
        await base.StopAsync(cancellationToken);
        List<KeyValuePair<ServerSession, Task>> open;
        lock (_gate)
        {
            open = [.. _sessions];
        }

        using (var draining = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken))
        {
            draining.CancelAfter(_options.ShutdownTimeout);
            HostingLog.Stopping(_log, open.Count, _files?.Transfers ?? 0, _options.ShutdownTimeout);
            await Task.WhenAll(open.Select(entry => CloseAsync(entry.Key, draining.Token)));
        }

        await _serving.CancelAsync();
        await Task.WhenAll(open.Select(entry => entry.Value));
        if (_listener is not null)
        {
            await _listener.DisposeAsync();
        }

        if (_catalog is not null)
        {
            await _catalog.DisposeAsync();
        }
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                ServerSession session = await Listener.AcceptSessionAsync(stoppingToken);
                lock (_gate)
                {
                    _sessions.Add(session, Task.Run(() => ServeToEndAsync(session), CancellationToken.None));
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // The host stops.
        }
    }

    /// <summary>Makes the catalog ready, before anybody can ask for something.</summary>
    private protected abstract Task PrepareAsync(FileCatalog catalog, CancellationToken cancellationToken);

    /// <summary>Adds what only this role has.</summary>
    private protected abstract KwikListenerOptions Configure(KwikListenerOptions options);

    /// <summary>Serves a session until it ends.</summary>
    private protected abstract Task ServeAsync(ServerSession session, FileServer files, CancellationToken stopping);

    /// <summary>How this server is, for those who watch it.</summary>
    internal HealthCheckResult CheckHealth()
    {
        if (_listener is not { IsListening: true } listener || _files is null)
        {
            return HealthCheckResult.Unhealthy($"The {Role} does not listen.");
        }

        int sessions;
        lock (_gate)
        {
            sessions = _sessions.Count;
        }

        var data = new Dictionary<string, object>
        {
            ["address"] = listener.LocalEndPoint.ToString(),
            ["sessions"] = sessions,
            ["transfers"] = _files.Transfers,
        };
        try
        {
            _ = Directory.EnumerateFileSystemEntries(_catalog!.Root).Any();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return HealthCheckResult.Unhealthy($"The {Role} cannot read '{_catalog!.Root}'.", e, data);
        }

        return _isStopping ? HealthCheckResult.Degraded($"The {Role} is about to stop, and begins nothing.", data: data)
            : sessions >= _options.MaxSessions ? HealthCheckResult.Degraded($"The {Role} has MaxSessions ({_options.MaxSessions}).", data: data)
            : _files.Transfers >= ServerOptions.MaxConcurrentTransfers
                ? HealthCheckResult.Degraded($"The {Role} has MaxConcurrentTransfers ({ServerOptions.MaxConcurrentTransfers}).", data: data)
            : HealthCheckResult.Healthy($"The {Role} listens on {listener.LocalEndPoint}.", data);
    }

    private async Task CloseAsync(ServerSession session, CancellationToken draining)
    {
        string reason = "the server is being stopped";
        try
        {
            await session.WaitForContentsAsync(draining);
        }
        catch (OperationCanceledException)
        {
            HostingLog.SessionCutOff(_log, session.Id);
            reason += ", and waits no longer for what is under way";
        }

        await session.CloseAsync(KwikError.ServerClosing, reason + ".");
    }

    private async Task ServeToEndAsync(ServerSession session)
    {
        try
        {
            await ServeAsync(session, _files!, _serving.Token);
            await session.Closed.WaitAsync(_serving.Token);
        }
        catch (OperationCanceledException)
        {
            // The host stops, which closes the session.
            return;
        }
        catch (Exception e)
        {
            // One session must not end the others, whatever the defect.
            HostingLog.SessionFailed(_log, session.Id, e);
        }

        await session.DisposeAsync();
        lock (_gate)
        {
            _sessions.Remove(session);
        }
    }
}
