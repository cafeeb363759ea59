namespace Kwik.Sessions;

/// <summary>What one side of a session is, as its measurements and events name it.</summary>
internal enum SessionSide
{
    /// <summary>Connects.</summary>
    Client,

    /// <summary>A primary server.</summary>
    Primary,

    /// <summary>A secondary server.</summary>
    Secondary,
}

/// <summary>What one session has and has done, at one moment; or several together.</summary>
/// <param name="Streams">Public streams that are open.</param>
/// <param name="Pending">Bytes that wait ahead of their readers, or that were asked for to do so.</param>
/// <param name="Holes">Streams whose readers wait at a hole.</param>
/// <param name="FromPrimary">Payload received of a primary; at a server, of its client.</param>
/// <param name="FromSecondaries">Payload received of secondaries.</param>
/// <param name="Sent">Payload sent.</param>
/// <param name="Duplicate">Of what was received, bytes that were here already.</param>
internal readonly record struct SessionCounts(
    long Streams, long Pending, long Holes, long FromPrimary, long FromSecondaries, long Sent, long Duplicate)
{
    public static SessionCounts operator +(SessionCounts one, SessionCounts other) => new(
        one.Streams + other.Streams,
        one.Pending + other.Pending,
        one.Holes + other.Holes,
        one.FromPrimary + other.FromPrimary,
        one.FromSecondaries + other.FromSecondaries,
        one.Sent + other.Sent,
        one.Duplicate + other.Duplicate);

    /// <summary>What stays counted when the session has ended.</summary>
    public SessionCounts Lasting => this with { Streams = 0, Pending = 0, Holes = 0 };
}

/// <summary>A session that is measured while it lives.</summary>
internal interface IMeasuredSession
{
    SessionSide Side { get; }

    /// <summary>Called when somebody collects measurements, from any thread; takes the session's locks.</summary>
    SessionCounts Count();

    /// <summary>A client's paths that are not removed; empty at a server.</summary>
    IReadOnlyList<PathInfo> PathsNow();

    /// <summary>The public streams that are open.</summary>
    IReadOnlyList<StreamSample> StreamsNow();
}
