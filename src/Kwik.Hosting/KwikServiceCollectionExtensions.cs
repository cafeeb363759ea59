using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Kwik.Hosting;

/// <summary>Adds file servers to a generic host.</summary>
public static class KwikServiceCollectionExtensions
{
    /// <summary>
    /// Adds a primary file server. Its options are checked when the host starts, which fails with an
    /// <see cref="OptionsValidationException"/> that says what to change. The running server is the singleton
    /// <see cref="KwikPrimaryService"/>.
    /// </summary>
    public static OptionsBuilder<KwikPrimaryOptions> AddKwikPrimary(
        this IServiceCollection services, Action<KwikPrimaryOptions>? configure = null) =>
        services.Add<KwikPrimaryService, KwikPrimaryOptions>(configure);

    /// <summary>
    /// Adds a secondary file server. Its options are checked when the host starts, which fails with an
    /// <see cref="OptionsValidationException"/> that says what to change. The running server is the singleton
    /// <see cref="KwikSecondaryService"/>.
    /// </summary>
    public static OptionsBuilder<KwikSecondaryOptions> AddKwikSecondary(
        this IServiceCollection services, Action<KwikSecondaryOptions>? configure = null) =>
        services.Add<KwikSecondaryService, KwikSecondaryOptions>(configure);

    private static OptionsBuilder<TOptions> Add<TService, TOptions>(this IServiceCollection services, Action<TOptions>? configure)
        where TService : KwikService
        where TOptions : KwikServerOptions
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddEnumerable(ServiceDescriptor.Singleton(typeof(IValidateOptions<TOptions>), typeof(KwikServerOptionsValidation)));
        services.TryAddSingleton<TService>();
        services.AddHostedService(provider => provider.GetRequiredService<TService>());
        return services.AddOptions<TOptions>().Configure(options => configure?.Invoke(options)).ValidateOnStart();
    }
}
