using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Kwik.Hosting;

/// <summary>
/// Adds file servers to a generic host. Options are checked when the host starts, which fails with an
/// <see cref="OptionsValidationException"/> whose messages name the key and say what to change. A running server is a singleton,
/// <see cref="KwikPrimaryService"/> or <see cref="KwikSecondaryService"/>.
/// </summary>
public static class KwikServiceCollectionExtensions
{
    /// <summary>Adds a primary file server with options from code.</summary>
    public static OptionsBuilder<KwikPrimaryOptions> AddKwikPrimary(
        this IServiceCollection services, Action<KwikPrimaryOptions>? configure = null) =>
        services.Add<KwikPrimaryService, KwikPrimaryOptions>(null, configure);

    /// <summary>
    /// Adds a primary file server with options from a configuration, usually the section <see cref="KwikPrimaryOptions.SectionName"/>;
    /// a key that there is not is a fault. <paramref name="configure"/> comes last.
    /// </summary>
    public static OptionsBuilder<KwikPrimaryOptions> AddKwikPrimary(
        this IServiceCollection services, IConfiguration configuration, Action<KwikPrimaryOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        return services.Add<KwikPrimaryService, KwikPrimaryOptions>(configuration, configure);
    }

    /// <summary>Adds a secondary file server with options from code.</summary>
    public static OptionsBuilder<KwikSecondaryOptions> AddKwikSecondary(
        this IServiceCollection services, Action<KwikSecondaryOptions>? configure = null) =>
        services.Add<KwikSecondaryService, KwikSecondaryOptions>(null, configure);

    /// <summary>
    /// Adds a secondary file server with options from a configuration, usually the section
    /// <see cref="KwikSecondaryOptions.SectionName"/>; a key that there is not is a fault. <paramref name="configure"/> comes last.
    /// </summary>
    public static OptionsBuilder<KwikSecondaryOptions> AddKwikSecondary(
        this IServiceCollection services, IConfiguration configuration, Action<KwikSecondaryOptions>? configure = null)
    {
        ArgumentNullException.ThrowIfNull(configuration);
        return services.Add<KwikSecondaryService, KwikSecondaryOptions>(configuration, configure);
    }

    private static OptionsBuilder<TOptions> Add<TService, TOptions>(
        this IServiceCollection services, IConfiguration? configuration, Action<TOptions>? configure)
        where TService : KwikService
        where TOptions : KwikServerOptions
    {
        ArgumentNullException.ThrowIfNull(services);
        services.TryAddEnumerable(ServiceDescriptor.Singleton(typeof(IValidateOptions<TOptions>), typeof(KwikServerOptionsValidation)));
        services.TryAddSingleton<TService>();
        services.AddHostedService(provider => provider.GetRequiredService<TService>());
        if (configuration is not null)
        {
            services.AddSingleton<IConfigureOptions<TOptions>>(new KwikConfiguration<TOptions>(configuration));
        }

        return services.AddOptions<TOptions>().Configure(options => configure?.Invoke(options)).ValidateOnStart();
    }
}
