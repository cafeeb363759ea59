using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Peers whose control streams carry what no correct peer sends: a typed end, and nothing is left.</summary>
public sealed class BadControlTests
{
    private static readonly ControlFrame Heartbeat = new() { Heartbeat = new Heartbeat { Sequence = 5 } };

    public static TheoryData<string> Malformed => [.. Corpus.Malformed.Keys];

    [Theory]
    [MemberData(nameof(Malformed))]
    public void MalformedBytes_AtAPrimary_EndTheConnectionWithMetadataProtocolViolation(string name) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        KwikException? seen = null;
        await deployment.StartPrimaryAsync(
            null, async session => seen = await Assert.ThrowsAnyAsync<KwikException>(() => session.AcceptStream()));
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });

        Task<KwikError> end = client.EndAsync();
        await SendWhatGoesAsync(client, Corpus.Malformed[name]);

        Assert.Equal(KwikError.MetadataProtocolViolation, await end);
        await AssertNothingIsLeftAsync(world, deployment);
        Assert.Equal(KwikError.MetadataProtocolViolation, seen?.Code);
    });

    [Theory]
    [MemberData(nameof(Malformed))]
    public void MalformedBytes_AtAClient_EndTheSessionWithMetadataProtocolViolation(string name) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        await using KwikStream stream = await session.OpenStreamSync();
        Task<int> reading = stream.ReadAsync(new byte[1]).AsTask();

        Task<KwikError> end = primary.EndAsync();
        await SendWhatGoesAsync(primary, Corpus.Malformed[name]);

        Assert.Equal(KwikError.MetadataProtocolViolation, await end);
        Assert.Equal(KwikError.PrimaryLost, (await Assert.ThrowsAnyAsync<KwikException>(() => reading)).Code);
        Assert.Equal(KwikError.MetadataProtocolViolation, (await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed)).Code);
        await stream.DisposeAsync();
        await session.DisposeAsync();
        await AssertNothingIsLeftAsync(world, deployment);
    });

    [Fact]
    public void EmptySubmessages_AsManyAsAFrameMayHold_AreOneEmptyMessage() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, session => session.Closed);
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });

        await client.SendAsync(Corpus.EmptySubmessages(ControlCodec.MaxFrameSize));
        await client.SendAsync(Heartbeat);

        Assert.Equal(0u, (await client.UntilAsync(ControlFrame.BodyOneofCase.HeartbeatAck)).HeartbeatAck.Sequence);
        Assert.Equal(5u, (await client.UntilAsync(ControlFrame.BodyOneofCase.HeartbeatAck)).HeartbeatAck.Sequence);
    });

    [Fact]
    public void UnknownBodies_AtEitherSide_AreIgnored() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        foreach (int field in new[] { 17, 31, 99, 536870911 })
        {
            await primary.SendAsync(Corpus.Frame(Corpus.Field(field, [1, 2, 3])));
        }

        await primary.SendAsync(Heartbeat);

        Assert.Equal(5u, (await primary.UntilAsync(ControlFrame.BodyOneofCase.HeartbeatAck)).HeartbeatAck.Sequence);
        Assert.False(session.Closed.IsCompleted);
    });

    [Theory]
    [SimulationSeeds]
    public void CorpusCutAnywhere_AtAPrimary_EndsTypedAndLeavesNothing(int seed) => Simulation.Run(seed, async world =>
    {
        byte[] whole = Corpus.OfClient(world.Random);
        int cut = world.Random.Next(1, whole.Length);

        KwikError code = await AttackPrimaryAsync(world, whole[..cut]);

        Assert.Contains(code, Expected);
    });

    [Theory]
    [SimulationSeeds]
    public void CorpusWithAFlippedBit_AtAPrimary_EndsTypedAndLeavesNothing(int seed) => Simulation.Run(seed, async world =>
    {
        byte[] whole = Corpus.OfClient(world.Random);
        whole[world.Random.Next(whole.Length)] ^= (byte)(1 << world.Random.Next(8));

        KwikError code = await AttackPrimaryAsync(world, whole);

        Assert.Contains(code, Expected);
    });

    [Theory]
    [SimulationSeeds]
    public void CorpusCutOrFlipped_AtAClient_EndsTypedAndLeavesNothing(int seed) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        await using KwikStream stream = await session.OpenStreamSync();
        byte[] whole = Corpus.OfPrimary(world.Random, stream.Id);
        if (seed % 2 == 0)
        {
            whole = whole[..world.Random.Next(1, whole.Length)];
        }
        else
        {
            whole[world.Random.Next(whole.Length)] ^= (byte)(1 << world.Random.Next(8));
        }

        Task<KwikError> end = primary.EndAsync();
        await SendWhatGoesAsync(primary, whole);

        Assert.Contains(await end, Expected);
        await Record.ExceptionAsync(() => session.Closed);
        Exception? e = await Record.ExceptionAsync(() => stream.ReadToEndAsync());
        Assert.IsAssignableFrom<KwikException>(e);
        await stream.DisposeAsync();
        await session.DisposeAsync();
        await AssertNothingIsLeftAsync(world, deployment);
    });

    [Fact]
    public void FirstFrameOfAStranger_CutAtEveryByte_IsNotAdmittedAndLeavesNothing()
    {
        byte[] first = ControlCodec.Encode(new ControlFrame { Authenticate = new Authenticate { Version = 1, Role = Role.Primary } });
        for (int cut = 0; cut < first.Length; cut++)
        {
            int length = cut;
            Simulation.Run(1, async world =>
            {
                await using var deployment = new SimulatedDeployment(world);
                await deployment.StartPrimaryAsync(null, session => session.Closed);
                await using RawPeer stranger = await RawPeer.ConnectAsync(deployment.ClientHost, deployment.PrimaryHost);
                Task<KwikError> end = stranger.EndAsync();
                await stranger.SendAsync(first.AsMemory(0, length), completeWrites: true);
                Assert.Equal(KwikError.AuthenticationFailed, await end);
                await AssertNothingIsLeftAsync(world, deployment);
            });
        }
    }

    [Theory]
    [InlineData(10, 4, 443, 0, 0, 0)]
    [InlineData(0, 4, 443, 0, 0, 0)]
    [InlineData(7, 4, 443, 0, 0, 0)]
    [InlineData(2, 5, 443, 0, 0, 0)]
    [InlineData(2, 4, 65536, 0, 0, 0)]
    [InlineData(2, 4, 443, ulong.MaxValue, 0, 0)]
    [InlineData(2, 4, 443, 0, ulong.MaxValue, 0)]
    [InlineData(2, 4, 443, 0, 0, ulong.MaxValue)]
    public void PathStatus_WithAValueOutOfRange_EndsTheConnection(
        int condition, int address, uint port, ulong age, ulong roundTrip, ulong bytes) => Simulation.Run(1, async world =>
    {
        var status = new PathStatus
        {
            PathId = 1,
            Condition = (PathCondition)condition,
            Address = ByteString.CopyFrom(new byte[address]),
            Port = port,
            ConditionAgeMs = age,
            RoundTripUs = roundTrip,
            BytesReceived = bytes,
        };
        Assert.Equal(KwikError.MetadataProtocolViolation, await TellPrimaryAsync(world, new ControlFrame { PathStatus = status }));
    });

    [Theory]
    [InlineData(0u)]
    [InlineData(2u)]
    [InlineData(uint.MaxValue)]
    public void AnyFrame_AboutAPathThatWasNeverAnnounced_EndsTheConnection(uint pathId) => Simulation.Run(1, async world =>
    {
        ControlFrame[] frames =
        [
            new() { PathAdded = new PathAdded { PathId = pathId } },
            new() { PathRemoved = new PathRemoved { PathId = pathId } },
            new() { PathStatus = new PathStatus { PathId = pathId, Condition = PathCondition.Active } },
            new() { TokenRequest = new TokenRequest { PathId = pathId } },
            new() { RawData = new RawData { PathId = pathId, Data = ByteString.CopyFrom(1) } },
            new() { RawDataRefused = new RawDataRefused { PathId = pathId, Id = 1 } },
        ];
        foreach (ControlFrame frame in frames)
        {
            Assert.Equal(KwikError.MetadataProtocolViolation, await TellPrimaryAsync(world, frame));
        }
    });

    [Fact]
    public void RawDataRefused_ForWhatWasNeverSent_EndsTheConnection() => Simulation.Run(1, async world => Assert.Equal(
        KwikError.MetadataProtocolViolation,
        await TellPrimaryAsync(world, new ControlFrame { RawDataRefused = new RawDataRefused { PathId = 1, Id = 1 } })));

    [Theory]
    [InlineData(0)]
    [InlineData((60 * 1024) + 1)]
    public void RawData_OfASizeThatIsNotAllowed_EndsTheConnection(int size) => Simulation.Run(1, async world => Assert.Equal(
        KwikError.MetadataProtocolViolation,
        await TellPrimaryAsync(world, new ControlFrame { RawData = new RawData { PathId = 1, Data = ByteString.CopyFrom(new byte[size]) } })));

    [Fact]
    public void PathStatus_OfAPathThatRisesFromItsRemoval_EndsTheConnection() => Simulation.Run(1, async world => Assert.Equal(
        KwikError.MetadataProtocolViolation,
        await TellPrimaryAsync(
            world,
            new ControlFrame { PathStatus = new PathStatus { PathId = 1, Condition = PathCondition.Removed } },
            new ControlFrame { PathStatus = new PathStatus { PathId = 1, Condition = PathCondition.Active } })));

    [Fact]
    public void Secondary_ThatSendsWhatOnlyThePrimaryMay_LosesItsPathForGood() => Simulation.Run(1, async world =>
    {
        ControlFrame[] frames =
        [
            new() { AddPath = new AddPath { PathId = 9 } },
            new() { RemovePath = new RemovePath { PathId = 1 } },
            new() { Token = new Token { PathId = 1 } },
            new() { ContentOffer = new Data.Wire.ContentOffer { KwikStreamId = 1 } },
            new() { GrantRenewal = new GrantRenewal { KwikStreamId = 1 } },
            new() { MappingUpdate = new StreamMappingUpdate { Operation = MappingOperation.MappingCreate, PathId = 1, Length = 1 } },
            new() { RawData = new RawData { PathId = 1, Data = ByteString.CopyFrom(1) } },
        ];
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            for (int i = 0; i < frames.Length; i++)
            {
                world.Host($"evil {i}");
                await session.AddPathAsync(new SecondaryServer(
                    world.Host($"evil {i}").Address.ToString(),
                    SimulatedDeployment.Port,
                    [KeyHash.OfCertificate(TestCertificates.SelfSigned($"evil {i}"))]));
            }

            await session.Closed;
        });
        var accepting = new List<Task<RawPeer>>();
        for (int i = 0; i < frames.Length; i++)
        {
            accepting.Add(await RawPeer.ListenAsync(world.Host($"evil {i}")));
        }

        await using ClientSession session = await deployment.ConnectAsync();
        for (int i = 0; i < frames.Length; i++)
        {
            await using RawPeer evil = await accepting[i];
            await evil.SendAsync(frames[i]);
            KwikError code = await evil.EndAsync();
            Assert.Equal(frames[i].RawData is not null ? KwikError.MetadataProtocolViolation : KwikError.SecondaryStreamIsolation, code);
            await session.Events.UntilAsync(i + 1, PathState.Removed);
        }

        Assert.Equal([0], session.GetActivePaths().Select(path => path.Id));
    });

    [Fact]
    public void Primary_ThatAnnouncesTenThousandPaths_ConnectsItsClientNowhereMuch() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        Task<KwikError> end = primary.EndAsync();
        await FloodAsync(primary, Enumerable.Range(1, 10_000).Select(i => Corpus.AddPath(i, "10.9.9.9")));

        Assert.Equal(KwikError.LimitExceeded, await end);
        Assert.InRange(session.GetAllPaths().Count, 1, 8);
        await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed);
        await session.DisposeAsync();
        await AssertNothingIsLeftAsync(world, deployment);
    });

    [Fact]
    public void Primary_ThatAnnouncesTenThousandPathsSlowly_ConnectsItsClientToFewAddresses() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        Task<List<KwikError>> answers = AnswersAsync(primary, 10_000);
        for (int i = 1; i <= 10_000; i += 500)
        {
            await FloodAsync(primary, Enumerable.Range(i, 500).Select(id => Corpus.AddPath(id, $"10.{id >> 16}.{(id >> 8) & 255}.{id & 255}")));
            await world.Delay(TimeSpan.FromSeconds(1));
        }

        List<KwikError> codes = await answers;
        Assert.Equal(10_000, codes.Count);
        Assert.InRange(codes.Count(code => code != KwikError.LimitExceeded), 1, PathTable.MaxAddresses);
        Assert.False(session.Closed.IsCompleted);
        Assert.Single(session.GetAllPaths());
    });

    [Fact]
    public void Primary_ThatAnnouncesInsideAddresses_IsRefused() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        string[] inside = ["127.0.0.1", "::1", "169.254.169.254", "fe80::1", "0.0.0.0", "224.0.0.1", "::ffff:127.0.0.1"];
        for (int i = 0; i < inside.Length; i++)
        {
            await primary.SendAsync(Corpus.AddPath(i + 1, inside[i]));
        }

        Assert.All(await AnswersAsync(primary, inside.Length), code => Assert.Equal(KwikError.LimitExceeded, code));
        Assert.Single(session.GetAllPaths());
    });

    [Fact]
    public void AddPath_WithATokenThatIsNone_IsRefused() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        ControlFrame frame = Corpus.AddPath(1, "10.9.9.9");
        frame.AddPath.PathToken = ByteString.CopyFrom(1, 2, 3);
        await primary.SendAsync(frame);

        Assert.Equal([KwikError.MetadataProtocolViolation], await AnswersAsync(primary, 1));
    });

    [Theory]
    [InlineData(0u)]
    [InlineData(1u)]
    [InlineData(uint.MaxValue)]
    public void Token_ThatIsNone_EndsTheSession(uint pathId) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        await primary.SendAsync(new ControlFrame { Token = new Token { PathId = pathId, PathToken = ByteString.CopyFrom(1) } });

        Assert.Equal(KwikError.MetadataProtocolViolation, await primary.EndAsync());
        await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed);
    });

    // An end that is nobody's fault is Cancelled or None: the control stream ended at the border of a frame.
    private static readonly KwikError[] Expected =
    [
        KwikError.MetadataProtocolViolation, KwikError.None, KwikError.Cancelled, KwikError.LimitExceeded,
        KwikError.SecondaryStreamIsolation,
    ];

    private static async Task<KwikError> AttackPrimaryAsync(SimulatedWorld world, byte[] bytes)
    {
        await using var deployment = new SimulatedDeployment(world);
        KwikException? seen = null;
        await deployment.StartPrimaryAsync(
            MemoryContent.Random(1, 1000),
            async session => seen = await Assert.ThrowsAnyAsync<KwikException>(() => session.AcceptStream()));
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        Task<KwikError> end = client.EndAsync();
        await SendWhatGoesAsync(client, bytes);
        KwikError code = await end;
        await AssertNothingIsLeftAsync(world, deployment);
        Assert.NotNull(seen);
        return code;
    }

    /// <summary>Sends frames to a primary that announced path 1 and sent nothing else; gives the code of the end.</summary>
    private static async Task<KwikError> TellPrimaryAsync(SimulatedWorld world, params ControlFrame[] frames)
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session => await Assert.ThrowsAnyAsync<KwikException>(
            () => session.AddPathAsync(new SecondaryServer("10.9.9.9", 1, [KeyHash.OfPublicKey("x"u8)]))));
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        await client.UntilAsync(ControlFrame.BodyOneofCase.AddPath);
        foreach (ControlFrame frame in frames)
        {
            await client.SendAsync(frame);
        }

        KwikError code = await client.EndAsync();
        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.PrimaryHost.OpenConnections);
        deployment.PrimaryHost.Restart();
        return code;
    }

    private static async Task<List<KwikError>> AnswersAsync(RawPeer primary, int count)
    {
        var answers = new List<KwikError>();
        while (answers.Count < count)
        {
            answers.Add((KwikError)(await primary.UntilAsync(ControlFrame.BodyOneofCase.PathAdded)).PathAdded.ErrorCode);
        }

        return answers;
    }

    private static Task FloodAsync(RawPeer peer, IEnumerable<ControlFrame> frames) =>
        SendWhatGoesAsync(peer, [.. frames.SelectMany(ControlCodec.Encode)], completeWrites: false);

    private static async Task SendWhatGoesAsync(RawPeer peer, byte[] bytes, bool completeWrites = true)
    {
        try
        {
            await peer.SendAsync(bytes, completeWrites);
        }
        catch (KwikException)
        {
            // The other side had enough before the end.
        }
    }

    private static async Task AssertNothingIsLeftAsync(SimulatedWorld world, SimulatedDeployment deployment)
    {
        await deployment.DisposeAsync();
        await world.Delay(TimeSpan.FromSeconds(1));
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    }
}
