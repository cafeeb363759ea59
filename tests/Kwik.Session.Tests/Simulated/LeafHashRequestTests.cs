using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using LeafHashes = Kwik.Data.LeafHashes;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Requests for leaf hashes, asked by a client that the test plays.</summary>
public sealed class LeafHashRequestTests
{
    private const int Leaf = ContentHasher.MinLeafSize;

    private static readonly MemoryContent Content = MemoryContent.Random(1, (LeafHashes.MaxCount + 3) * Leaf, Leaf);

    [Theory]
    [InlineData(0, LeafHashes.MaxCount)]
    [InlineData(LeafHashes.MaxCount, 3)]
    public void Request_OfAnOfferedContent_IsAnsweredWithHashesAndTheirProof(int firstLeaf, int count) => Ask(
        Content, streamId => Request(streamId, firstLeaf), (answer, streamId) =>
        {
            Assert.Equal((7UL, (ulong)streamId, 0UL), (answer.RequestId, answer.KwikStreamId, answer.ErrorCode));
            var hashes = new LeafHashes(firstLeaf, answer.Hashes.Memory, answer.Proof.Memory);
            Assert.Equal(count, hashes.Count);
            Assert.True(hashes.Prove(Content.Offer));
        });

    [Fact]
    public void Request_BehindTheEndOfTheContent_IsRefused() => Ask(
        Content, streamId => Request(streamId, 2 * LeafHashes.MaxCount), (answer, _) => AssertRefused(answer, KwikError.NotFound));

    [Fact]
    public void Request_OfAContentThatWasNotOffered_IsRefused() => Ask(
        Content,
        streamId => new LeafHashRequest(Request(streamId, 0)) { Root = ByteString.CopyFrom(new byte[32]) },
        (answer, _) => AssertRefused(answer, KwikError.AuthenticationFailed));

    [Fact]
    public void Request_ForAnotherStream_IsRefused() => Ask(
        Content, streamId => Request(streamId + 4, 0), (answer, _) => AssertRefused(answer, KwikError.AuthenticationFailed));

    [Fact]
    public void Request_OfAContentThatTheServerHasNot_IsRefused() => Ask(
        MemoryContent.Random(2, 100), streamId => Request(streamId, 0), (answer, _) => AssertRefused(answer, KwikError.NotFound));

    [Fact]
    public void Requests_MoreThanWait_AreRefusedAndTheOthersAnswered() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        (RawPeer client, long streamId) = await ConnectAsync(deployment, Content);
        await using RawPeer owned = client;
        const int many = 100;
        // In one write, so that the server reads them before it answers the first.
        await client.SendAsync(
            (byte[])[.. Enumerable.Range(0, many).SelectMany(_ => ControlCodec.Encode(new ControlFrame { LeafHashRequest = Request(streamId, 0) }).ToArray())]);
        int answered = 0;
        for (int i = 0; i < many; i++)
        {
            Data.Wire.LeafHashes answer = (await client.UntilAsync(ControlFrame.BodyOneofCase.LeafHashes)).LeafHashes;
            answered += answer.ErrorCode == 0 ? 1 : 0;
            Assert.True(answer.ErrorCode == 0 || answer.ErrorCode == (ulong)KwikError.LimitExceeded);
        }

        Assert.InRange(answered, 16, many - 1);
    });

    [Theory]
    [InlineData(31, 0)]
    [InlineData(0, 0)]
    [InlineData(32, 1)]
    [InlineData(32, 1023)]
    [InlineData(32, 1L << 62)]
    public void Request_WithValuesOutOfRange_EndsTheSession(int rootSize, long firstLeaf) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        (RawPeer client, long streamId) = await ConnectAsync(deployment, Content);
        await using RawPeer owned = client;
        var request = new LeafHashRequest(Request(streamId, firstLeaf)) { Root = ByteString.CopyFrom(new byte[rootSize]) };
        await client.SendAsync(new ControlFrame { LeafHashRequest = request });
        Assert.Equal(KwikError.MetadataProtocolViolation, await client.EndAsync());
    });

    private static void Ask(
        MemoryContent served, Func<long, LeafHashRequest> request, Action<Data.Wire.LeafHashes, long> check) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        (RawPeer client, long streamId) = await ConnectAsync(deployment, served);
        await using RawPeer owned = client;
        await client.SendAsync(new ControlFrame { LeafHashRequest = request(streamId) });
        check((await client.UntilAsync(ControlFrame.BodyOneofCase.LeafHashes)).LeafHashes, streamId);
    });

    /// <summary>A client that was offered <see cref="Content"/>, by a primary that has something to serve.</summary>
    private static async Task<(RawPeer Client, long StreamId)> ConnectAsync(SimulatedDeployment deployment, MemoryContent served)
    {
        await deployment.StartPrimaryAsync(served, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(Content.Offer);
            await session.Closed;
        });
        RawPeer client = await RawPeer.ConnectAsync(deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        ControlFrame offer = await client.UntilAsync(ControlFrame.BodyOneofCase.ContentOffer);
        return (client, (long)offer.ContentOffer.KwikStreamId);
    }

    private static LeafHashRequest Request(long streamId, long firstLeaf) => new()
    {
        RequestId = 7,
        KwikStreamId = (ulong)streamId,
        Root = ByteString.CopyFrom(Content.Offer.Root.ToByteArray()),
        FirstLeaf = (ulong)firstLeaf,
    };

    private static void AssertRefused(Data.Wire.LeafHashes answer, KwikError error)
    {
        Assert.Equal((7UL, (ulong)error), (answer.RequestId, answer.ErrorCode));
        Assert.True(answer.Hashes.IsEmpty && answer.Proof.IsEmpty);
    }
}
