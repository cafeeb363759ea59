using System.Diagnostics;
using System.Net;
using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>
/// One activity, from its start to its end in the session's time. It never is <see cref="Activity.Current"/>: what a session
/// does goes on long after the call that began it, and belongs to nobody's call.
/// </summary>
internal sealed class Span
{
    private readonly Activity _activity;
    private readonly TimeProvider _time;
    private int _ended;

    private Span(Activity activity, TimeProvider time) => (_activity, _time) = (activity, time);

    /// <summary>For the spans within this one.</summary>
    public ActivityContext Context => _activity.Context;

    /// <summary>Null when nobody listens. Without a parent the caller's own activity is the parent.</summary>
    public static Span? Begin(SessionEnvironment environment, string name, ActivityKind kind, ActivityContext parent = default)
    {
        ActivitySource source = environment.Telemetry.Activities;
        if (!source.HasListeners())
        {
            return null;
        }

        Activity? callers = Activity.Current;
        Activity? activity = source.StartActivity(name, kind, parent, startTime: environment.Time.GetUtcNow());
        Activity.Current = callers;
        return activity is null ? null : new Span(activity, environment.Time);
    }

    public Span Set(string key, object? value)
    {
        _activity.SetTag(key, value);
        return this;
    }

    public Span SetPeer(IPEndPoint peer) =>
        Set("network.peer.address", peer.Address.ToString()).Set("network.peer.port", peer.Port).Set("network.transport", "quic");

    /// <summary>Ends it, once. What was only called off is no error.</summary>
    public void End(KwikError error = KwikError.None)
    {
        if (Interlocked.Exchange(ref _ended, 1) != 0)
        {
            return;
        }

        if (error is not (KwikError.None or KwikError.Cancelled))
        {
            _activity.SetTag("error.type", KwikTelemetry.ErrorType(error));
            _activity.SetStatus(ActivityStatusCode.Error, KwikTelemetry.ErrorType(error));
        }

        Activity? callers = Activity.Current;
        _activity.SetEndTime(_time.GetUtcNow().UtcDateTime);
        _activity.Stop();
        Activity.Current = callers;
    }
}
