using System.Diagnostics;
using System.Net;
using Kwik.Data;
using Kwik.Streams;
using Microsoft.Extensions.Logging;

namespace Kwik.Sessions;

/// <summary>
/// What one session tells to the outside, from its authentication to its end: measurements, a trace, and a qlog where one is
/// wanted. Called outside every lock, because listeners run foreign code; but for <see cref="Qlog"/>. Safe for concurrent use.
/// </summary>
internal sealed class SessionObserver
{
    private readonly SessionEnvironment _environment;
    private readonly IMeasuredSession _session;
    private readonly Span? _span;
    private readonly long _began;

    /// <param name="environment">The session's.</param>
    /// <param name="session">Whole, but for this.</param>
    /// <param name="id">Of the session.</param>
    /// <param name="peer">At the other end.</param>
    /// <param name="qlog">Null: none.</param>
    /// <param name="log">Learns when the qlog cannot be written.</param>
    public SessionObserver(
        SessionEnvironment environment, IMeasuredSession session, Guid id, IPEndPoint peer, QlogOptions? qlog, ILogger log)
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
        Qlog = qlog is null ? null : new QlogTrace(
            qlog, environment, session, id, peer, e => SessionLog.QlogFailed(log, id, $"{e.GetType().Name}: {e.Message}"));
    }

    /// <summary>Ages of the holes that readers wait at.</summary>
    public HoleClock Holes { get; }

    /// <summary>The session's qlog; null when none is wanted.</summary>
    public QlogTrace? Qlog { get; }

    /// <summary>What belongs to the session is traced within it.</summary>
    public ActivityContext Context => _span?.Context ?? default;

    /// <summary>A connection of a client has ended.</summary>
    public void PathEnded(KwikPath path, KwikException reason)
    {
        _environment.Telemetry.PathEnded(path.Role, reason.Code, path.IsIsolated);
        Qlog?.PathEnded(path.Id, reason, path.IsIsolated);
    }

    public void Treated(KwikError fault, RecoveryAction action) => _environment.Telemetry.Treated(fault, action);

    public void RuleBroken(ServerRole role, KwikError rule) => _environment.Telemetry.RuleBroken(role, rule);

    /// <summary>What a server was asked for has come, or will not.</summary>
    public void RangeEnded(KwikPath path, StreamMapping range, KwikError error)
    {
        _environment.Telemetry.RangeEnded(path.Role, error);
        Qlog?.RangeEnded(path.Id, range.Stream.Id, range.RequestId, error);
    }

    /// <summary>A content is going to be fetched into a stream; the caller ends the span.</summary>
    public Span? BeginFetch(KwikStream stream, ContentOffer offer)
    {
        Qlog?.Offered(stream, offer);
        return Span.Begin(_environment, "kwik.fetch", ActivityKind.Internal, Context)?
            .Set("kwik.stream.id", stream.Id)
            .Set("kwik.content.length", offer.Length);
    }

    /// <summary>The session has ended, and everything in it. Waits until the qlog is written, a bounded time.</summary>
    public Task EndAsync(KwikError error, string? reason)
    {
        _environment.Telemetry.Ended(_session, _environment.Time.GetElapsedTime(_began), error);
        _span?.End(error);
        return Qlog?.EndAsync(error, reason) ?? Task.CompletedTask;
    }
}
