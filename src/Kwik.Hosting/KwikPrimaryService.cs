using Kwik.Sessions;
using Kwik.Transfer;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Kwik.Hosting;

/// <summary>A primary file server in a host; see <see cref="KwikServiceCollectionExtensions.AddKwikPrimary"/>.</summary>
public sealed class KwikPrimaryService : KwikService
{
    private readonly KwikPrimaryOptions _options;
    private readonly ILoggerFactory _loggerFactory;
    private FileServer? _files;

    /// <summary>Made by the host.</summary>
    public KwikPrimaryService(IOptions<KwikPrimaryOptions> options, ILoggerFactory loggerFactory)
        : base(options.Value, loggerFactory)
    {
        _options = options.Value;
        _loggerFactory = loggerFactory;
    }

    private protected override ServerRole Role => ServerRole.Primary;

    private protected override Task PrepareAsync(FileCatalog catalog, CancellationToken cancellationToken)
    {
        _files = new(catalog, new()
        {
            Secondaries = [.. _options.Secondaries.Select(SecondaryServer.Parse)],
            LoggerFactory = _loggerFactory,
        });
        return Task.CompletedTask;
    }

    private protected override KwikListenerOptions Configure(KwikListenerOptions options) => options with
    {
        SigningKey = _options.SigningKeyPath is { } path ? PrimaryKey.FromPem(File.ReadAllText(path)) : null,
    };

    private protected override Task ServeAsync(ServerSession session, FileCatalog catalog, CancellationToken stopping) =>
        _files!.ServeAsync((PrimarySession)session, stopping);
}
