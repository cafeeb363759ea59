using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Kwik.Sessions;

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
        string? key = string.IsNullOrEmpty(options.CertificateKeyPath) ? null : options.CertificateKeyPath;
        return new(X509Certificate2.CreateFromPemFile(path, key), all);
    }

    /// <summary>
    /// A key for stateless resets that is the same each time the server starts with the same certificate, and that nobody can
    /// know who does not have the private key. Null when the private key does not leave its store.
    /// </summary>
    public byte[]? DeriveStatelessResetKey()
    {
        using AsymmetricAlgorithm? key = Certificate.GetRSAPrivateKey() ?? (AsymmetricAlgorithm?)Certificate.GetECDsaPrivateKey();
        byte[] secret;
        try
        {
            secret = key?.ExportPkcs8PrivateKey() ?? [];
        }
        catch (CryptographicException)
        {
            // Not exportable: resets of this server then end with the process.
            return null;
        }

        try
        {
            return secret.Length == 0
                ? null
                : HKDF.DeriveKey(
                    HashAlgorithmName.SHA256, secret, QuicProvider.StatelessResetKeyLength, info: "kwik stateless reset"u8.ToArray());
        }
        finally
        {
            CryptographicOperations.ZeroMemory(secret);
        }
    }
}
