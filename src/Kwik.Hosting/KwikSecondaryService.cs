using Kwik.Sessions;
using Kwik.Transfer;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;

namespace Kwik.Hosting;

/// <summary>A secondary file server in a host; see <see cref="KwikServiceCollectionExtensions"/>.</summary>
public sealed class KwikSecondaryService : KwikService
{
    private readonly KwikSecondaryOptions _options;

    /// <summary>Made by the host.</summary>
    public KwikSecondaryService(IOptions<KwikSecondaryOptions> options, IOptions<HostOptions> host, ILoggerFactory loggerFactory)
        : base(options.Value, host.Value, loggerFactory)
    {
        _options = options.Value;
    }

    private protected override ServerRole Role => ServerRole.Secondary;

    private protected override Task PrepareAsync(FileCatalog catalog, CancellationToken cancellationToken) =>
        catalog.IndexAsync(cancellationToken);

    private protected override KwikListenerOptions Configure(KwikListenerOptions options) => options with
    {
        TrustedPrimaries = [.. _options.TrustedPrimaries.Select(path => PrimaryPublicKey.FromPem(File.ReadAllText(path)))],
    };

    // The session answers range requests from the catalog by itself.
    private protected override Task ServeAsync(ServerSession session, FileServer files, CancellationToken stopping) =>
        files.ServeAsync((SecondarySession)session, stopping);
}
