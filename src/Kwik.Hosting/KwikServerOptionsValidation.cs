using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using Kwik.Sessions;
using Kwik.Transfer;
using Microsoft.Extensions.Options;

namespace Kwik.Hosting;

/// <summary>Checks options when the host starts: every fault names its key and says what to change.</summary>
internal sealed class KwikServerOptionsValidation : IValidateOptions<KwikPrimaryOptions>, IValidateOptions<KwikSecondaryOptions>
{
    private const long MiB = 1024 * 1024;

    public ValidateOptionsResult Validate(string? name, KwikPrimaryOptions options)
    {
        var faults = new Faults(options);
        Check(options, faults);
        if (options.Secondaries.Count > 0 && string.IsNullOrEmpty(options.SigningKeyPath))
        {
            faults.Add(
                nameof(options.SigningKeyPath),
                "A primary with secondaries needs a signing key whose public half they trust; make one with 'kwik key'.");
        }

        if (!string.IsNullOrEmpty(options.SigningKeyPath))
        {
            faults.Try(nameof(options.SigningKeyPath), () => PrimaryKey.FromPem(File.ReadAllText(options.SigningKeyPath)).Dispose());
        }

        for (int i = 0; i < options.Secondaries.Count; i++)
        {
            string secondary = options.Secondaries[i];
            faults.Try($"{nameof(options.Secondaries)}:{i}", () => SecondaryServer.Parse(secondary).Validate());
        }

        faults.Range(options.MaxConcurrentTransfers, 1, 1_000_000);
        faults.Range(options.MaxPublicStreams, 1, 10_000);
        return faults.Result;
    }

    public ValidateOptionsResult Validate(string? name, KwikSecondaryOptions options)
    {
        var faults = new Faults(options);
        Check(options, faults);
        if (options.TrustedPrimaries.Count == 0)
        {
            faults.Add(
                nameof(options.TrustedPrimaries), "A secondary that trusts no primary serves nobody; name the file with the public key of one.");
        }

        for (int i = 0; i < options.TrustedPrimaries.Count; i++)
        {
            string path = options.TrustedPrimaries[i];
            faults.Try($"{nameof(options.TrustedPrimaries)}:{i}", () => PrimaryPublicKey.FromPem(File.ReadAllText(path)));
        }

        return faults.Result;
    }

    private static void Check(KwikServerOptions options, Faults faults)
    {
        faults.Try(nameof(options.Listen), () => ListenAddress.Parse(options.Listen));
        CheckFiles(options, faults);
        if (options.Certificate is null && string.IsNullOrEmpty(options.CertificatePath))
        {
            faults.Add(nameof(options.CertificatePath), "A server needs a certificate; make one with 'kwik cert'.");
        }
        else
        {
            faults.Try(nameof(options.CertificatePath), () =>
            {
                if (!ServerCertificate.Load(options).Certificate.HasPrivateKey)
                {
                    throw new CryptographicException($"The certificate has no private key; name its file in {nameof(options.CertificateKeyPath)}.");
                }
            });
        }

        faults.Range(options.MaxSessions, 1, 1_000_000);
        faults.Range(options.MaxUnauthenticated, 1, 10_000);
        faults.Range(options.MaxRangeRequests, 1, 1024);
        if (options.ShutdownTimeout < TimeSpan.Zero || options.ShutdownTimeout > TimeSpan.FromHours(1))
        {
            faults.Add(nameof(options.ShutdownTimeout), $"{options.ShutdownTimeout} is out of range; write 00:00:00 to 01:00:00.");
        }
    }

    private static void CheckFiles(KwikServerOptions options, Faults faults)
    {
        int before = faults.Count;
        faults.Range(options.MaxFileBytes ?? 0, 0, long.MaxValue, nameof(options.MaxFileBytes));
        faults.Range(options.MaxCacheBytes, MiB, MiB * MiB);
        faults.Range(options.MaxTreeMemory, MiB, 64 * 1024 * MiB);
        faults.Range(options.MaxQlogBytes, MiB / 16, 16 * 1024 * MiB);
        for (int i = 0; i < options.AllowedExtensions.Count; i++)
        {
            string extension = options.AllowedExtensions[i];
            faults.Try(
                $"{nameof(options.AllowedExtensions)}:{i}", () => new FileCatalogOptions { AllowedExtensions = [extension] }.Validate());
        }

        if (string.IsNullOrEmpty(options.Root))
        {
            faults.Add(nameof(options.Root), "Name the directory whose files are served.");
        }
        else if (!Directory.Exists(options.Root))
        {
            faults.Add(nameof(options.Root), $"There is no directory '{options.Root}' to serve; make it, or name another.");
        }
        else if (faults.Count == before)
        {
            faults.Try(nameof(options.Root), () => _ = Directory.EnumerateFileSystemEntries(options.Root).Any());
            faults.Try(nameof(options.CacheDirectory), () => FileCatalog.Open(options.Root, KwikService.CatalogOptions(options)));
            if (!string.IsNullOrEmpty(options.QlogDirectory))
            {
                faults.Try(nameof(options.QlogDirectory), () => PrepareQlogs(options.QlogDirectory, options.Root));
            }
        }
    }

    // A session whose record cannot be written goes on without, so what an operator asked for is tried before there is any.
    private static void PrepareQlogs(string directory, string root)
    {
        if (FileCatalog.Open(root, new() { CacheDirectory = null }).Covers(directory))
        {
            throw new ArgumentException($"The qlog directory '{directory}' lies in '{root}', whose files are served; name another.");
        }

        Directory.CreateDirectory(directory);
        using FileStream probe = new(
            Path.Combine(directory, Path.GetRandomFileName()), FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
    }

    /// <summary>What is wrong, each with the key that it is wrong with.</summary>
    private sealed class Faults
    {
        private readonly KwikServerOptions _options;
        private readonly List<string> _all = [];

        public Faults(KwikServerOptions options)
        {
            _options = options;
            if (options.ConfigurationFault is { } fault)
            {
                _all.Add(fault);
            }
        }

        public int Count => _all.Count;

        // What could not be read leaves the defaults, whose faults would only distract.
        public ValidateOptionsResult Result => _all.Count == 0 ? ValidateOptionsResult.Success
            : ValidateOptionsResult.Fail(_options.ConfigurationFault is { } fault ? [fault] : _all);

        public void Add(string property, string message) =>
            _all.Add(_options.ConfigurationPath is { } path ? $"{path}:{property}: {message}" : $"{property}: {message}");

        public void Range(long value, long least, long most, [CallerArgumentExpression(nameof(value))] string property = "")
        {
            if (value < least || value > most)
            {
                Add(property[(property.LastIndexOf('.') + 1)..], FormattableString.Invariant($"{value} is out of range; write {least} to {most}."));
            }
        }

        public void Try(string property, Action read)
        {
            try
            {
                read();
            }
            catch (Exception e) when (
                e is IOException or UnauthorizedAccessException or CryptographicException or FormatException or ArgumentException)
            {
                Add(property, e.Message);
            }
        }
    }
}
