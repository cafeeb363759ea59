using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Transfer;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Kwik.Hosting;

/// <summary>
/// A file server in a host: listens when the host starts, serves every session until it ends, and closes them when the
/// host stops.
/// </summary>
public abstract class KwikService : BackgroundService
{
    private readonly KwikServerOptions _options;
    private readonly ILoggerFactory _loggerFactory;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private readonly Dictionary<ServerSession, Task> _sessions = [];
    private KwikListener? _listener;
    private FileCatalog? _catalog;

    private protected KwikService(KwikServerOptions options, ILoggerFactory loggerFactory)
    {
        _options = options;
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
                LoggerFactory = _loggerFactory,
            }),
            cancellationToken);
        if (certificate.DeriveStatelessResetKey() is { } resetKey)
        {
            // Should the library not take it, clients of a server that died wait a little longer.
            _ = QuicProvider.TrySetStatelessResetKey(resetKey);
        }

        HostingLog.Listening(_log, Role, LocalEndPoint, Pin, _catalog.Root);
        await base.StartAsync(cancellationToken);
    }

    /// <summary>Closes every session, each with a bounded time for what was written, then stops listening.</summary>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        List<KeyValuePair<ServerSession, Task>> open;
        lock (_gate)
        {
            open = [.. _sessions];
        }

        await Task.WhenAll(open.Select(entry => entry.Key.DisposeAsync().AsTask()));
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
                    _sessions.Add(session, Task.Run(() => ServeToEndAsync(session, stoppingToken), CancellationToken.None));
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
    private protected abstract Task ServeAsync(ServerSession session, FileCatalog catalog, CancellationToken stopping);

    private async Task ServeToEndAsync(ServerSession session, CancellationToken stopping)
    {
        try
        {
            await ServeAsync(session, _catalog!, stopping);
            await session.Closed.WaitAsync(stopping);
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
