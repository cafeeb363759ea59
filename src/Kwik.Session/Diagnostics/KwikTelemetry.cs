using System.Diagnostics;
using System.Diagnostics.Metrics;
using System.Reflection;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// The Meter and the ActivitySource <c>Kwik</c>: what sessions tell to whoever listens in this process. Tags have values of
/// small sets only, never an address, a path or an id. Safe for concurrent use.
/// </summary>
/// <remarks>
/// Nothing is counted here for each frame: bytes and states are kept by the sessions anyway, and are summed when somebody
/// collects. What happens seldom, to a path or a range, is counted when it happens, and costs a comparison when nobody listens.
/// </remarks>
internal sealed class KwikTelemetry : IDisposable
{
    public const string Name = "Kwik";

    private readonly Lock _gate = new();
    private readonly HashSet<IMeasuredSession> _live = [];
    private readonly SessionCounts[] _ended = new SessionCounts[Enum.GetValues<SessionSide>().Length];
    private readonly Counter<long> _refused;
    private readonly Counter<long> _pathFailures;
    private readonly Counter<long> _isolated;
    private readonly Counter<long> _faults;
    private readonly Counter<long> _rulesBroken;
    private readonly Counter<long> _ranges;
    private readonly Histogram<double> _connectDuration;
    private readonly Histogram<double> _sessionDuration;
    private readonly Histogram<double> _holeDuration;

    /// <summary>A meter and a source of their own: a test listens to these and no others.</summary>
    public KwikTelemetry()
    {
        string? version = typeof(KwikTelemetry).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?
            .InformationalVersion.Split('+')[0];
        Meter = new Meter(Name, version);
        Activities = new ActivitySource(Name, version);

        Meter.CreateObservableUpDownCounter("kwik.sessions.active", () => Sum(null), "{session}", "Sessions that are open.");
        Meter.CreateObservableUpDownCounter("kwik.streams.active", () => Sum(counts => counts.Streams), "{stream}", "Public streams that are open.");
        Meter.CreateObservableUpDownCounter("kwik.paths.active", Paths, "{path}", "Paths of clients that are not removed.");
        Meter.CreateObservableUpDownCounter(
            "kwik.stream.pending", () => Sum(counts => counts.Pending), "By", "Bytes ahead of the readers, here or asked for.");
        Meter.CreateObservableUpDownCounter(
            "kwik.stream.holes", () => Sum(counts => counts.Holes), "{hole}", "Streams whose readers wait at missing bytes.");
        Meter.CreateObservableCounter("kwik.stream.received", Received, "By", "Payload received for public streams.");
        Meter.CreateObservableCounter("kwik.stream.sent", () => Sum(counts => counts.Sent, ofEnded: true), "By", "Payload sent.");
        Meter.CreateObservableCounter(
            "kwik.stream.duplicate", () => Sum(counts => counts.Duplicate, ofEnded: true), "By", "Bytes received that were here already.");
        _connectDuration = Meter.CreateHistogram<double>("kwik.connect.duration", "s", "Handshake and authentication of a client's connection.");
        _sessionDuration = Meter.CreateHistogram<double>("kwik.session.duration", "s", "From the authentication of a session to its end.");
        _holeDuration = Meter.CreateHistogram<double>(
            "kwik.stream.hole.duration", "s", "For how long readers waited at a hole; seen every 250 ms.");
        _refused = Meter.CreateCounter<long>("kwik.connections.refused", "{connection}", "Connections that a listener did not admit.");
        _pathFailures = Meter.CreateCounter<long>("kwik.path.failures", "{failure}", "Connections of clients that ended with an error.");
        _isolated = Meter.CreateCounter<long>("kwik.path.isolated", "{path}", "Servers that clients took out for what they did.");
        _faults = Meter.CreateCounter<long>("kwik.faults", "{fault}", "Faults of servers that clients treated.");
        _rulesBroken = Meter.CreateCounter<long>("kwik.rules.broken", "{violation}", "Streams and frames that clients rejected.");
        _ranges = Meter.CreateCounter<long>("kwik.ranges", "{range}", "Ranges of offered content that clients asked for, by how they ended.");
    }

    /// <summary>What everything in the process uses that is not a test.</summary>
    public static KwikTelemetry Shared { get; } = new();

    public Meter Meter { get; }

    public ActivitySource Activities { get; }

    public void Dispose()
    {
        Meter.Dispose();
        Activities.Dispose();
    }

    /// <summary>The word for an error in tags; null where there is none.</summary>
    public static string? ErrorType(KwikError error) => error == KwikError.None ? null : error.ToString();

    public static string NameOf(SessionSide side) => side switch
    {
        SessionSide.Client => "client",
        SessionSide.Primary => "primary",
        _ => "secondary",
    };

    public static string NameOf(ServerRole role) => role == ServerRole.Primary ? "primary" : "secondary";

    /// <summary>The session is measured from now on.</summary>
    public void Began(IMeasuredSession session)
    {
        lock (_gate)
        {
            _live.Add(session);
        }
    }

    /// <summary>The session has ended, with everything in it; what it did stays counted.</summary>
    public void Ended(IMeasuredSession session, TimeSpan lasted, KwikError error)
    {
        lock (_gate)
        {
            if (_live.Remove(session))
            {
                _ended[(int)session.Side] += session.Count().Lasting;
            }
        }

        if (_sessionDuration.Enabled)
        {
            _sessionDuration.Record(lasted.TotalSeconds, Tags(("kwik.session.role", NameOf(session.Side)), ("error.type", ErrorType(error))));
        }
    }

    public void Connected(ServerRole role, TimeSpan lasted, KwikError error)
    {
        if (_connectDuration.Enabled)
        {
            _connectDuration.Record(lasted.TotalSeconds, Tags(("kwik.path.role", NameOf(role)), ("error.type", ErrorType(error))));
        }
    }

    public void Refused(ServerRole listener, KwikError error)
    {
        if (_refused.Enabled)
        {
            _refused.Add(1, Tags(("kwik.session.role", NameOf(listener)), ("error.type", ErrorType(error))));
        }
    }

    /// <summary>A client's connection has ended.</summary>
    public void PathEnded(ServerRole role, KwikError error, bool isIsolated)
    {
        if (error != KwikError.None && _pathFailures.Enabled)
        {
            _pathFailures.Add(1, Tags(("kwik.path.role", NameOf(role)), ("error.type", ErrorType(error))));
        }

        if (isIsolated && _isolated.Enabled)
        {
            _isolated.Add(1, Tags(("error.type", ErrorType(error))));
        }
    }

    public void Treated(KwikError fault, RecoveryAction action)
    {
        if (_faults.Enabled)
        {
            _faults.Add(1, Tags(("error.type", ErrorType(fault)), ("kwik.recovery.action", action.ToString())));
        }
    }

    public void RuleBroken(ServerRole role, KwikError rule)
    {
        if (_rulesBroken.Enabled)
        {
            _rulesBroken.Add(1, Tags(("kwik.path.role", NameOf(role)), ("error.type", ErrorType(rule))));
        }
    }

    /// <summary>A server has answered a request, or will not.</summary>
    public void RangeEnded(ServerRole role, KwikError error)
    {
        if (_ranges.Enabled)
        {
            _ranges.Add(1, Tags(("kwik.path.role", NameOf(role)), ("error.type", ErrorType(error))));
        }
    }

    public void HoleEnded(TimeSpan lasted) => _holeDuration.Record(lasted.TotalSeconds);

    private static TagList Tags(params ReadOnlySpan<(string Key, string? Value)> tags)
    {
        TagList list = default;
        foreach ((string key, string? value) in tags)
        {
            if (value is not null)
            {
                list.Add(key, value);
            }
        }

        return list;
    }

    private static Measurement<long> Of(long value, params ReadOnlySpan<(string Key, string? Value)> tags) => new(value, Tags(tags));

    private SessionCounts[] Totals(bool ofEnded, out long[] sessions)
    {
        sessions = new long[_ended.Length];
        lock (_gate)
        {
            SessionCounts[] totals = ofEnded ? [.. _ended] : new SessionCounts[_ended.Length];
            foreach (IMeasuredSession session in _live)
            {
                totals[(int)session.Side] += session.Count();
                sessions[(int)session.Side]++;
            }

            return totals;
        }
    }

    /// <summary>One value for each side; of null: how many sessions there are.</summary>
    private List<Measurement<long>> Sum(Func<SessionCounts, long>? of, bool ofEnded = false)
    {
        SessionCounts[] totals = Totals(ofEnded, out long[] sessions);
        return [.. Enum.GetValues<SessionSide>().Select(side =>
            Of(of?.Invoke(totals[(int)side]) ?? sessions[(int)side], ("kwik.session.role", NameOf(side))))];
    }

    private List<Measurement<long>> Received()
    {
        SessionCounts[] totals = Totals(ofEnded: true, out _);
        return
        [
            Of(totals[(int)SessionSide.Client].FromPrimary, ("kwik.session.role", "client"), ("kwik.path.role", "primary")),
            Of(totals[(int)SessionSide.Client].FromSecondaries, ("kwik.session.role", "client"), ("kwik.path.role", "secondary")),
            Of(totals[(int)SessionSide.Primary].FromPrimary, ("kwik.session.role", "primary")),
        ];
    }

    private List<Measurement<long>> Paths()
    {
        var counts = new Dictionary<(ServerRole Role, PathState State), long>();
        foreach (ServerRole role in Enum.GetValues<ServerRole>())
        {
            foreach (PathState state in Enum.GetValues<PathState>().Where(state => state != PathState.Removed))
            {
                counts[(role, state)] = 0;
            }
        }

        lock (_gate)
        {
            foreach (PathInfo path in _live.SelectMany(session => session.PathsNow()))
            {
                counts[(path.Role, path.State)]++;
            }
        }

        return [.. counts.Select(pair => Of(
            pair.Value, ("kwik.path.role", NameOf(pair.Key.Role)), ("kwik.path.state", pair.Key.State.ToString())))];
    }
}
