using System.Diagnostics;
using Kwik.Sessions;
using Kwik.Testing;

namespace Kwik.Session.Tests.Diagnostics;

/// <summary>What sessions trace; docs/observability.md lists it.</summary>
public sealed class TraceTests
{
    [Theory, SimulationSeeds]
    public void Traces_OfATransferThatLosesAServer_TellOfIt(int seed)
    {
        using var telemetry = new KwikTelemetry();
        List<Activity> stopped = [];
        int started = 0;
        using ActivityListener listener = Listen(telemetry, () => started++, stopped.Add);
        ObservedRun.Run(seed, telemetry, during: _ => Assert.Null(Activity.Current), after: () =>
        {
            Assert.Null(Activity.Current);
            Assert.Equal(started, stopped.Count);
        });

        Assert.Equal(["kwik.connect", "kwik.fetch", "kwik.session"], stopped.Select(one => one.OperationName).Distinct().Order());
        Activity session = Assert.Single(stopped, one => Tag(one, "kwik.session.role") is "client");
        Assert.Equal((ActivityKind.Client, ActivityStatusCode.Unset), (session.Kind, session.Status));
        Assert.Equal(3, stopped.Count(one => one is { OperationName: "kwik.session", Kind: ActivityKind.Server }));

        Activity fetch = Assert.Single(stopped, one => one.OperationName == "kwik.fetch");
        Assert.Equal((session.SpanId, ActivityStatusCode.Unset), (fetch.ParentSpanId, fetch.Status));
        Assert.Equal((long)ObservedRun.Length, Tag(fetch, "kwik.content.length"));
        // In the time of the simulation: 6 MiB over three links of 20 Mbit/s.
        Assert.InRange(fetch.Duration.TotalSeconds, 0.8, 3);

        List<Activity> connects = stopped.FindAll(one => one.OperationName == "kwik.connect");
        Assert.Single(connects, one => Tag(one, "kwik.path.role") is "primary");
        Assert.All(
            connects.Where(one => Tag(one, "kwik.path.role") is "secondary"), one => Assert.Equal(session.SpanId, one.ParentSpanId));
        Assert.Contains(connects, one => one.Status == ActivityStatusCode.Error && Tag(one, "kwik.path.id") is 2
            && Tag(one, "error.type") is "Timeout" or "PathLost");
    }

    [Fact]
    public void Connect_WithinAnActivityOfTheCaller_IsItsChild()
    {
        using var telemetry = new KwikTelemetry();
        using var callers = new ActivitySource("Caller");
        List<Activity> stopped = [];
        using ActivityListener listener = Listen(telemetry, () => { }, stopped.Add, callers);
        ActivitySpanId caller = default;
        using (Activity? call = callers.StartActivity("call"))
        {
            caller = call!.SpanId;
            ObservedRun.Run(1, telemetry, during: _ => Assert.Equal(call, Activity.Current));
        }

        Assert.Equal(caller, Assert.Single(
            stopped, one => one.OperationName == "kwik.connect" && Tag(one, "kwik.path.role") is "primary").ParentSpanId);
    }

    [Fact]
    public void Attributes_OfEverySpan_AreTheDocumentedOnes()
    {
        using var telemetry = new KwikTelemetry();
        List<Activity> stopped = [];
        using ActivityListener listener = Listen(telemetry, () => { }, stopped.Add);
        ObservedRun.Run(1, telemetry);

        Assert.Empty(stopped.SelectMany(one => one.TagObjects).Select(tag => tag.Key).Except(
        [
            "kwik.session.id", "kwik.session.role", "kwik.path.id", "kwik.path.role", "kwik.stream.id", "kwik.content.length",
            "network.peer.address", "network.peer.port", "network.transport", "error.type",
        ]));
    }

    private static object? Tag(Activity activity, string key) => activity.GetTagItem(key);

    private static ActivityListener Listen(
        KwikTelemetry telemetry, Action started, Action<Activity> stopped, ActivitySource? another = null)
    {
        var listener = new ActivityListener
        {
            ShouldListenTo = source => source == telemetry.Activities || source == another,
            Sample = (ref ActivityCreationOptions<ActivityContext> _) => ActivitySamplingResult.AllData,
            ActivityStarted = _ => started(),
            ActivityStopped = stopped,
        };
        ActivitySource.AddActivityListener(listener);
        return listener;
    }
}
