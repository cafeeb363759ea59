using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Streams that no correct peer opens or writes: ended with the rule's code, counted, and no byte too many is shown.</summary>
public sealed class StreamRuleTests
{
    private static readonly byte[] Payload = [1, 2, 3, 4, 5, 6, 7, 8];

    /// <summary>Metadata, in hexadecimal and behind its length, that no correct peer writes.</summary>
    public static TheoryData<string> BadMetadata =>
    [
        "00", "022000", "020b0c", "020000", "020800", // No type, an unknown field alone, a group, field 0, a type that is no message.
        "040a001200", "030a0a00", "060affffffff07", // Two types, a body longer than the message, one of 2^31-1 bytes.
        "06120410818040", "08120610ffffffff0f", // Payloads of 1 MiB and a byte, of 2^32-1 bytes.
        "0d120b08ffffffffffffffffff01", "0e120c08ffffffffffffffff3f1001", // Offsets of 2^64-1, of one byte beyond 2^62-1.
        "8108", "ffffffff07", "ffffffffffffffffffff01", // Frames of 1,025 bytes, of 2^31-1, of more than 2^64.
    ];

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    public void Header_ThatAClientNeverCompletes_IsStoppedAfterFiveSeconds(int bytes) => RawScene.AtPrimary(async (world, client, _) =>
        Assert.Equal(KwikError.Timeout, await HeaderAsync(world, client, bytes)));

    [Theory]
    [InlineData(1)]
    [InlineData(16)]
    public void Header_ThatAPrimaryNeverCompletes_IsStoppedAfterFiveSeconds(int bytes) => RawScene.AtClient(async (world, primary, session) =>
    {
        Assert.Equal(KwikError.Timeout, await HeaderAsync(world, primary, bytes));
        Assert.Equal(1, session.GetAllPaths()[0].Violations);
    });

    [Theory]
    [InlineData((int)StreamType.Control)]
    [InlineData((int)StreamType.Internal)]
    [InlineData(200)]
    public void Type_ThatAClientMayNotOpen_IsAbortedAndCounted(int type) => RawScene.AtPrimary(async (world, client, session) =>
    {
        KwikError expected = type == 200 ? KwikError.MetadataProtocolViolation : KwikError.InvalidStreamRole;
        Assert.Equal(expected, await OpenAsync(client, (StreamType)type, bidirectional: true));
        Assert.Equal(1, session.GetAllPaths()[0].Violations);
    });

    [Theory]
    [InlineData((int)StreamType.Control, true)]
    [InlineData((int)StreamType.Internal, true)]
    [InlineData((int)StreamType.Error, false)]
    [InlineData((int)StreamType.Control, false)]
    [InlineData((int)StreamType.Main, false)]
    public void Type_ThatAPrimaryMayNotOpen_IsAbortedAndCounted(int type, bool bidirectional) => RawScene.AtClient(async (world, primary, session) =>
    {
        Task<KwikStream> another = session.AcceptStream();
        Assert.Equal(KwikError.InvalidStreamRole, await OpenAsync(primary, (StreamType)type, bidirectional));
        Assert.Equal(1, session.GetAllPaths()[0].Violations);
        Assert.False(another.IsCompleted);
        await session.DisposeAsync();
        await Assert.ThrowsAnyAsync<KwikException>(() => another);
    });

    [Fact]
    public void Types_ThatMayNotBeOpened_MoreThan16Times_EndTheConnection()
    {
        RawScene.AtPrimary(async (_, client, _) => Assert.Equal(KwikError.LimitExceeded, await OpenSeventeenAsync(client)));
        RawScene.AtClient(async (_, primary, session) =>
        {
            Assert.Equal(KwikError.LimitExceeded, await OpenSeventeenAsync(primary));
            Assert.Equal(KwikError.LimitExceeded, (await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed)).Code);
        });
    }

    [Theory]
    [MemberData(nameof(BadMetadata))]
    public void Metadata_ThatIsMalformedOnMain_FailsTheStream(string hex) => RawScene.AtClient(async (world, primary, session) =>
    {
        ITransportStream main = await primary.OpenAsync(
            StreamType.Main, [.. RawPeer.Bytes((StreamFrame.Data(8), Payload)), .. Convert.FromHexString(hex)]);
        await using KwikStream stream = await session.AcceptStream();
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadToEndAsync());
        Assert.Equal((KwikError.MetadataProtocolViolation, stream.Id), (e.Code, e.StreamId));
        Assert.Equal(KwikError.MetadataProtocolViolation, await PushScene.OutcomeAsync(main));
        Assert.False(session.Closed.IsCompleted);
    });

    public static TheoryData<string, KwikError> MainEnds => new()
    {
        { "two fins", KwikError.MetadataProtocolViolation },
        { "a fin below what came", KwikError.FinalSize },
        { "data past the fin", KwikError.MetadataProtocolViolation },
        { "no fin", KwikError.PrimaryLost },
        { "an offset that goes back", KwikError.MetadataProtocolViolation },
        { "a payload with a wrong sum", KwikError.Checksum },
    };

    [Theory]
    [MemberData(nameof(MainEnds))]
    public void Main_ThatContradictsItself_FailsTheStreamBehindACorrectPrefix(string what, KwikError expected) =>
        RawScene.AtClient(async (world, primary, session) =>
        {
            (StreamFrame, byte[]) data = (StreamFrame.Data(8), Payload);
            (StreamFrame, byte[])[] rest = what switch
            {
                "two fins" => [(StreamFrame.Close(8), []), (StreamFrame.Close(9), [])],
                "a fin below what came" => [(StreamFrame.Close(7), [])],
                "data past the fin" => [(StreamFrame.Close(8), []), data],
                "an offset that goes back" => [(StreamFrame.Data(8, 7), Payload), (StreamFrame.Close(15), [])],
                "a payload with a wrong sum" => [(StreamFrame.Data(8, checksum: 1), Payload), (StreamFrame.Close(16), [])],
                _ => [],
            };
            await primary.OpenAsync(StreamType.Main, RawPeer.Bytes([data, .. rest]), completeWrites: true);
            await using KwikStream stream = await session.AcceptStream();

            var received = new List<byte>();
            KwikException e = await Assert.ThrowsAnyAsync<KwikException>(async () =>
            {
                var buffer = new byte[4];
                while (await stream.ReadAsync(buffer) is int read)
                {
                    // Whoever read all eight bytes before the second word came has seen a correct end.
                    received.AddRange(buffer.AsSpan(0, read));
                    await world.Delay(TimeSpan.FromMilliseconds(20));
                }
            });

            Assert.Equal((expected, stream.Id), (e.Code, e.StreamId));
            Assert.True(Payload.AsSpan().StartsWith(received.ToArray()));
            Assert.False(session.Closed.IsCompleted);
        });

    /// <summary>Nobody else sends bytes to a server, so what is missing at the end of Main never comes.</summary>
    [Theory]
    [InlineData("a fin beyond what came", KwikError.FinalSize)]
    [InlineData("a hole", KwikError.FinalSize)]
    [InlineData("an offer", KwikError.MetadataProtocolViolation)]
    public void Main_OfAClientThatLeavesBytesOut_FailsTheStream(string what, KwikError expected) =>
        RawScene.AtPrimary(async (world, client, session) =>
        {
            (StreamFrame, byte[])[] rest = what switch
            {
                "a fin beyond what came" => [(StreamFrame.Close(9), [])],
                "a hole" => [(StreamFrame.Data(8, offset: 9), Payload), (StreamFrame.Close(17), [])],
                _ => [(StreamFrame.Close(8, isOffered: true), [])],
            };
            await client.OpenAsync(StreamType.Main, RawPeer.Bytes([(StreamFrame.Data(8), Payload), .. rest]), completeWrites: true);
            await using KwikStream stream = await session.AcceptStream();

            Task<byte[]> reading = stream.ReadToEndAsync();
            await world.Delay(TimeSpan.FromSeconds(1));
            Assert.True(reading.IsCompleted);
            KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => reading);
            Assert.Equal((expected, stream.Id), (e.Code, e.StreamId));
            Assert.False(session.Closed.IsCompleted);
        });

    [Fact]
    public void Offers_OfTwoSizesForOneStream_FailIt() => RawScene.AtClient(async (world, primary, session) =>
    {
        ITransportStream main = await primary.OpenAsync(StreamType.Main, []);
        await using KwikStream stream = await session.AcceptStream();
        foreach (int length in new[] { 1000, 1001 })
        {
            MemoryContent content = MemoryContent.Random(1, length);
            await primary.SendAsync(new ControlFrame { ContentOffer = ControlLimitTests.Offer(stream.Id, content) });
        }

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadToEndAsync());
        Assert.Equal(KwikError.MetadataProtocolViolation, e.Code);
        Assert.Equal(KwikError.MetadataProtocolViolation, await PushScene.OutcomeAsync(main));
        Assert.False(session.Closed.IsCompleted);
    });

    private static async Task<KwikError> HeaderAsync(SimulatedWorld world, RawPeer peer, int bytes)
    {
        ITransportStream stream = await peer.Connection.OpenStreamAsync(bidirectional: true, CancellationToken.None);
        await stream.WriteAsync(RawPeer.Header(StreamType.Main).AsMemory(0, bytes));
        TimeSpan began = world.Time.Elapsed;
        KwikError code = await PushScene.OutcomeAsync(stream);
        Assert.InRange(world.Time.Elapsed - began, TimeSpan.FromSeconds(5), TimeSpan.FromSeconds(5.1));
        return code;
    }

    private static async Task<KwikError> OpenAsync(RawPeer peer, StreamType type, bool bidirectional)
    {
        ITransportStream stream = await peer.Connection.OpenStreamAsync(bidirectional, CancellationToken.None);
        byte[] header = RawPeer.Header(StreamType.Internal);
        header[^1] = (byte)type;
        await stream.WriteAsync(header);
        return await PushScene.OutcomeAsync(stream);
    }

    private static async Task<KwikError> OpenSeventeenAsync(RawPeer peer)
    {
        Task<KwikError> end = peer.EndAsync();
        for (int i = 0; i < InboundStreams.ViolationLimit; i++)
        {
            Assert.Equal(KwikError.InvalidStreamRole, await OpenAsync(peer, StreamType.Control, bidirectional: true));
            Assert.False(end.IsCompleted);
        }

        await OpenAsync(peer, StreamType.Control, bidirectional: true);
        await OpenAsync(peer, StreamType.Control, bidirectional: true);
        return await end;
    }
}
