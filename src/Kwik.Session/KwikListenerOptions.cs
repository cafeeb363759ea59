using System.Net;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Streams;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kwik.Sessions;

/// <summary>How a server listens, and what its sessions may use.</summary>
public sealed record KwikListenerOptions
{
    /// <summary>What this server is to its clients.</summary>
    public required ServerRole Role { get; init; }

    /// <summary>Where to listen; port 0 lets the system choose.</summary>
    public required IPEndPoint ListenEndPoint { get; init; }

    /// <summary>The server's certificate, with its private key.</summary>
    public required X509Certificate2 Certificate { get; init; }

    /// <summary>Intermediates that are sent with it; default: none.</summary>
    public X509Certificate2Collection? Intermediates { get; init; }

    /// <summary>
    /// Roots that a client's certificate must chain to (mutual TLS); null, the default: any certificate, its key is what
    /// tokens are bound to.
    /// </summary>
    public X509Certificate2Collection? TrustedClientRoots { get; init; }

    /// <summary>On a primary: signs what its secondaries check. Null, the default: a key made for this listener.</summary>
    public PrimaryKey? SigningKey { get; init; }

    /// <summary>On a secondary: the primaries whose clients it serves. Empty, the default: nobody is admitted.</summary>
    public IReadOnlyList<PrimaryPublicKey> TrustedPrimaries { get; init; } = [];

    /// <summary>Where offered contents are found; null, the default: this server sends none itself.</summary>
    public IContentProvider? ContentProvider { get; init; }

    /// <summary>Limits of aggregation on streams that clients write to; default as for clients.</summary>
    public AggregatorOptions Aggregation { get; init; } = new();

    /// <summary>
    /// Bytes that may wait ahead of the readers of all streams of a session together: 1 MiB to 64 GiB, default 128 MiB.
    /// Worst case of memory: as for <see cref="AggregatorOptions.MaxPendingBytes"/>, of this value; 64 KiB more for each
    /// stream that is open; and one frame of at most 1 MiB for each that is being read. When it is used up,
    /// streams that hold less than others go first.
    /// </summary>
    public long MaxPendingBytes { get; init; } = 128 * 1024 * 1024;

    /// <summary>
    /// How fast all message channels of a session together may send, beside what each has for itself; default: no limit.
    /// </summary>
    public MessageRate MessageRate { get; init; } = new();

    /// <summary>
    /// Public streams that a client may have open: 1 to 10,000, default 128. Each that is open and idle, both halves, costs
    /// about 9 KiB of objects at either end, and 18 KiB of the process's memory.
    /// </summary>
    public int MaxPublicStreams { get; init; } = 128;

    /// <summary>
    /// Range requests that a client may have outstanding: 1 to 1,024, default 64. Each costs about 200 bytes until it is served.
    /// </summary>
    public int MaxRangeRequests { get; init; } = 64;

    /// <summary>Sessions at once: 1 to 1,000,000, default 10,000. Further ones are refused with LimitExceeded.</summary>
    public int MaxSessions { get; init; } = 10_000;

    /// <summary>Connections that are not authenticated yet: 1 to 10,000, default 256; each holds at most 4 KiB.</summary>
    public int MaxUnauthenticated { get; init; } = 256;

    /// <summary>Where the listener and its sessions log; default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>Records each session, as this server sees it, in a qlog; null, the default: none.</summary>
    public QlogOptions? Qlog { get; init; }

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentException">A value is missing or out of its range; the message names it.</exception>
    public void Validate()
    {
        if (!Enum.IsDefined(Role))
        {
            throw new ArgumentOutOfRangeException(nameof(Role), Role, "A server is a primary or a secondary.");
        }

        ArgumentNullException.ThrowIfNull(ListenEndPoint);
        ArgumentNullException.ThrowIfNull(Certificate);
        if (!Certificate.HasPrivateKey)
        {
            throw new ArgumentException("The certificate of a server needs its private key.", nameof(Certificate));
        }

        Aggregation.Validate();
        MessageRate.Validate();
        Qlog?.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxPendingBytes, 1 << 20);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxPendingBytes, 1L << 36);
        ThrowIfOutside(MaxPublicStreams, 10_000, nameof(MaxPublicStreams));
        ThrowIfOutside(MaxRangeRequests, 1024, nameof(MaxRangeRequests));
        ThrowIfOutside(MaxSessions, 1_000_000, nameof(MaxSessions));
        ThrowIfOutside(MaxUnauthenticated, 10_000, nameof(MaxUnauthenticated));
    }

    private static void ThrowIfOutside(int value, int highest, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(value, 1, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(value, highest, name);
    }
}
