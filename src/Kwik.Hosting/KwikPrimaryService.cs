using Kwik.Sessions;
using Kwik.Transfer;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Kwik.Hosting;

/// <summary>A primary file server in a host; see <see cref="KwikServiceCollectionExtensions"/>.</summary>
public sealed class KwikPrimaryService : KwikService
{
    private readonly KwikPrimaryOptions _options;
    private readonly ILoggerFactory _loggerFactory;
    private PrimaryKey? _signingKey;

    /// <summary>Made by the host.</summary>
    public KwikPrimaryService(IOptions<KwikPrimaryOptions> options, IOptions<HostOptions> host, ILoggerFactory loggerFactory)
        : base(options.Value, host.Value, loggerFactory)
    {
        _options = options.Value;
        _loggerFactory = loggerFactory;
    }

    private protected override ServerRole Role => ServerRole.Primary;

    /// <inheritdoc/>
    public override async Task StopAsync(CancellationToken cancellationToken)
    {
        await base.StopAsync(cancellationToken);
        _signingKey?.Dispose();
    }

    private protected override FileServerOptions ServerOptions => new()
    {
        Secondaries = [.. _options.Secondaries.Select(SecondaryServer.Parse)],
        MaxConcurrentTransfers = _options.MaxConcurrentTransfers,
        MaxRequests = _options.MaxPublicStreams,
        LoggerFactory = _loggerFactory,
    };

    // Files are read when they are asked for.
    private protected override Task PrepareAsync(FileCatalog catalog, CancellationToken cancellationToken) => Task.CompletedTask;

    private protected override KwikListenerOptions Configure(KwikListenerOptions options)
    {
        _signingKey = string.IsNullOrEmpty(_options.SigningKeyPath) ? null : PrimaryKey.FromPem(File.ReadAllText(_options.SigningKeyPath));
        return options with { SigningKey = _signingKey, MaxPublicStreams = _options.MaxPublicStreams };
    }

    private protected override Task ServeAsync(ServerSession session, FileServer files, CancellationToken stopping) =>
        files.ServeAsync((PrimarySession)session, stopping);
}
