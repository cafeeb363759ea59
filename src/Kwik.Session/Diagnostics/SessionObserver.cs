using System.Diagnostics;
using System.Net;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// What one session tells to the outside, from its authentication to its end: measurements and a trace. Called outside every
/// lock, because listeners run foreign code. Safe for concurrent use.
/// </summary>
internal sealed class SessionObserver
{
    private readonly SessionEnvironment _environment;
    private readonly IMeasuredSession _session;
    private readonly Span? _span;
    private readonly long _began;

    public SessionObserver(SessionEnvironment environment, IMeasuredSession session, Guid id, IPEndPoint peer)
    {
        _environment = environment;
        _session = session;
        _began = environment.Time.GetTimestamp();
        _span = Span.Begin(environment, "kwik.session", session.Side == SessionSide.Client ? ActivityKind.Client : ActivityKind.Server)?
            .Set("kwik.session.id", id.ToString())
            .Set("kwik.session.role", KwikTelemetry.NameOf(session.Side))
            .SetPeer(peer);
        Holes = new HoleClock(environment.Time, environment.Telemetry.HoleEnded);
        environment.Telemetry.Began(session);
    }

    /// <summary>Ages of the holes that readers wait at.</summary>
    public HoleClock Holes { get; }

    /// <summary>What belongs to the session is traced within it.</summary>
    public ActivityContext Context => _span?.Context ?? default;

    /// <summary>A connection of a client has ended.</summary>
    public void PathEnded(KwikPath path, KwikError error) => _environment.Telemetry.PathEnded(path.Role, error, path.IsIsolated);

    public void Treated(KwikError fault, RecoveryAction action) => _environment.Telemetry.Treated(fault, action);

    public void RuleBroken(ServerRole role, KwikError rule) => _environment.Telemetry.RuleBroken(role, rule);

    /// <summary>What a server was asked for has come, or will not.</summary>
    public void RangeEnded(KwikPath path, KwikError error) => _environment.Telemetry.RangeEnded(path.Role, error);

    /// <summary>A content is going to be fetched into a stream; the caller ends the span.</summary>
    public Span? BeginFetch(KwikStream stream, long length) =>
        Span.Begin(_environment, "kwik.fetch", ActivityKind.Internal, Context)?
            .Set("kwik.stream.id", stream.Id)
            .Set("kwik.content.length", length);

    /// <summary>The session has ended, and everything in it.</summary>
    public void End(KwikError error)
    {
        _environment.Telemetry.Ended(_session, _environment.Time.GetElapsedTime(_began), error);
        _span?.End(error);
    }
}
