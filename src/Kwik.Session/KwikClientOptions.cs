using System.Net;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Streams;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kwik.Sessions;

/// <summary>How a client connects, and what its session may use.</summary>
public sealed record KwikClientOptions
{
    /// <summary>The primary server: an <see cref="IPEndPoint"/>, or a <see cref="DnsEndPoint"/> that is resolved once.</summary>
    public required EndPoint Primary { get; init; }

    /// <summary>The name that the primary's certificate must bear, also sent as SNI; default: the host of <see cref="Primary"/>.</summary>
    public string? ServerName { get; init; }

    /// <summary>
    /// Keys of which the primary must hold one; at most two. Empty, the default: its certificate must chain to a trusted
    /// root and bear the name.
    /// </summary>
    public IReadOnlyList<KeyHash> Pins { get; init; } = [];

    /// <summary>Roots to trust instead of the system's; null, the default: the system's. Not used where there are pins.</summary>
    public X509Certificate2Collection? TrustedRoots { get; init; }

    /// <summary>
    /// Accepts a primary with any certificate, and so anybody in its place. Refused unless the address is on loopback.
    /// Default false.
    /// </summary>
    public bool AcceptAnyPrimary { get; init; }

    /// <summary>
    /// The certificate, with its private key, that names this client to every server of the session; null, the default: an
    /// ephemeral one, made for the session.
    /// </summary>
    public X509Certificate2? ClientCertificate { get; init; }

    /// <summary>Limits of each public stream's aggregation.</summary>
    public AggregatorOptions Aggregation { get; init; } = new();

    /// <summary>
    /// Bytes that may wait ahead of the readers of all streams of a session together: 1 MiB to 64 GiB, default 128 MiB.
    /// Worst case of memory: as for <see cref="AggregatorOptions.MaxPendingBytes"/>, of this value; 64 KiB more for each
    /// stream that is open; and for each Internal stream the frame that is being read, at most 1 MiB. When it is used up,
    /// streams that hold less than others go first.
    /// </summary>
    public long MaxPendingBytes { get; init; } = 128 * 1024 * 1024;

    /// <summary>
    /// How fast all message channels of a session together may send, beside what each has for itself; default: no limit.
    /// </summary>
    public MessageRate MessageRate { get; init; } = new();

    /// <summary>How offered content is shared out among the servers.</summary>
    public DeliveryOptions Delivery { get; init; } = new();

    /// <summary>What the servers' Internal streams are allowed.</summary>
    public SecondaryStreamOptions SecondaryStreams { get; init; } = new();

    /// <summary>When bytes are missing or bad, and what is done then.</summary>
    public RecoveryOptions Recovery { get; init; } = new();

    /// <summary>
    /// Public streams that the primary may have open: 1 to 10,000, default 128. Each that is open and idle, both halves, costs
    /// about 9 KiB of objects at either end, and 18 KiB of the process's memory.
    /// </summary>
    public int MaxPublicStreams { get; init; } = 128;

    /// <summary>Servers that a session may use at once, the primary included: 1 to 64, default 8. Each is one QUIC connection.</summary>
    public int MaxPaths { get; init; } = 8;

    /// <summary>A connection that takes longer fails: 100 ms to 5 min, default 10 s. Each attempt of a path has this long.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// How long a secondary server that was lost is connected again, at once and then about each second, before its path is
    /// removed: 0 to 1 h, default 60 s; 0: never. It keeps its place among <see cref="MaxPaths"/> meanwhile.
    /// </summary>
    public TimeSpan PathRecoveryTime { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Where the session logs; default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>Records the session in a qlog; null, the default: none.</summary>
    public QlogOptions? Qlog { get; init; }

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentException">A value is missing or out of its range; the message names it.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Primary);
        if (Primary is not (IPEndPoint or DnsEndPoint))
        {
            throw new ArgumentException("The primary is an IPEndPoint or a DnsEndPoint.", nameof(Primary));
        }

        if (Pins.Count > 2)
        {
            throw new ArgumentException("At most two pins: the present key and the next.", nameof(Pins));
        }

        if (AcceptAnyPrimary && !(Primary is IPEndPoint literal && IPAddress.IsLoopback(literal.Address)))
        {
            throw new ArgumentException("AcceptAnyPrimary is for loopback addresses only.", nameof(AcceptAnyPrimary));
        }

        Aggregation.Validate();
        MessageRate.Validate();
        Qlog?.Validate();
        Delivery.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxPendingBytes, 1 << 20);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxPendingBytes, 1L << 36);
        SecondaryStreams.Validate();
        Recovery.Validate();
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxPublicStreams, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxPublicStreams, 10_000);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxPaths, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxPaths, 64);
        ArgumentOutOfRangeException.ThrowIfLessThan(ConnectTimeout, TimeSpan.FromMilliseconds(100));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(ConnectTimeout, TimeSpan.FromMinutes(5));
        ArgumentOutOfRangeException.ThrowIfLessThan(PathRecoveryTime, TimeSpan.Zero);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(PathRecoveryTime, TimeSpan.FromHours(1));
    }
}
