using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;

namespace Kwik.Hosting;

/// <summary>Adds the file servers of a host to what is asked for its health.</summary>
public static class KwikHealthChecksBuilderExtensions
{
    /// <summary>
    /// Adds a check of the primary and the secondary file server, whichever the host has. Unhealthy: one does not listen, or cannot
    /// read its directory. Degraded: one has as many sessions or transfers as it may, or is about to stop. Healthy: else. Its
    /// data are <c>address</c>, <c>sessions</c> and <c>transfers</c>. A check reads one entry of the directory, and nothing else.
    /// </summary>
    public static IHealthChecksBuilder AddKwik(this IHealthChecksBuilder builder, string name = "kwik", params IEnumerable<string> tags)
    {
        ArgumentNullException.ThrowIfNull(builder);
        return builder.Add(new HealthCheckRegistration(
            name,
            provider => new KwikHealthCheck([.. Of(provider.GetService<KwikPrimaryService>()), .. Of(provider.GetService<KwikSecondaryService>())]),
            failureStatus: null,
            tags));
    }

    private static IEnumerable<KwikService> Of(KwikService? service) => service is null ? [] : [service];

    private sealed class KwikHealthCheck(IReadOnlyList<KwikService> services) : IHealthCheck
    {
        // The worse one speaks for both.
        public Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default) =>
            Task.FromResult(services.Count == 0
                ? HealthCheckResult.Unhealthy("The host has no file server; add one with AddKwikPrimary or AddKwikSecondary.")
                : services.Select(service => service.CheckHealth()).MinBy(result => result.Status));
    }
}
