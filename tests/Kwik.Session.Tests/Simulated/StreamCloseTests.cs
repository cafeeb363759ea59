using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Public streams whose session is closed, or that are given up, as soon as that is possible.</summary>
public sealed class StreamCloseTests
{
    private const int Size = 200_000;
    private static readonly AggregatorOptions Narrow = new() { MaxPendingBytes = 64 * 1024 };

    /// <summary>The transport has them, and the goodbye is here; the reader, and the window, are not so far.</summary>
    [Theory]
    [SimulationSeeds]
    public void PrimarySession_ClosedBehindItsLastByte_LosesNone(int seed) => Simulation.Run(seed, async world =>
    {
        byte[] content = PushScene.RandomBytes(seed, Size);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.WriteAsync(content);
            stream.CompleteWrites();
            await stream.WritesClosed;
            await session.CloseAsync(KwikError.None, "All is sent.");
        });

        await using (ClientSession session = await deployment.ConnectAsync(options => options with { Aggregation = Narrow }))
        {
            await using KwikStream stream = await session.AcceptStream();
            await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 4000)));
            Assert.Equal(content, await stream.ReadToEndAsync());
            await session.Closed;
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    [Theory]
    [SimulationSeeds]
    public void ClientSession_ClosedBehindItsLastByte_LosesNone(int seed) => Simulation.Run(seed, async world =>
    {
        byte[] content = PushScene.RandomBytes(seed, Size);
        byte[]? received = null;
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(
            null,
            async session =>
            {
                await using KwikStream stream = await session.AcceptStream();
                await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 4000)));
                received = await stream.ReadToEndAsync();
            },
            options => options with { Aggregation = Narrow });

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.WriteAsync(content);
            stream.CompleteWrites();
            await stream.WritesClosed;
        }

        await deployment.DisposeAsync();
        Assert.Equal(content, received);
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    /// <summary>A reader that does not come holds up the end of the session for 5 s, and no longer.</summary>
    [Fact]
    public void PrimarySession_ClosedBeforeAReaderThatDoesNotCome_EndsInFiveSeconds() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.WriteAsync(new byte[Size]);
            stream.CompleteWrites();
            await stream.WritesClosed;
            await session.CloseAsync(KwikError.None, "All is sent.");
        });

        await using ClientSession session = await deployment.ConnectAsync(options => options with { Aggregation = Narrow });
        await using KwikStream stream = await session.AcceptStream();
        await session.Closed;
        Assert.InRange(world.Time.Elapsed.TotalSeconds, 4.9, 5.5);
        XStreamException e = await Assert.ThrowsAsync<XStreamException>(() => stream.ReadToEndAsync());
        Assert.Equal(XStreamErrorKind.ConnectionReset, e.Kind);
    });

    /// <summary>Halves overtake each other, and some are gone before their first bytes are read: nobody broke a rule.</summary>
    [Theory]
    [SimulationSeeds]
    public void Streams_GivenUpAsSoonAsTheyAreOpen_CostNoSession(int seed) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.Jitter = TimeSpan.FromMilliseconds(10));
        PrimarySession? primary = null;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            primary = session;
            try
            {
                while (true)
                {
                    await using KwikStream stream = await session.AcceptStream();
                }
            }
            catch (XStreamException e) when (e.Kind == XStreamErrorKind.NotConnected)
            {
                // The client has closed the session.
            }
        });

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            for (int i = 0; i < 60; i++)
            {
                await using KwikStream stream = await session.OpenStreamSync();
                stream.Abort(KwikError.Cancelled);
                await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 1000)));
            }

            // The last half without its twin has had its time.
            await world.Delay(TimeSpan.FromSeconds(25));
            Assert.False(session.Closed.IsCompleted);
            Assert.Equal(0, primary!.GetAllPaths()[0].Violations);
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });
}
