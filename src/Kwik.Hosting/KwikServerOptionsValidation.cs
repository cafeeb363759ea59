using System.Security.Cryptography;
using Kwik.Sessions;
using Kwik.Transfer;
using Microsoft.Extensions.Options;

namespace Kwik.Hosting;

/// <summary>Checks options when the host starts, and says what to change.</summary>
internal sealed class KwikServerOptionsValidation : IValidateOptions<KwikPrimaryOptions>, IValidateOptions<KwikSecondaryOptions>
{
    public ValidateOptionsResult Validate(string? name, KwikPrimaryOptions options)
    {
        var faults = new ValidateOptionsResultBuilder();
        Check(options, faults);
        if (options.Secondaries.Count > 0 && options.SigningKeyPath is null)
        {
            faults.AddError(
                "A primary with secondaries needs a signing key whose public half they trust; make one with 'kwik key'.",
                nameof(options.SigningKeyPath));
        }

        if (options.SigningKeyPath is { } key)
        {
            TryRead(faults, nameof(options.SigningKeyPath), () => PrimaryKey.FromPem(File.ReadAllText(key)).Dispose());
        }

        foreach (string secondary in options.Secondaries)
        {
            TryRead(faults, nameof(options.Secondaries), () => SecondaryServer.Parse(secondary).Validate());
        }

        return faults.Build();
    }

    public ValidateOptionsResult Validate(string? name, KwikSecondaryOptions options)
    {
        var faults = new ValidateOptionsResultBuilder();
        Check(options, faults);
        if (options.TrustedPrimaries.Count == 0)
        {
            faults.AddError(
                "A secondary that trusts no primary serves nobody; name the file with the public key of one.",
                nameof(options.TrustedPrimaries));
        }

        foreach (string path in options.TrustedPrimaries)
        {
            TryRead(faults, nameof(options.TrustedPrimaries), () => PrimaryPublicKey.FromPem(File.ReadAllText(path)));
        }

        return faults.Build();
    }

    private static void Check(KwikServerOptions options, ValidateOptionsResultBuilder faults)
    {
        TryRead(faults, nameof(options.Listen), () => ListenAddress.Parse(options.Listen));
        if (!Directory.Exists(options.Root))
        {
            faults.AddError($"There is no directory '{options.Root}' to serve.", nameof(options.Root));
        }
        else
        {
            TryRead(
                faults,
                nameof(options.CacheDirectory),
                () => FileCatalog.Open(options.Root, new() { CacheDirectory = options.CacheDirectory }));
        }

        if (options.Certificate is null && options.CertificatePath is null)
        {
            faults.AddError("A server needs a certificate; make one with 'kwik cert'.", nameof(options.CertificatePath));
            return;
        }

        TryRead(faults, nameof(options.CertificatePath), () =>
        {
            if (!ServerCertificate.Load(options).Certificate.HasPrivateKey)
            {
                throw new CryptographicException("The certificate has no private key; name its file as well.");
            }
        });
    }

    private static void TryRead(ValidateOptionsResultBuilder faults, string property, Action read)
    {
        try
        {
            read();
        }
        catch (Exception e) when (
            e is IOException or UnauthorizedAccessException or CryptographicException or FormatException or ArgumentException)
        {
            faults.AddError(e.Message, property);
        }
    }
}
