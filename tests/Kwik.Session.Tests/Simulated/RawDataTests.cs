using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Bytes between the applications of a primary and a secondary, carried by the client.</summary>
public sealed class RawDataTests
{
    private const string Name = "secondary 1";

    [Theory]
    [SimulationSeeds]
    public void RawData_BothWays_ArrivesInOrder(int seed) => Simulation.Run(seed, async world =>
    {
        byte[][] sent = [.. Enumerable.Range(1, 40).Select(_ => Bytes(world, world.Random.Next(1, 3) == 1 ? world.Random.Next(1, 100) : 20_000))];
        await using var deployment = new SimulatedDeployment(world);
        var there = new List<byte[]>();
        var back = new List<RawDataReceived>();
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null, async session =>
        {
            while (true)
            {
                RawDataReceived received = await session.ReceiveRawDataAsync();
                Assert.Equal(1, received.PathId);
                there.Add(received.Data.ToArray());
                await session.SendRawDataAsync(received.Data);
            }
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int path = await session.AddPathAsync(secondary);
            Task sending = SendAsync(session, path, sent);
            while (back.Count < sent.Length)
            {
                back.Add(await session.ReceiveRawDataAsync());
            }

            await sending;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;
        await deployment.DisposeAsync();

        Assert.Equal(sent, there);
        Assert.Equal(sent, back.Select(received => received.Data.ToArray()));
        Assert.All(back, received => Assert.Equal(1, received.PathId));
    });

    [Fact]
    public void RawData_LargestAndSmallest_Arrive() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        var sizes = new List<int>();
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null, async session =>
        {
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => session.SendRawDataAsync(default).AsTask());
            await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => session.SendRawDataAsync(new byte[(60 * 1024) + 1]).AsTask());
            Assert.Equal(1, await session.SendRawDataAsync(new byte[1]));
            Assert.Equal(2, await session.SendRawDataAsync(new byte[60 * 1024]));
            await session.Closed;
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await session.AddPathAsync(secondary);
            sizes.Add((await session.ReceiveRawDataAsync()).Data.Length);
            sizes.Add((await session.ReceiveRawDataAsync()).Data.Length);
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;

        Assert.Equal([1, 60 * 1024], sizes);
    });

    [Fact]
    public void Receiver_ThatDoesNotRead_HoldsABoundedAmountAndTheSenderLearnsIt() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        int received = 0;
        var dropped = new List<RawDataDropped>();
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null, async session =>
        {
            await world.Delay(TimeSpan.FromSeconds(20));
            while (true)
            {
                received += (await session.ReceiveRawDataAsync()).Data.Length;
            }
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int path = await session.AddPathAsync(secondary);
            for (int i = 0; i < 20; i++)
            {
                await session.SendRawDataAsync(path, new byte[32 * 1024]);
                await world.Delay(TimeSpan.FromMilliseconds(100));
            }

            await world.Delay(TimeSpan.FromSeconds(25));
            while (session.Events.TryRead(out SessionEvent? happened))
            {
                if (happened is RawDataDropped drop)
                {
                    dropped.Add(drop);
                }
            }
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;

        Assert.Equal(7 * 32 * 1024, received);
        Assert.Equal(Enumerable.Range(8, 13).Select(id => new RawDataDropped(1, id, KwikError.LimitExceeded)), dropped);
    });

    [Fact]
    public void SlowPath_ToTheSecondary_QueuesNoMoreThanItsShare() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        int received = 0;
        int dropped = 0;
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null, async session =>
        {
            while (true)
            {
                received += (await session.ReceiveRawDataAsync()).Data.Length;
            }
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int path = await session.AddPathAsync(secondary);
            world.Link(world.Host("client"), world.Host(Name)).BitsPerSecond = 1_000_000;
            for (int i = 0; i < 40; i++)
            {
                await session.SendRawDataAsync(path, new byte[50 * 1024]);
            }

            await world.Delay(TimeSpan.FromSeconds(30));
            while (session.Events.TryRead(out SessionEvent? happened))
            {
                dropped += happened is RawDataDropped { Error: KwikError.LimitExceeded } ? 1 : 0;
            }

            Assert.Equal(2, session.GetActivePaths().Count);
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;

        // What waits, what is being written, and what a window lets be under way.
        Assert.InRange(received, 200 * 1024, 800 * 1024);
        Assert.Equal(40, dropped + (received / (50 * 1024)));
    });

    [Theory]
    [SimulationSeeds]
    public void ManyPieces_SentAtOnce_AllArriveAndBreakNoLimit(int seed) => Simulation.Run(seed, async world =>
    {
        const int count = 1500;
        await using var deployment = new SimulatedDeployment(world);
        var received = new List<int>();
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null, async session =>
        {
            while (true)
            {
                received.Add(BitConverter.ToInt32((await session.ReceiveRawDataAsync()).Data.Span));
            }
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int path = await session.AddPathAsync(secondary);
            world.SetLinks(deployment.ClientHost, world.Host(Name), link => link.Jitter = TimeSpan.FromMilliseconds(300));
            world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.Jitter = TimeSpan.FromMilliseconds(300));
            for (int i = 0; i < count; i++)
            {
                await session.SendRawDataAsync(path, BitConverter.GetBytes(i));
            }

            await world.Delay(TimeSpan.FromSeconds(5));
            Assert.Equal(2, session.GetActivePaths().Count);
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;

        Assert.Equal(Enumerable.Range(0, count), received);
    });

    [Fact]
    public void RawData_ForAPathThatIsDead_IsDropped() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null);
        SessionEvent? dropped = null;
        KwikException? unknown = null;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int path = await session.AddPathAsync(secondary);
            unknown = await Assert.ThrowsAnyAsync<KwikException>(() => session.SendRawDataAsync(path + 1, new byte[1]).AsTask());
            world.Host(Name).Kill();
            await session.Events.UntilAsync(path, PathState.Dead);
            long id = await session.SendRawDataAsync(path, new byte[1]);
            do
            {
                dropped = await session.Events.ReadAsync();
            }
            while (dropped is not RawDataDropped);
            Assert.Equal(new RawDataDropped(path, id, KwikError.PathLost), dropped);
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;

        Assert.Equal(KwikError.NotFound, unknown?.Code);
        Assert.NotNull(dropped);
    });

    /// <summary>What the primary sent to one secondary is not another one's to refuse, and what it never sent is nobody's.</summary>
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(1L << 40)]
    public void RawDataRefused_ForWhatWasNotCarriedToASecondary_EndsItsPathAndNotTheSession(long id) => Simulation.Run(1, async world =>
    {
        var sent = new TaskCompletionSource();
        KwikError code = KwikError.None;
        byte[]? received = null;
        await using var deployment = new SimulatedDeployment(world);
        await using RogueSecondary rogue = await RogueSecondary.StartAsync(world.Host("rogue"), async client =>
        {
            await sent.Task;
            await client.SendAsync(new ControlFrame { RawDataRefused = new RawDataRefused { Id = (ulong)id } });
            code = (await Assert.ThrowsAnyAsync<KwikException>(() => client.ReceiveAsync())).Code;
        });
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null, EchoAsync);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int bad = await session.AddPathAsync(rogue.Address);
            int good = await session.AddPathAsync(secondary);
            await session.SendRawDataAsync(good, new byte[1]);
            await session.ReceiveRawDataAsync();
            sent.SetResult();
            await session.Events.UntilAsync(bad, PathState.Removed);
            await session.SendRawDataAsync(good, new byte[2]);
            received = (await session.ReceiveRawDataAsync()).Data.ToArray();
            Assert.DoesNotContain(Taken(session), happened => happened is RawDataDropped);
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;
        await rogue.DisposeAsync();

        Assert.Equal(new byte[2], received);
        Assert.Equal(KwikError.MetadataProtocolViolation, code);
    });

    /// <summary>Each secondary keeps its own limit; together they would exceed the client's at the primary.</summary>
    [Fact]
    public void RawDataRefused_MoreThanAClientCarries_IsDroppedAndBreaksNoLimitAtThePrimary() => Simulation.Run(1, async world =>
    {
        const int refusals = 900;
        var sent = new TaskCompletionSource();
        var received = new List<int>();
        int dropped = 0;
        await using var deployment = new SimulatedDeployment(world);
        var rogues = new List<RogueSecondary>();
        for (int i = 1; i <= 2; i++)
        {
            rogues.Add(await RogueSecondary.StartAsync(world.Host($"rogue {i}"), async client =>
            {
                Task receiving = client.ReceiveAsync();
                await sent.Task;
                await world.Delay(TimeSpan.FromSeconds(1));
                for (int refused = 0; refused < refusals; refused++)
                {
                    await client.SendAsync(new ControlFrame { RawDataRefused = new RawDataRefused { Id = 1 } });
                }

                await world.Delay(TimeSpan.FromSeconds(1));
                await client.SendAsync(new ControlFrame { RawData = new RawData { Id = 1, Data = ByteString.CopyFrom(1) } });
                await receiving;
            }));
        }

        await deployment.StartPrimaryAsync(null, async session =>
        {
            foreach (RogueSecondary rogue in rogues)
            {
                await session.SendRawDataAsync(await session.AddPathAsync(rogue.Address), new byte[1]);
            }

            sent.SetResult();
            while (received.Count < rogues.Count)
            {
                received.Add((await session.ReceiveRawDataAsync()).PathId);
            }

            dropped = Taken(session).Count(happened => happened is RawDataDropped);
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await session.Closed;
        foreach (RogueSecondary rogue in rogues)
        {
            await rogue.DisposeAsync();
        }

        Assert.Equal([1, 2], received.Order());
        Assert.InRange(dropped, 1, 2 * FrameBudget.CarriedPerSecond);
    });

    [Theory]
    [SimulationSeeds]
    public void Session_Ended_FailsEveryPendingCall(int seed) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        var failures = new List<KwikError>();
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, null, async session =>
        {
            failures.Add((await Assert.ThrowsAnyAsync<KwikException>(() => session.ReceiveRawDataAsync().AsTask())).Code);
            failures.Add((await Assert.ThrowsAnyAsync<KwikException>(() => session.SendRawDataAsync(new byte[1]).AsTask())).Code);
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            int path = await session.AddPathAsync(secondary);
            world.Link(deployment.PrimaryHost, deployment.ClientHost).BlackHole = true;
            Task sending = SendAsync(session, path, [.. Enumerable.Range(0, 100).Select(_ => new byte[60 * 1024])]);
            failures.Add((await Assert.ThrowsAnyAsync<KwikException>(() => session.ReceiveRawDataAsync().AsTask())).Code);
            await Assert.ThrowsAnyAsync<KwikException>(() => sending);
            await Assert.ThrowsAnyAsync<KwikException>(() => session.SendRawDataAsync(path, new byte[1]).AsTask());
        });

        ClientSession session = await deployment.ConnectAsync();
        await session.Events.UntilAsync(1, PathState.Active);
        await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 1000)));
        await session.DisposeAsync();
        await deployment.DisposeAsync();

        Assert.Equal(3, failures.Count);
        Assert.All(failures, code => Assert.NotEqual(KwikError.None, code));
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    [Fact]
    public void RawData_ThatClaimsThePrimarysAuthority_WidensNothing() => Simulation.Run(1, async world =>
    {
        var secret = MemoryContent.Random(1, 10_000);
        await using var deployment = new SimulatedDeployment(world);
        var received = new List<byte[]>();
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, secret.Replica(), async session =>
        {
            while (true)
            {
                received.Add((await session.ReceiveRawDataAsync()).Data.ToArray());
            }
        });
        ByteString token = ByteString.Empty;
        Guid id = Guid.Empty;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            id = session.Id;
            try
            {
                await session.AddPathAsync(secondary);
            }
            catch (KwikException)
            {
                // This client answers nothing.
            }
        });
        await using RawPeer toPrimary = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        token = (await toPrimary.UntilAsync(ControlFrame.BodyOneofCase.AddPath)).AddPath.PathToken;
        await using RawPeer client = await RawPeer.ConnectAsync(deployment.ClientHost, world.Host(Name), new Authenticate
        {
            Role = Role.Secondary,
            SessionId = ByteString.CopyFrom(id.ToByteArray(bigEndian: true)),
            PathToken = token,
        });

        // A grant for the content that nobody gave, by a key of the client's own; offers, tokens and mappings of a primary.
        using PrimaryKey own = PrimaryKey.Create();
        var grant = new Grant
        {
            SessionId = ByteString.CopyFrom(id.ToByteArray(bigEndian: true)),
            ClientKey = ByteString.CopyFrom(client.Connection.PeerKey.Bytes),
            Root = ByteString.CopyFrom(secret.Offer.Root.ToByteArray()),
            Length = (ulong)secret.Offer.Length,
            Expires = long.MaxValue / 2,
        };
        byte[] forged = own.Sign(new Statement { Grant = grant });
        var offer = new ControlFrame { ContentOffer = new Data.Wire.ContentOffer { Root = grant.Root, Grant = ByteString.CopyFrom(forged) } };
        byte[][] claims = [forged, ControlCodec.Encode(offer), offer.ToByteArray(), token.ToByteArray()];
        foreach (byte[] claim in claims)
        {
            await client.SendAsync(new ControlFrame { RawData = new RawData { Id = 1, Data = ByteString.CopyFrom(claim) } });
        }

        await client.SendAsync(new ControlFrame
        {
            RangeRequest = new RangeRequest { RequestId = 7, KwikStreamId = 1, Root = grant.Root, Length = 10 },
        });
        ControlFrame answer = await client.UntilAsync(ControlFrame.BodyOneofCase.RangeRefused);

        Assert.Equal((ulong)KwikError.AuthenticationFailed, answer.RangeRefused.ErrorCode);
        Assert.Equal(claims, received);
    });

    private static byte[] Bytes(SimulatedWorld world, int length)
    {
        var bytes = new byte[length];
        world.Random.NextBytes(bytes);
        return bytes;
    }

    private static async Task EchoAsync(SecondarySession session)
    {
        while (true)
        {
            await session.SendRawDataAsync((await session.ReceiveRawDataAsync()).Data);
        }
    }

    private static List<SessionEvent> Taken(PrimarySession session)
    {
        var taken = new List<SessionEvent>();
        while (session.Events.TryRead(out SessionEvent? happened))
        {
            taken.Add(happened);
        }

        return taken;
    }

    private static async Task SendAsync(PrimarySession session, int path, byte[][] pieces)
    {
        foreach (byte[] piece in pieces)
        {
            await session.SendRawDataAsync(path, piece);
        }
    }
}
