using System.Security.Cryptography.X509Certificates;
using Kwik.Transfer;

namespace Kwik.Hosting;

/// <summary>What both kinds of file servers need. Every text can come from configuration.</summary>
public abstract class KwikServerOptions
{
    /// <summary>
    /// Where to listen, <c>ADDRESS:PORT</c>: a literal address, IPv6 in brackets, <c>localhost</c>, or <c>*</c> for every
    /// address. Port 0 lets the system choose. Default <c>127.0.0.1:4433</c>.
    /// </summary>
    public string Listen { get; set; } = "127.0.0.1:4433";

    /// <summary>The directory whose files are served. Required.</summary>
    public string Root { get; set; } = "";

    /// <summary>
    /// The directory that keeps what was computed over the files for the next start; outside <see cref="Root"/>. Null or empty:
    /// none. Default: see <see cref="FileCatalogOptions.CacheDirectory"/>.
    /// </summary>
    public string? CacheDirectory { get; set; } = FileCatalogOptions.DefaultCacheDirectory;

    /// <summary>
    /// The server's certificate: a <c>.pfx</c> without password and with the key, or PEM, the server's first and then its
    /// intermediates. Required unless <see cref="Certificate"/> is set.
    /// </summary>
    public string? CertificatePath { get; set; }

    /// <summary>The private key as PEM; null, the default: it is in the file of the certificate.</summary>
    public string? CertificateKeyPath { get; set; }

    /// <summary>A certificate with its private key, in place of <see cref="CertificatePath"/>.</summary>
    public X509Certificate2? Certificate { get; set; }
}

/// <summary>How a primary file server is set up.</summary>
public sealed class KwikPrimaryOptions : KwikServerOptions
{
    /// <summary>The other servers that clients are sent to, <c>HOST:PORT#sha256/PIN</c> each. Default: none.</summary>
    public IList<string> Secondaries { get; } = [];

    /// <summary>
    /// The private key, as PEM, with which this server signs what its secondaries check. Required where there are
    /// <see cref="Secondaries"/>: they have to know its public half.
    /// </summary>
    public string? SigningKeyPath { get; set; }
}

/// <summary>How a secondary file server is set up.</summary>
public sealed class KwikSecondaryOptions : KwikServerOptions
{
    /// <summary>Files with the public keys, as PEM, of the primaries whose clients are served. At least one.</summary>
    public IList<string> TrustedPrimaries { get; } = [];
}
