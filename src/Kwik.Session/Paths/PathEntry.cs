using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// One path of a client session over all of its connections: a number in the primary's words, an address, a state. What
/// is marked so is the table's, and changes under its lock only.
/// </summary>
internal sealed class PathEntry(int id, ServerRole role, DateTimeOffset now)
{
    public int Id => id;

    public ServerRole Role => role;

    /// <summary>What the primary announced; null for the primary.</summary>
    public AddPath? Announced { get; init; }

    /// <summary>Cancelled when the path is taken away or the session ends: its connection, or the making of one, ends.</summary>
    public CancellationTokenSource Stop { get; init; } = new();

    /// <summary>Where to connect; null until the address is known. Set once, by the task that connects.</summary>
    public TransportConnectOptions? Target { get; set; }

    /// <summary>Admits a connection to the server; null for the primary. Replaced when the primary sends a new one.</summary>
    public HeldToken? Token { get; set; }

    /// <summary>When a new token was asked for last; 0: never, or the answer is here.</summary>
    public long TokenAskedAt { get; set; }

    /// <summary>The table's.</summary>
    public PathState State { get; set; } = PathState.Connecting;

    /// <summary>Since when; the table's.</summary>
    public DateTimeOffset Since { get; set; } = now;

    /// <summary>When the path came to be.</summary>
    public DateTimeOffset Began { get; } = now;

    /// <summary>The present connection, or the last one; the table's.</summary>
    public KwikPath? Connection { get; set; }

    /// <summary>The primary wants it gone: it takes nothing new. The table's.</summary>
    public bool IsLeaving { get; set; }

    /// <summary>Payload of the connections before the present one; the table's.</summary>
    public long EarlierBytes { get; set; }

    /// <summary>Violations on the connections before the present one; the table's.</summary>
    public int EarlierViolations { get; set; }

    /// <summary>What the primary was last told; the table's.</summary>
    public PathInfo? Reported { get; set; }

    public PathInfo Describe() => new(
        id,
        role,
        Connection?.Connection.RemoteEndPoint ?? Target?.RemoteEndPoint,
        State,
        Since,
        Connection?.LastActivity ?? Began,
        Connection?.RoundTrip,
        EarlierBytes + (Connection?.BytesReceived ?? 0),
        EarlierViolations + (Connection?.Violations ?? 0));
}
