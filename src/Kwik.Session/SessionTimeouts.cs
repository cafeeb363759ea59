namespace Kwik.Sessions;

/// <summary>The times of protocol version 1, each with its reason.</summary>
internal static class SessionTimeouts
{
    /// <summary>A stream whose 17 bytes are not complete by then is aborted: it holds a stream credit for nothing.</summary>
    public static TimeSpan Header { get; } = TimeSpan.FromSeconds(5);

    /// <summary>A half of a public stream whose other half has not come by then is aborted.</summary>
    public static TimeSpan Pairing { get; } = TimeSpan.FromSeconds(15);

    /// <summary>From the handshake to Authenticated: three lost packets in a row on a bad link.</summary>
    public static TimeSpan Authentication { get; } = TimeSpan.FromSeconds(10);

    /// <summary>Heartbeats while nothing is outstanding: often enough to notice a dead server before it is needed.</summary>
    public static TimeSpan IdleHeartbeat { get; } = TimeSpan.FromSeconds(3);

    /// <summary>Heartbeats while data is outstanding.</summary>
    public static TimeSpan BusyHeartbeat { get; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Heartbeats of a path whose round trip takes 3 s or more; below that, twice the round trip if that is longer than the above.</summary>
    public static TimeSpan LongestHeartbeat { get; } = TimeSpan.FromSeconds(6);

    /// <summary>Heartbeats in a row without an answer that make a path dead.</summary>
    public const int MissedHeartbeats = 3;

    /// <summary>A graceful close waits this long for the peer to take what was written.</summary>
    public static TimeSpan Close { get; } = TimeSpan.FromSeconds(5);
}
