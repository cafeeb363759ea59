using System.Net;

namespace Kwik.Sessions;

/// <summary>What a server is to a session.</summary>
public enum ServerRole
{
    /// <summary>Opens public streams, vouches for content, names the other servers.</summary>
    Primary = 1,

    /// <summary>Sends what it is asked for; needs no trust.</summary>
    Secondary = 2,
}

/// <summary>A path at one moment.</summary>
/// <param name="Id">0 is the primary.</param>
/// <param name="Role">The role of the server at its other end.</param>
/// <param name="EndPoint">The server's address; null until it is known.</param>
/// <param name="State">Where the path stands.</param>
/// <param name="Since">Since when it stands there.</param>
/// <param name="LastActivity">When something was last heard of the server.</param>
/// <param name="RoundTrip">From the authentication, then from heartbeats, which clients send; null before, and where a server looks at its own client.</param>
/// <param name="BytesReceived">Payload received for public streams, bytes, over all connections of the path; what came twice counts twice.</param>
/// <param name="Violations">Streams that the other side of the path opened against a rule, and that were aborted.</param>
public sealed record PathInfo(
    int Id,
    ServerRole Role,
    IPEndPoint? EndPoint,
    PathState State,
    DateTimeOffset Since,
    DateTimeOffset LastActivity,
    TimeSpan? RoundTrip,
    long BytesReceived,
    int Violations = 0);
