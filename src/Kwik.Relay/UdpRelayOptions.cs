using System.Net;

namespace Kwik.Relay;

/// <summary>Where a <see cref="UdpRelay"/> stands, and what it does to each direction.</summary>
public sealed record UdpRelayOptions
{
    /// <summary>Where clients send to. Default: a free port on the IPv4 loopback address.</summary>
    public IPEndPoint Listen { get; init; } = new(IPAddress.Loopback, 0);

    /// <summary>The server. Nobody needs to listen there yet.</summary>
    public required IPEndPoint Target { get; init; }

    /// <summary>Chooses all that is random. Default 0.</summary>
    public ulong Seed { get; init; }

    /// <summary>From clients to <see cref="Target"/>: one link that all clients share. Default: passes everything on.</summary>
    public LinkOptions ToServer { get; init; } = new();

    /// <summary>From <see cref="Target"/> to clients: one link that all clients share. Default: passes everything on.</summary>
    public LinkOptions ToClient { get; init; } = new();

    /// <summary>
    /// A client that neither sent nor received for so long is forgotten, and its socket towards the target closed: at
    /// least 1 s, default 2 minutes (the least that RFC 4787 allows a NAT).
    /// </summary>
    public TimeSpan ClientIdleTimeout { get; init; } = TimeSpan.FromMinutes(2);

    /// <summary>The clock that delays and rates are counted by. Default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Checks every range.</summary>
    /// <exception cref="ArgumentException">The message names the option and what it must be.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Listen);
        ArgumentNullException.ThrowIfNull(Target);
        ArgumentNullException.ThrowIfNull(TimeProvider);
        ArgumentNullException.ThrowIfNull(ToServer);
        ArgumentNullException.ThrowIfNull(ToClient);
        ArgumentOutOfRangeException.ThrowIfZero(Target.Port, nameof(Target));
        ArgumentOutOfRangeException.ThrowIfLessThan(ClientIdleTimeout, TimeSpan.FromSeconds(1));
        ToServer.Validate();
        ToClient.Validate();
    }
}
