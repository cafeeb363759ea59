using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Tokens live ten minutes; sessions may live longer.</summary>
public sealed class TokenRenewalTests
{
    [Theory]
    [InlineData(1, 4)]
    [InlineData(2, 9)]
    [InlineData(3, 11)]
    [InlineData(4, 50)]
    public void Secondary_LostLongAfterItsTokenWasMade_IsRecovered(int seed, int minutes) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(1, 100_000);
        MemoryContent replica = content.Replica();
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", replica);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await session.AddPathAsync(secondary);
            await session.AcceptStream();
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Events.UntilAsync(1, PathState.Active);
        await world.Delay(TimeSpan.FromMinutes(minutes));
        world.Host("secondary 1").Restart();
        await deployment.StartSecondaryAsync("secondary 1", replica);
        await session.Events.UntilAsync(1, PathState.Recovering);
        await session.Events.UntilAsync(1, PathState.Active);

        // And it serves, on the session that the new token admitted.
        await using KwikStream ready = await session.OpenStreamSync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.True(content.Is(await stream.ReadToEndAsync()));
        Assert.NotEqual(0, replica.BytesServed);
    });

    [Fact]
    public void Secondary_LostWithAnExpiredToken_IsRecoveredWhenThePrimarySendsANewOne() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartSecondaryAsync("secondary 1", null);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        var requests = new List<TimeSpan>();
        Task answering = AnswerAsync(world, primary, requests);
        ControlFrame announcement = Corpus.AddPath(1, world.Host("secondary 1").Address.ToString());
        KeyHash server = KeyHash.OfCertificate(TestCertificates.SelfSigned("secondary 1"));
        announcement.AddPath.Pins.Clear();
        announcement.AddPath.Pins.Add(ByteString.CopyFrom(server.Bytes));
        announcement.AddPath.PathToken = Token(world, deployment, primary, server);
        await primary.SendAsync(announcement);
        await session.Events.UntilAsync(1, PathState.Active);

        // Half of its minute is over, and then all of it; this primary does not answer.
        await world.Delay(TimeSpan.FromSeconds(70));
        Assert.InRange(requests[0].TotalSeconds, 30, 34);
        world.Host("secondary 1").Restart();
        await deployment.StartSecondaryAsync("secondary 1", null);
        await session.Events.UntilAsync(1, PathState.Dead);
        await world.Delay(TimeSpan.FromSeconds(10));
        Assert.Equal(PathState.Dead, session.GetAllPaths()[1].State);
        Assert.InRange(requests.Count, 5, 15);

        await primary.SendAsync(new ControlFrame
        {
            Token = new Token { PathId = 1, PathToken = Token(world, deployment, primary, server) },
        });
        await session.Events.UntilAsync(1, PathState.Active);
        await session.DisposeAsync();
        await answering;
    });

    private static ByteString Token(SimulatedWorld world, SimulatedDeployment deployment, RawPeer primary, KeyHash server)
    {
        long now = world.Time.GetUtcNow().ToUnixTimeSeconds();
        var token = new PathToken
        {
            SessionId = RawPeer.Answer().SessionId,
            PathId = 1,
            ClientKey = ByteString.CopyFrom(primary.Connection.PeerKey.Bytes),
            NotBefore = now,
            Expires = now + 60,
        };
        token.ServerKeys.Add(ByteString.CopyFrom(server.Bytes));
        return ByteString.CopyFrom(deployment.SigningKey.Sign(new Statement { PathToken = token }));
    }

    /// <summary>Answers heartbeats, and notes when tokens are asked for, until the client says goodbye.</summary>
    private static async Task AnswerAsync(SimulatedWorld world, RawPeer primary, List<TimeSpan> requests)
    {
        while (await primary.ReceiveAsync() is { SessionClose: null } frame)
        {
            if (frame.Heartbeat is { } heartbeat)
            {
                await primary.SendAsync(new ControlFrame { HeartbeatAck = new HeartbeatAck { Sequence = heartbeat.Sequence } });
            }

            if (frame.TokenRequest is { PathId: 1 })
            {
                requests.Add(world.Time.Elapsed);
            }
        }

        await primary.Connection.CloseAsync(KwikError.None);
    }
}
