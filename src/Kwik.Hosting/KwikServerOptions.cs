using System.Security.Cryptography.X509Certificates;
using Kwik.Sessions;
using Kwik.Transfer;

namespace Kwik.Hosting;

/// <summary>What both kinds of file servers need. Everything but <see cref="Certificate"/> can come from configuration.</summary>
/// <remarks>Read once, when the host starts: a change of the configuration takes effect with the next start.</remarks>
public abstract class KwikServerOptions
{
    /// <summary>
    /// Where to listen, <c>ADDRESS:PORT</c>: a literal address, IPv6 in brackets, <c>localhost</c>, or <c>*</c> for every
    /// address. Port 0 lets the system choose. Default <c>127.0.0.1:4433</c>.
    /// </summary>
    public string Listen { get; set; } = "127.0.0.1:4433";

    /// <summary>The directory whose files are served. Required.</summary>
    public string Root { get; set; } = "";

    /// <summary>Longest file that is served, bytes, 0 or more; null, the default: no limit. For clients a longer one is not there.</summary>
    public long? MaxFileBytes { get; set; }

    /// <summary>
    /// What the names of served files end with, <c>.iso</c> or <c>.tar.gz</c>, upper or lower case; empty, the default: anything. For
    /// clients another file is not there. Where a symbolic link is followed, the name that it leads to counts.
    /// </summary>
    public IList<string> AllowedExtensions { get; } = [];

    /// <summary>
    /// The directory that keeps what was computed over the files for the next start; outside <see cref="Root"/>. Null or empty:
    /// none. Default: see <see cref="FileCatalogOptions.CacheDirectory"/>.
    /// </summary>
    public string? CacheDirectory { get; set; } = FileCatalogOptions.DefaultCacheDirectory;

    /// <summary>Bytes of that directory: 1 MiB to 1 TiB, default 1 GiB, which is enough for 8 TiB of files.</summary>
    public long MaxCacheBytes { get; set; } = new FileCatalogOptions().MaxCacheBytes;

    /// <summary>
    /// Memory for what is computed over the files, bytes: 1 MiB to 64 GiB, default 64 MiB, which is enough for 512 GiB of files. The
    /// worst case is this, and one file's more: 128 bytes for each MiB of it.
    /// </summary>
    public long MaxTreeMemory { get; set; } = new FileCatalogOptions().MaxTreeMemory;

    /// <summary>
    /// The server's certificate: a <c>.pfx</c> without password and with the key, or PEM, the server's first and then its
    /// intermediates. Required unless <see cref="Certificate"/> is set.
    /// </summary>
    public string? CertificatePath { get; set; }

    /// <summary>The private key as PEM; null, the default: it is in the file of the certificate.</summary>
    public string? CertificateKeyPath { get; set; }

    /// <summary>A certificate with its private key, in place of <see cref="CertificatePath"/>; not from configuration.</summary>
    public X509Certificate2? Certificate { get; set; }

    /// <summary>
    /// Clients at once: 1 to 1,000,000, default 10,000. Further ones are refused with LimitExceeded. The memory of each is bounded
    /// by <see cref="MaxRangeRequests"/>; docs/operations.md does the sum.
    /// </summary>
    public int MaxSessions { get; set; } = Defaults.MaxSessions;

    /// <summary>Connections that are not authenticated yet: 1 to 10,000, default 256; each holds at most 4 KiB.</summary>
    public int MaxUnauthenticated { get; set; } = Defaults.MaxUnauthenticated;

    /// <summary>Range requests that one client may have outstanding: 1 to 1,024, default 64. Each costs about 200 bytes until it is served.</summary>
    public int MaxRangeRequests { get; set; } = Defaults.MaxRangeRequests;

    /// <summary>
    /// Where each session is recorded in a qlog of its own, outside <see cref="Root"/>; made when it is not there, and never tidied up. Null
    /// or empty, the default: none. See <see cref="QlogOptions"/>.
    /// </summary>
    public string? QlogDirectory { get; set; }

    /// <summary>Bytes of one qlog: 64 KiB to 16 GiB, default 64 MiB.</summary>
    public long MaxQlogBytes { get; set; } = new QlogOptions().MaxBytes;

    /// <summary>
    /// How long transfers that run may go on when the host stops: 0 to 1 h, default 30 s. Nothing new is begun meanwhile; then
    /// every session is closed, and its client told why. The host's own <c>HostOptions.ShutdownTimeout</c> grows by
    /// this time. Whoever stops the process has to wait longer than both: 60 s and more by default.
    /// </summary>
    public TimeSpan ShutdownTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>The section that the options were read from, as a path of keys; null: from code.</summary>
    internal string? ConfigurationPath { get; set; }

    /// <summary>What was wrong with that section; null: nothing.</summary>
    internal string? ConfigurationFault { get; set; }

    // One place for the defaults: what a listener takes without being told.
    private protected static KwikListenerOptions Defaults { get; } = new()
    {
        Role = ServerRole.Primary,
        ListenEndPoint = new(0, 0),
        Certificate = null!,
    };
}

/// <summary>How a primary file server is set up.</summary>
public sealed class KwikPrimaryOptions : KwikServerOptions
{
    /// <summary>Where these options are in a configuration, unless somebody puts them elsewhere.</summary>
    public const string SectionName = "Kwik:Primary";

    /// <summary>The other servers that clients are sent to, <c>HOST:PORT#sha256/PIN</c> each. Default: none.</summary>
    public IList<string> Secondaries { get; } = [];

    /// <summary>
    /// The private key, as PEM, with which this server signs what its secondaries check. Required where there are
    /// <see cref="Secondaries"/>: they have to know its public half.
    /// </summary>
    public string? SigningKeyPath { get; set; }

    /// <summary>
    /// Files that are on their way at once, to all clients together: 1 to 1,000,000, default 1,000. Each costs about 2 KiB. A request
    /// beyond it is aborted with LimitExceeded, which means: not now.
    /// </summary>
    public int MaxConcurrentTransfers { get; set; } = new FileServerOptions().MaxConcurrentTransfers;

    /// <summary>Streams that one client may have open: 1 to 10,000, default 128. Each costs about 9 KiB of objects, 18 KiB of memory.</summary>
    public int MaxPublicStreams { get; set; } = Defaults.MaxPublicStreams;
}

/// <summary>How a secondary file server is set up.</summary>
public sealed class KwikSecondaryOptions : KwikServerOptions
{
    /// <summary>Where these options are in a configuration, unless somebody puts them elsewhere.</summary>
    public const string SectionName = "Kwik:Secondary";

    /// <summary>Files with the public keys, as PEM, of the primaries whose clients are served. At least one.</summary>
    public IList<string> TrustedPrimaries { get; } = [];
}
