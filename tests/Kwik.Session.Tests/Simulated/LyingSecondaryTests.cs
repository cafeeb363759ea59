using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using LeafHashes = Kwik.Data.Wire.LeafHashes;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// A secondary that answers a request with something that our servers never send: bytes outside of what was asked, an end that
/// looks like all of it, hashes that nobody asked for. It answers every other request rightly, and is found out all the same.
/// </summary>
public sealed class LyingSecondaryTests
{
    private const int LeafSize = 64 * 1024;
    private static readonly MemoryContent Content = MemoryContent.Random(7, (32 * LeafSize) + 1000, LeafSize);

    private delegate IEnumerable<(StreamFrame Frame, byte[] Payload)> Answer(RangeRequest request);

    /// <summary>All that was asked, and then more and more.</summary>
    [Theory]
    [SimulationSeeds]
    public void EndlessDataBehindTheRequest_IsStopped(int seed) => Run(seed, request =>
    [
        Open(request), .. Pieces(request), .. Enumerable.Repeat((StreamFrame.Data(LeafSize), new byte[LeafSize]), 1000),
    ]);

    /// <summary>One frame that begins within what was asked, and ends behind it.</summary>
    [Theory]
    [SimulationSeeds]
    public void FrameThatEndsBehindTheRequest_IsStopped(int seed) => Run(seed, request =>
    [
        Open(request), (StreamFrame.Data((int)request.Length + 1), new byte[request.Length + 1]),
    ]);

    [Theory]
    [SimulationSeeds]
    public void FrameForAnotherOffset_IsStopped(int seed) => Run(seed, request =>
    {
        long offset = (long)request.Offset + (seed % 2 == 0 ? 1 : -1);
        return [Open(request), (StreamFrame.Data(100, Math.Max(0, offset), null), Content.Slice((long)request.Offset, 100))];
    },
    // The first leaf has no byte before it.
    isRight: request => request.Offset == 0);

    [Theory]
    [SimulationSeeds]
    public void AnswerForAnotherOffset_IsStopped(int seed) => Run(seed, request =>
    [
        (StreamFrame.Open((long)request.KwikStreamId, (long)request.Offset + LeafSize, (long)request.RequestId), []), .. Pieces(request),
    ]);

    [Theory]
    [SimulationSeeds]
    public void AnswerForAnotherStream_IsStopped(int seed) => Run(seed, request =>
    [
        (StreamFrame.Open((long)request.KwikStreamId + 4, (long)request.Offset, (long)request.RequestId), []), .. Pieces(request),
    ]);

    /// <summary>A clean close, behind a part of what was asked, as if that were all.</summary>
    [Theory]
    [SimulationSeeds]
    public void EarlyEndAsIfItWereAll_IsFoundOut(int seed) => Run(seed, request =>
    {
        long length = (long)request.Length * (seed % 4) / 4;
        return [Open(request), .. Pieces(request, length), (StreamFrame.Close((long)request.Offset + length), [])];
    });

    /// <summary>The same, with a final offset that is that of all.</summary>
    [Theory]
    [SimulationSeeds]
    public void EarlyEndThatClaimsAllOfIt_IsFoundOut(int seed) => Run(seed, request =>
    [
        Open(request), .. Pieces(request, (long)request.Length / 2), Close(request),
    ]);

    /// <summary>The leaves of another range, as if they were those that were asked for.</summary>
    [Theory]
    [SimulationSeeds]
    public void LeavesOfAnotherRange_AreFoundOut(int seed) => Run(seed, request =>
    {
        long other = ((long)request.Offset + LeafSize) % (Content.Offer.Length - (long)request.Length - LeafSize);
        byte[] bytes = Content.Slice(other / LeafSize * LeafSize, (int)request.Length);
        return [Open(request), .. bytes.Chunk(16 * 1024).Select(piece => (StreamFrame.Data(piece.Length), piece)), Close(request)];
    });

    /// <summary>Hashes that nobody asked for prove nothing and disprove nothing.</summary>
    [Theory]
    [SimulationSeeds]
    public void HashesThatNobodyAskedFor_AreDropped(int seed)
    {
        var random = new Random(seed);
        DeliveryScene.Run(
            seed,
            Content,
            [
                new(host => new ScriptedContent(Content, host)),
                new(null, client => ServeAsync(client, async request =>
                {
                    var hashes = new byte[32 * random.Next(40)];
                    random.NextBytes(hashes);
                    await client.SendAsync(new ControlFrame
                    {
                        LeafHashes = new LeafHashes
                        {
                            RequestId = random.Next(2) == 0 ? request.RequestId : (ulong)random.Next(30),
                            KwikStreamId = request.KwikStreamId + (ulong)(random.Next(2) * 4),
                            Hashes = ByteString.CopyFrom(hashes),
                            ErrorCode = (ulong)random.Next(2) * (ulong)KwikError.NotFound,
                        },
                    });
                    return Right(request);
                })),
            ],
            async scene =>
            {
                await scene.ReadAllAsync(positioned: seed % 2 == 0);
                Assert.Empty(scene.Happened().OfType<RuleBroken>());
                Assert.Equal([PathState.Active, PathState.Active], scene.Session.GetAllPaths().Select(path => path.State));
                Assert.NotEqual(0, scene.Path(1).BytesReceived);
            });
    }

    /// <summary>A primary, a secondary that lies from its n-th answer on, and one that does not.</summary>
    private static void Run(int seed, Answer lie, Predicate<RangeRequest>? isRight = null)
    {
        List<DateTimeOffset> asked = [];
        SimulatedHost? liar = null;
        int honest = seed % 3;
        DeliveryScene.Run(
            seed,
            Content,
            [
                new(host => new ScriptedContent(Content, host)),
                new(null, client => ServeAsync(client, request =>
                {
                    asked.Add(liar!.Time.GetUtcNow());
                    bool isHonest = isRight?.Invoke(request) == true || honest-- > 0;
                    return Task.FromResult(isHonest ? Right(request) : lie(request));
                })),
                new(host => new ScriptedContent(Content, host)),
            ],
            async scene =>
            {
                await scene.ReadAllAsync(positioned: seed % 2 == 0);
                await scene.UntilAsync(() => scene.Path(1).State == PathState.Removed);
                RuleBroken broken = Assert.Single(scene.Happened().OfType<RuleBroken>());
                FaultTreated treated = Assert.Single(scene.Happened().OfType<FaultTreated>());
                SourceIsolated isolated = Assert.Single(scene.Told().OfType<SourceIsolated>());
                Assert.Equal((1, KwikError.ContentMismatch), (broken.PathId, broken.Error));
                Assert.Equal(
                    (1, scene.Stream.Id, KwikError.ContentMismatch, RecoveryAction.IsolateSource),
                    (treated.PathId, treated.StreamId, treated.Error, treated.Action));
                Assert.Equal((1, KwikError.ContentMismatch), (isolated.PathId, isolated.Error));
                Assert.InRange(asked[^1], asked[0], scene.Path(1).Since + TimeSpan.FromMilliseconds(6));
                Assert.Equal(PathState.Active, scene.Path(0).State);
                Assert.Equal(PathState.Active, scene.Path(2).State);
            },
            prepare: world => liar = world.Host(DeliveryScene.NameOf(1)));
    }

    private static Task ServeAsync(RogueSecondary.Client client, Func<RangeRequest, Task<IEnumerable<(StreamFrame, byte[])>>> answer)
    {
        client.Content = Content;
        List<Task> writing = [];
        return client.ReceiveAsync(async request => writing.Add(WriteAsync(client, await answer(request))));
    }

    private static async Task WriteAsync(RogueSecondary.Client client, IEnumerable<(StreamFrame, byte[])> frames)
    {
        try
        {
            ITransportStream stream = await client.OpenAsync(StreamType.Internal);
            foreach ((StreamFrame, byte[]) frame in frames)
            {
                await stream.WriteAsync(RawPeer.Bytes(frame));
            }

            stream.CompleteWrites();
        }
        catch (KwikException)
        {
            // The client has stopped it, or has gone.
        }
    }

    private static (StreamFrame, byte[]) Open(RangeRequest request) =>
        (StreamFrame.Open((long)request.KwikStreamId, (long)request.Offset, (long)request.RequestId), []);

    private static (StreamFrame, byte[]) Close(RangeRequest request) =>
        (StreamFrame.Close((long)(request.Offset + request.Length)), []);

    private static IEnumerable<(StreamFrame, byte[])> Pieces(RangeRequest request, long? length = null) =>
        Content.Slice((long)request.Offset, (int)(length ?? (long)request.Length))
            .Chunk(16 * 1024).Select(piece => (StreamFrame.Data(piece.Length), piece));

    private static IEnumerable<(StreamFrame, byte[])> Right(RangeRequest request) => [Open(request), .. Pieces(request), Close(request)];
}
