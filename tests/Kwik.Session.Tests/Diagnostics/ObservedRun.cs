using Kwik.Data;
using Kwik.Session.Tests.Simulated;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Diagnostics;

/// <summary>
/// A content of 6 MiB that a client fetches from a primary and two secondaries, of which the second is killed on the way.
/// Everything that is told of it goes to a telemetry of its own.
/// </summary>
internal static class ObservedRun
{
    public const int Length = 6 * 1024 * 1024;

    public const string Killed = "secondary 2";

    /// <param name="seed">Of the simulation.</param>
    /// <param name="telemetry">Whom the sessions tell.</param>
    /// <param name="during">Runs when a part of the content is here, and all servers live.</param>
    /// <param name="after">Runs when everything has ended.</param>
    /// <param name="client">Changes the client's options.</param>
    /// <param name="server">Changes the servers' options.</param>
    public static void Run(
        int seed,
        KwikTelemetry telemetry,
        Action<ClientSession>? during = null,
        Action? after = null,
        Func<KwikClientOptions, KwikClientOptions>? client = null,
        Func<KwikListenerOptions, KwikListenerOptions>? server = null) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, Length);
        await using var deployment = new SimulatedDeployment(world) { Telemetry = telemetry };
        List<SecondaryServer> secondaries =
        [
            await deployment.StartSecondaryAsync("secondary 1", content.Replica(), change: server),
            await deployment.StartSecondaryAsync(Killed, content.Replica(), change: server),
        ];
        foreach (string name in new[] { "primary", "secondary 1", Killed })
        {
            world.SetLinks(deployment.ClientHost, world.Host(name), link => link.BitsPerSecond = 20_000_000);
        }

        await deployment.StartPrimaryAsync(content, session => OfferAsync(session, content, secondaries), server);
        await using (ClientSession session = await deployment.ConnectAsync(
            options => (client?.Invoke(options) ?? options) with { PathRecoveryTime = TimeSpan.FromSeconds(1) }))
        {
            KwikStream stream = await session.AcceptStream();
            byte[] received = new byte[Length];
            await ReadAsync(stream, received.AsMemory(0, Length / 3));
            during?.Invoke(session);
            world.Host(Killed).Kill();
            await ReadAsync(stream, received.AsMemory(Length / 3));
            Assert.Equal(0, await stream.ReadAsync(new byte[1]));
            Assert.True(content.Is(received));
            await session.Events.UntilAsync(2, PathState.Removed);
            await stream.DisposeAsync();
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
        after?.Invoke();
    });

    private static async Task ReadAsync(KwikStream stream, Memory<byte> into)
    {
        while (into.Length > 0)
        {
            int read = await stream.ReadAsync(into);
            Assert.InRange(read, 1, into.Length);
            into = into[read..];
        }
    }

    private static async Task OfferAsync(PrimarySession session, MemoryContent content, List<SecondaryServer> secondaries)
    {
        foreach (SecondaryServer secondary in secondaries)
        {
            await session.AddPathAsync(secondary);
        }

        await using KwikStream stream = await session.OpenStreamSync();
        await stream.OfferContentAsync(content.Offer);
        await session.Closed;
    }
}
