using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Options;

namespace Kwik.Hosting;

/// <summary>Reads options from a section of a configuration. A key that there is not is a fault: a limit with a typing error is none.</summary>
internal sealed class KwikConfiguration<TOptions>(IConfiguration configuration) : IConfigureOptions<TOptions>
    where TOptions : KwikServerOptions
{
    public void Configure(TOptions options)
    {
        options.ConfigurationPath = (configuration as IConfigurationSection)?.Path;
        try
        {
            configuration.Bind(options, binder => binder.ErrorOnUnknownConfiguration = true);
        }
        catch (InvalidOperationException e)
        {
            // Told by the validation, together with what to change.
            options.ConfigurationFault = $"{options.ConfigurationPath ?? "The configuration"}: {e.Message} {e.InnerException?.Message}".TrimEnd();
        }
    }
}
