using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.Hosting;

/// <summary>A server's certificate and what is sent with it.</summary>
internal sealed record ServerCertificate(X509Certificate2 Certificate, X509Certificate2Collection? Intermediates)
{
    /// <summary>Reads what the options name.</summary>
    /// <exception cref="CryptographicException">A file does not hold what it should.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">This process may not read a file.</exception>
    public static ServerCertificate Load(KwikServerOptions options)
    {
        if (options.Certificate is { } given)
        {
            return new(given, null);
        }

        string path = options.CertificatePath!;
        if (Path.GetExtension(path).ToUpperInvariant() is ".PFX" or ".P12")
        {
            return new(X509CertificateLoader.LoadPkcs12FromFile(path, password: null), null);
        }

        var all = new X509Certificate2Collection();
        all.ImportFromPemFile(path);
        if (all.Count == 0)
        {
            throw new CryptographicException($"'{path}' holds no certificate.");
        }

        all.RemoveAt(0);
        return new(X509Certificate2.CreateFromPemFile(path, options.CertificateKeyPath), all);
    }
}
