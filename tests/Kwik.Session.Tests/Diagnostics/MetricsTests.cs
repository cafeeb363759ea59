using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Diagnostics;

/// <summary>What sessions measure; docs/observability.md lists it.</summary>
public sealed class MetricsTests
{
    private static readonly string[] Gauges =
        ["kwik.sessions.active", "kwik.streams.active", "kwik.paths.active", "kwik.stream.pending", "kwik.stream.holes"];

    [Theory, SimulationSeeds]
    public void Metrics_OfATransferThatLosesAServer_TellOfIt(int seed)
    {
        using var telemetry = new KwikTelemetry();
        using var collected = new Collected(telemetry);
        ObservedRun.Run(seed, telemetry, during: session => AssertUnderWay(collected.Observe()), after: () => AssertOver(collected.Observe()));
    }

    [Theory, SimulationSeeds]
    public void Tags_OfARun_AreOfSmallSets(int seed)
    {
        using var telemetry = new KwikTelemetry();
        using var collected = new Collected(telemetry);
        ObservedRun.Run(seed, telemetry, during: _ => collected.Observe(), after: () => collected.Observe());

        string[] allowed =
        [
            "client", "primary", "secondary",
            .. Enum.GetNames<KwikError>(), .. Enum.GetNames<PathState>(), .. Enum.GetNames<RecoveryAction>(),
        ];
        Assert.Empty(collected.Tags.SelectMany(tag => tag.Value).Except(allowed));
        Assert.Empty(collected.Tags.Keys.Except(
            ["kwik.session.role", "kwik.path.role", "kwik.path.state", "kwik.recovery.action", "error.type"]));
    }

    [Fact]
    public void Counters_WhileSessionsComeAndGo_NeverShrink()
    {
        using var telemetry = new KwikTelemetry();
        using var collected = new Collected(telemetry);
        double before = 0;
        for (int round = 1; round <= 3; round++)
        {
            ObservedRun.Run(round, telemetry, during: _ => Grown(), after: Grown);
            Assert.InRange(collected.Total("kwik.stream.received"), round * (double)ObservedRun.Length, round * 1.5 * ObservedRun.Length);
        }

        void Grown()
        {
            double now = collected.Observe().Total("kwik.stream.received");
            Assert.InRange(now, before, double.MaxValue);
            before = now;
        }
    }

    [Fact]
    public void Instruments_OfTheMeter_HaveUnitsAndDescriptions()
    {
        using var telemetry = new KwikTelemetry();
        using var collected = new Collected(telemetry);

        Assert.Equal(("Kwik", "Kwik"), (telemetry.Meter.Name, telemetry.Activities.Name));
        Assert.Matches(@"^\d+\.\d+\.\d+", telemetry.Meter.Version);
        Assert.Equal(17, collected.Instruments.Count);
        Assert.All(collected.Instruments, instrument =>
        {
            Assert.Matches(@"^kwik(\.[a-z]+)+$", instrument.Name);
            Assert.Matches(@"^(\{[a-z]+\}|By|s)$", instrument.Unit);
            Assert.EndsWith(".", instrument.Description);
        });
    }

    [Fact]
    public void Telemetry_WithoutAListener_AllocatesNothing()
    {
        using var telemetry = new KwikTelemetry();
        Tell(telemetry);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 100; i++)
        {
            Tell(telemetry);
        }

        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static void Tell(KwikTelemetry telemetry)
    {
        telemetry.Connected(ServerRole.Primary, TimeSpan.FromSeconds(1), KwikError.Timeout);
        telemetry.Refused(ServerRole.Primary, KwikError.LimitExceeded);
        telemetry.PathEnded(ServerRole.Secondary, KwikError.PathLost, isIsolated: true);
        telemetry.Treated(KwikError.Checksum, RecoveryAction.RequestResend);
        telemetry.RuleBroken(ServerRole.Secondary, KwikError.MetadataProtocolViolation);
        telemetry.RangeEnded(ServerRole.Secondary, KwikError.None);
        telemetry.HoleEnded(TimeSpan.FromSeconds(1));
    }

    private static void AssertUnderWay(Collected now)
    {
        Assert.Equal(1, now["kwik.sessions.active", "kwik.session.role=client"]);
        Assert.Equal(1, now["kwik.sessions.active", "kwik.session.role=primary"]);
        Assert.Equal(2, now["kwik.sessions.active", "kwik.session.role=secondary"]);
        Assert.Equal(1, now["kwik.streams.active", "kwik.session.role=client"]);
        Assert.Equal(1, now["kwik.streams.active", "kwik.session.role=primary"]);
        Assert.Equal(1, now["kwik.paths.active", "kwik.path.role=primary", "kwik.path.state=Active"]);
        Assert.Equal(2, now["kwik.paths.active", "kwik.path.role=secondary", "kwik.path.state=Active"]);
        Assert.Equal(1, now["kwik.connect.duration", "kwik.path.role=primary"]);
        Assert.Equal(2, now["kwik.connect.duration", "kwik.path.role=secondary"]);
        Assert.InRange(now["kwik.stream.pending", "kwik.session.role=client"], 1, ObservedRun.Length);
        Assert.InRange(now.Total("kwik.stream.received"), ObservedRun.Length / 3, ObservedRun.Length);
        Assert.Equal(0, now.Total("kwik.path.failures"));
    }

    private static void AssertOver(Collected now)
    {
        Assert.All(Gauges, gauge => Assert.Equal(0, now.Total(gauge)));
        double primary = now["kwik.stream.received", "kwik.path.role=primary", "kwik.session.role=client"];
        double secondaries = now["kwik.stream.received", "kwik.path.role=secondary", "kwik.session.role=client"];
        Assert.InRange(primary, 1, ObservedRun.Length);
        Assert.InRange(secondaries, 1, ObservedRun.Length);
        Assert.InRange(primary + secondaries, ObservedRun.Length, 1.5 * ObservedRun.Length);
        Assert.InRange(now.Total("kwik.stream.sent"), ObservedRun.Length, 2.0 * ObservedRun.Length);
        Assert.InRange(now.Total("kwik.ranges"), 3, 10_000);
        Assert.InRange(now["kwik.path.failures", "error.type=Timeout", "kwik.path.role=secondary"]
            + now["kwik.path.failures", "error.type=PathLost", "kwik.path.role=secondary"], 1, 1);
        Assert.InRange(now["kwik.connect.duration", "error.type=Timeout", "kwik.path.role=secondary"]
            + now["kwik.connect.duration", "error.type=PathLost", "kwik.path.role=secondary"], 1, 10);
        // The killed one's ends when its listener is disposed.
        Assert.Equal(4, now.Total("kwik.session.duration"));
        Assert.Equal(1, now["kwik.session.duration", "kwik.session.role=client"]);
    }
}
