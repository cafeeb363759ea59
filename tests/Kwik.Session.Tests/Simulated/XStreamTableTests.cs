using Kwik.Data;
using Kwik.Session.Tests.Rows;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// The table of calls on a network whose packets overtake each other, over all seeds: with the odd ones the client opens
/// the stream, with the even ones the primary.
/// </summary>
public sealed class XStreamTableTests : XStreamRows
{
    protected override int Capacity => 1024 * 1024;

    private protected override Task RunAsync(Func<StreamEnd, StreamEnd, Task> row)
    {
        foreach (int seed in SimulationSeedsAttribute.Seeds)
        {
            Simulation.Run(seed, world => RunAsync(world, row, openedByClient: seed % 2 == 1));
        }

        return Task.CompletedTask;
    }

    private static async Task RunAsync(SimulatedWorld world, Func<StreamEnd, StreamEnd, Task> row, bool openedByClient)
    {
        var narrow = new AggregatorOptions { MaxPendingBytes = 64 * 1024 };
        await using var deployment = new SimulatedDeployment(world);
        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link =>
        {
            link.Latency = TimeSpan.FromMilliseconds(world.Random.Next(1, 20));
            link.Jitter = TimeSpan.FromMilliseconds(world.Random.Next(0, 20));
        });
        var accepted = new TaskCompletionSource<PrimarySession>();
        var over = new TaskCompletionSource();
        await deployment.StartPrimaryAsync(
            null,
            session =>
            {
                accepted.SetResult(session);
                return over.Task;
            },
            options => options with { Aggregation = narrow, MaxPublicStreams = MaxStreams });

        await using ClientSession client = await deployment.ConnectAsync(options => options with { Aggregation = narrow, MaxPublicStreams = MaxStreams });
        PrimarySession primary = await accepted.Task;
        Task<KwikStream> opening = openedByClient ? client.OpenStreamSync() : primary.OpenStreamSync();
        await using KwikStream inbound = openedByClient ? await primary.AcceptStream() : await client.AcceptStream();
        await using KwikStream outbound = await opening;
        Assert.Equal((XStreamDirection.Outbound, XStreamDirection.Inbound), (outbound.Direction, inbound.Direction));

        var clientsEnd = StreamEnd.Of(client, openedByClient ? outbound : inbound, deployment.ClientHost.Kill);
        var primarysEnd = StreamEnd.Of(primary, openedByClient ? inbound : outbound, deployment.PrimaryHost.Kill);
        try
        {
            await (openedByClient ? row(clientsEnd, primarysEnd) : row(primarysEnd, clientsEnd));
        }
        finally
        {
            over.SetResult();
        }

        await Task.WhenAll(outbound.DisposeAsync().AsTask(), inbound.DisposeAsync().AsTask());
        await client.DisposeAsync();
        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    }
}
