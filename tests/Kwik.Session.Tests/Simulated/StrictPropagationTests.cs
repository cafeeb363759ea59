using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using static Kwik.Session.Tests.Rows.StreamFailures;

namespace Kwik.Session.Tests.Simulated;

/// <summary>When one side closes, a write at the other one fails within a round trip, also where nobody reads.</summary>
public sealed class StrictPropagationTests
{
    // The network carries a word in its latency exactly; this is for what virtual time counts in ticks.
    private static readonly TimeSpan Slack = TimeSpan.FromMilliseconds(1);

    /// <summary>Round trips, who opens the stream, who closes it, and whether what was written before is still unread.</summary>
    public static TheoryData<int, bool, bool, bool> Cases
    {
        get
        {
            var cases = new TheoryData<int, bool, bool, bool>();
            foreach (int roundTrip in new[] { 0, 20, 200 })
            {
                for (int bits = 0; bits < 8; bits++)
                {
                    cases.Add(roundTrip, (bits & 1) > 0, (bits & 2) > 0, (bits & 4) > 0);
                }
            }

            return cases;
        }
    }

    [Theory, MemberData(nameof(Cases))]
    public void PeersClose_WithAnIdleReader_FailsWritesWithinOneRoundTrip(int roundTrip, bool openedByClient, bool closedByOpener, bool full) =>
        Simulation.Run(1, async world =>
        {
            var narrow = new AggregatorOptions { MaxPendingBytes = 64 * 1024 };
            TimeSpan latency = TimeSpan.FromMilliseconds(roundTrip / 2.0);
            await using var deployment = new SimulatedDeployment(world);
            world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.Latency = latency);
            var accepted = new TaskCompletionSource<PrimarySession>();
            await deployment.StartPrimaryAsync(
                null,
                session =>
                {
                    accepted.SetResult(session);
                    return session.Closed;
                },
                options => options with { Aggregation = narrow });
            await using ClientSession client = await deployment.ConnectAsync(options => options with { Aggregation = narrow });
            PrimarySession primary = await accepted.Task;
            Task<KwikStream> opening = openedByClient ? client.OpenStreamSync() : primary.OpenStreamSync();
            await using KwikStream inbound = openedByClient ? await primary.AcceptStream() : await client.AcceptStream();
            await using KwikStream outbound = await opening;
            (KwikStream near, KwikStream far) = closedByOpener ? (inbound, outbound) : (outbound, inbound);

            // Both directions are as full as they get, and nobody reads.
            Task[] writing = full ? [near.WriteAsync(new byte[1 << 20]).AsTask(), far.WriteAsync(new byte[1 << 20]).AsTask()] : [];
            await world.Delay(TimeSpan.FromSeconds(2));
            Assert.DoesNotContain(writing, write => write.IsCompleted);

            TimeSpan began = world.Time.Elapsed;
            Task closing = far.CloseAsync();
            await FailureAsync<KwikException>(near.WritesClosed);
            Assert.InRange(world.Time.Elapsed - began, latency, (2 * latency) + Slack);
            await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
            foreach (Task write in writing)
            {
                await FailureAsync<XStreamException>(write);
            }

            await closing;
        });

    /// <summary>What a writer sees that writes on and on: it is stopped within one round trip.</summary>
    [Theory, SimulationSeeds]
    public void PeersClose_UnderAWriterThatGoesOn_StopsItWithinOneRoundTrip(int seed) => Simulation.Run(seed, async world =>
    {
        TimeSpan latency = TimeSpan.FromMilliseconds(world.Random.Next(0, 200));
        await using var deployment = new SimulatedDeployment(world);
        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.Latency = latency);
        var closed = new TaskCompletionSource<TimeSpan>();
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.AcceptStream();
            await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 500)));
            closed.SetResult(world.Time.Elapsed);
            await stream.CloseAsync();
            await session.Closed;
        });
        await using ClientSession client = await deployment.ConnectAsync();
        await using KwikStream stream = await client.OpenStreamSync();
        XStreamException e = await FailureAsync<XStreamException>(WriteOnAsync(world, stream));
        Assert.Equal((XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote), (e.Kind, e.Side));
        Assert.InRange(world.Time.Elapsed - await closed.Task, latency, (2 * latency) + Slack);
    });

    private static async Task WriteOnAsync(SimulatedWorld world, KwikStream stream)
    {
        while (true)
        {
            await stream.WriteAsync(new byte[world.Random.Next(1, 20_000)]);
            await stream.FlushAsync();
            await world.Delay(TimeSpan.FromTicks(Slack.Ticks / 2));
        }
    }
}
