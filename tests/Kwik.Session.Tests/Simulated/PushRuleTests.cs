using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using RangeLost = Kwik.Sessions.RangeLost;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// The rules for pushed bytes: who breaks one has its stream ended with the rule's code, and what it owes is named to the
/// primary. What a secondary may not reach at all is in <see cref="SecondaryIsolationTests"/>.
/// </summary>
public sealed class PushRuleTests
{
    private static readonly byte[] Payload = [1, 2, 3, 4, 5, 6, 7, 8];

    [Theory]
    [MemberData(nameof(StreamRuleTests.BadMetadata), MemberType = typeof(StreamRuleTests))]
    public void Metadata_ThatIsMalformedOnAnInternalStream_EndsItAndLosesNoByte(string hex) => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, 16);
        ITransportStream pushed = await scene.BeginAsync(1, (0, Payload));
        await pushed.WriteAsync(Convert.FromHexString(hex));
        Assert.Equal(KwikError.MetadataProtocolViolation, await PushScene.OutcomeAsync(pushed));
        await scene.SettleAsync();
        Assert.Equal(1, scene.Path(1).Violations);

        RangeLost lost = Assert.Single(scene.Lost());
        Assert.Equal((8, 8, 1, KwikError.MetadataProtocolViolation), (lost.Offset, lost.Length, lost.PathId, lost.Error));
        await scene.Written.WriteAtAsync(8, Payload);
        scene.Written.CompleteWrites(16);
        Assert.Equal((byte[])[.. Payload, .. Payload], (await scene.ReadAsync()).Received);
    });

    [Fact]
    public void Client_ThatWritesAtAnOffset_IsRefusedAndNothingOfItIsLeft() => Simulation.Run(1, async world =>
    {
        var read = new TaskCompletionSource<byte[]>();
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.AcceptStream();
            read.SetResult(await stream.ReadToEndAsync());
            await session.Closed;
        });
        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.OpenStreamSync();

        await stream.WriteAsync(Payload);
        await Assert.ThrowsAsync<InvalidOperationException>(() => stream.WriteAtAsync(100, Payload).AsTask());
        stream.CompleteWrites();

        // It ends behind what was written, and not behind what was refused.
        Assert.Equal(Payload, await read.Task);
    });

    public enum Ending
    {
        WithoutCloseFrame,
        InsideAFrame,
        InsideAPayload,
        BehindAnotherClose,
        BehindMoreData,
        OpenedAgain,
    }

    /// <summary>How a pushed stream may not end: the rule is counted, what came before it stays.</summary>
    [Theory]
    [InlineData(Ending.WithoutCloseFrame)]
    [InlineData(Ending.InsideAFrame)]
    [InlineData(Ending.InsideAPayload)]
    [InlineData(Ending.BehindAnotherClose)]
    [InlineData(Ending.BehindMoreData)]
    [InlineData(Ending.OpenedAgain)]
    public void PushedStream_ThatEndsInAnotherWay_IsAViolationAndWhatIsMissingIsNamed(Ending end) => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, 16);
        ITransportStream pushed = await scene.BeginAsync(1, (0, Payload));
        byte[] close = RawPeer.Bytes((StreamFrame.Close(8), []));
        byte[] rest = end switch
        {
            Ending.WithoutCloseFrame => [],
            Ending.InsideAFrame => close[..^1],
            Ending.InsideAPayload => RawPeer.Bytes((StreamFrame.Data(8), Payload[..7])),
            Ending.BehindAnotherClose => [.. close, .. close],
            Ending.BehindMoreData => [.. close, .. RawPeer.Bytes((StreamFrame.Data(8), Payload))],
            _ => RawPeer.Bytes((StreamFrame.Open(scene.Stream.Id, 8), [])),
        };
        await pushed.WriteAsync(rest, completeWrites: true);
        await scene.SettleAsync();

        RuleBroken broken = Assert.Single(scene.Events().OfType<RuleBroken>());
        Assert.Equal((1, KwikError.MetadataProtocolViolation), (broken.PathId, broken.Error));
        RangeLost lost = Assert.Single(scene.Lost());
        Assert.Equal((8, 8), (lost.Offset, lost.Length));
        await scene.Written.WriteAtAsync(8, Payload);
        scene.Written.CompleteWrites(16);
        Assert.Equal((byte[])[.. Payload, .. Payload], (await scene.ReadAsync()).Received);
    });

    [Fact]
    public void PushedBytes_AcrossRangesThatTouch_AreTaken() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, 3);
        await scene.GrantAsync(1, 3, 2);
        await scene.GrantAsync(1, 5, 3);
        await (await scene.PushAsync(1, (0, Payload))).WritesClosed;
        scene.Written.CompleteWrites(8);

        Assert.Equal(Payload, (await scene.ReadAsync()).Received);
        Assert.Equal(0, scene.Path(1).Violations);
    });

    [Fact]
    public void PushedBytes_AcrossAByteThatWasNotGranted_AreRefusedWhole() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, 3);
        await scene.GrantAsync(1, 4, 4);
        ITransportStream pushed = await scene.PushAsync(1, (0, Payload));

        Assert.Equal(KwikError.StreamMappingConflict, await PushScene.OutcomeAsync(pushed));
        Assert.Equal([(0, 8)], scene.Stream.Incoming.Missing(0, 8));
        Assert.Equal(1, scene.Path(1).Violations);
    });

    [Fact]
    public void PushedBytes_IntoAStreamThatWasOffered_AreRefused() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        var content = MemoryContent.Random(1, 1000);
        await scene.Written.OfferContentAsync(content.Offer);
        await scene.SettleAsync();
        ITransportStream pushed = await scene.BeginAsync(1, (0, content.Slice(0, 1000)));

        Assert.Equal(KwikError.StreamMappingConflict, await PushScene.OutcomeAsync(pushed));
        Assert.Equal([(0, 1000)], scene.Stream.Incoming.Missing(0, 1000));
        Assert.Equal(1, scene.Path(1).Violations);
    });

    /// <summary>Grants that no correct primary makes, behind one of 10 bytes at offset 10 for path 1.</summary>
    public static TheoryData<int, ulong, ulong, ulong> BadGrants => new()
    {
        { (int)MappingOperation.MappingCreate, 1, 30, 0 },
        { (int)MappingOperation.MappingCreate, 1, 5, 10 },
        { (int)MappingOperation.MappingCreate, 1, 5, 100 },
        { (int)MappingOperation.MappingCreate, 1, 15, 10 },
        { (int)MappingOperation.MappingCreate, 1, 10, 11 },
        { (int)MappingOperation.MappingCreate, 1, (1UL << 62) - 1, 1 },
        { (int)MappingOperation.MappingCreate, 1, 30, (1UL << 62) - 1 },
        { (int)MappingOperation.MappingCreate, 1, 1UL << 63, 1 },
        { (int)MappingOperation.MappingCreate, 1, 30, 1UL << 63 },
        { (int)MappingOperation.MappingCreate, 1UL << 31, 30, 1 },
        { (int)MappingOperation.MappingUpdate, 1, 10, 0 },
        { (int)MappingOperation.MappingUpdate, 1, 10, (1UL << 62) - 1 },
        { 3, 1, 30, 1 },
        { 77, 1, 30, 1 },
    };

    [Theory]
    [MemberData(nameof(BadGrants))]
    public void Grant_ThatIsNone_EndsTheSession(int operation, ulong path, ulong offset, ulong length) =>
        Grants(async (_, primary, session) =>
        {
            await primary.SendAsync(Grant(MappingOperation.MappingCreate, 1, 1, 10, 10));
            await primary.SendAsync(Grant((MappingOperation)operation, (uint)path, 1, offset, length));

            Assert.Equal(KwikError.MetadataProtocolViolation, await primary.EndAsync());
            Assert.Equal(KwikError.MetadataProtocolViolation, (await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed)).Code);
        });

    [Fact]
    public void Grants_MoreThan1024OfOnePathInOneStream_EndTheSession() => Grants(async (_, primary, session) =>
    {
        Task<KwikError> end = primary.EndAsync();
        for (uint i = 0; i < 1024; i++)
        {
            await primary.SendAsync(Grant(MappingOperation.MappingCreate, 1, 1, 2 * i, 1));
        }

        await primary.SendAsync(Grant(MappingOperation.MappingCreate, 2, 1, 0, 1));
        await primary.SendAsync(Grant(MappingOperation.MappingCreate, 1, 5, 0, 1));
        Assert.False(end.IsCompleted);
        await primary.SendAsync(Grant(MappingOperation.MappingCreate, 1, 1, 2048, 1));
        Assert.Equal(KwikError.MetadataProtocolViolation, await end);
    });

    [Fact]
    public void Grants_MoreThan65536OfASession_EndTheSession() => Grants(async (world, primary, session) =>
    {
        Task<KwikError> end = primary.EndAsync();
        for (uint i = 0; i < 65536; i++)
        {
            if (i % 500 == 0)
            {
                await world.Delay(TimeSpan.FromSeconds(1));
            }

            await primary.SendAsync(Grant(MappingOperation.MappingCreate, 1, i, 0, 1));
        }

        await world.Delay(TimeSpan.FromSeconds(1));
        Assert.False(end.IsCompleted);
        await primary.SendAsync(Grant(MappingOperation.MappingCreate, 1, 65536, 0, 1));
        Assert.Equal(KwikError.MetadataProtocolViolation, await end);
    });

    private static ControlFrame Grant(MappingOperation operation, uint path, ulong stream, ulong offset, ulong length) => new()
    {
        MappingUpdate = new StreamMappingUpdate
        {
            Operation = operation,
            PathId = path,
            KwikStreamId = stream,
            Offset = offset,
            Length = length,
        },
    };

    private static void Grants(Func<SimulatedWorld, RawPeer, ClientSession, Task> play) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        await play(world, primary, session);
    });
}
