using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class KwikStreamOfferTests
{
    private const int Leaf = ContentHasher.MinLeafSize;

    private static readonly byte[] Content = Bytes.Random(seed: 9, length: 100_000);

    [Fact]
    public async Task OfferContentAsync_RightBytesFromAnySource_EndWithZero()
    {
        await using var pair = new StreamPair();
        ContentOffer offer = Offers.Of(Content);
        await pair.Primary.OfferContentAsync(offer).WithinAsync();
        Assert.Equal(offer, await pair.Client.GetOfferAsync().WithinAsync());
        Assert.Equal((offer, offer), (pair.Client.Offer, pair.Primary.Offer));

        Place(pair.Client, pair.Pool, source: 2, 50_000, Content.AsSpan(50_000));
        Place(pair.Client, pair.Pool, source: 1, 0, Content.AsSpan(0, 60_000));
        Assert.Equal(Content, await pair.Client.ReadAllAsync());
        Assert.Equal(0, await pair.Client.ReadAsync(new byte[1]).WithinAsync());
    }

    [Fact]
    public async Task OfferContentAsync_EmptyContent_EndsAtOnce()
    {
        await using var pair = new StreamPair();
        await pair.Primary.OfferContentAsync(Offers.Of([])).WithinAsync();
        Assert.Empty(await pair.Client.ReadAllAsync());
    }

    [Fact]
    public async Task OfferContentAsync_AfterAWrite_Throws()
    {
        await using var pair = new StreamPair();
        await pair.Primary.WriteAsync("bytes"u8.ToArray()).WithinAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync());

        Assert.Equal("bytes"u8.ToArray(), await pair.Client.ReadAsync(5));
        Assert.Null(await pair.Client.GetOfferAsync().WithinAsync());
    }

    [Fact]
    public async Task OfferContentAsync_Twice_Throws()
    {
        await using var pair = new StreamPair();
        await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync());
    }

    [Fact]
    public async Task OfferContentAsync_InvalidOffer_ThrowsAndLeavesTheStreamUsable()
    {
        await using var pair = new StreamPair();
        await Assert.ThrowsAsync<ArgumentNullException>(() => pair.Primary.OfferContentAsync(null!).WithinAsync());
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(
            () => pair.Primary.OfferContentAsync(new ContentOffer(default, -1)).WithinAsync());
        await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
    }

    [Fact]
    public async Task OfferContentAsync_ThenAWrite_Throws()
    {
        await using var pair = new StreamPair();
        await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Primary.WriteAsync(new byte[1]).WithinAsync());
    }

    [Fact]
    public async Task WriteAsync_WhileAnOfferIsMade_Throws()
    {
        await using var pair = new StreamPair();
        var gate = new TaskCompletionSource();
        pair.OfferGate = gate.Task;
        Task offering = pair.Primary.OfferContentAsync(Offers.Of(Content)).AsTask();

        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Primary.WriteAsync(new byte[1]).WithinAsync());
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync());
        gate.SetResult();
        await offering.WithinAsync();
    }

    [Fact]
    public async Task OfferContentAsync_CancelledOrRefused_LeavesTheStreamUsable()
    {
        await using var pair = new StreamPair();
        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Client.OfferContentAsync(Offers.Of(Content)).WithinAsync());
        await pair.Client.WriteAsync("still"u8.ToArray()).WithinAsync();
        Assert.Equal("still"u8.ToArray(), await pair.Primary.ReadAsync(5));

        using var cancellation = new CancellationTokenSource();
        pair.OfferGate = new TaskCompletionSource().Task;
        Task offering = pair.Primary.OfferContentAsync(Offers.Of(Content), cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => offering.WithinAsync());
        Assert.Null(pair.Primary.Offer);
        await pair.Primary.WriteAsync("here"u8.ToArray()).WithinAsync();
        Assert.Equal("here"u8.ToArray(), await pair.Client.ReadAsync(4));
    }

    [Fact]
    public async Task OfferContentAsync_AnswerToARequestOnTheSameStream_IsDelivered()
    {
        await using var pair = new StreamPair();
        await pair.Client.WriteAsync("GET /file"u8.ToArray()).WithinAsync();
        pair.Client.CompleteWrites();
        Assert.Equal("GET /file"u8.ToArray(), await pair.Primary.ReadAllAsync());

        await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
        Place(pair.Client, pair.Pool, source: 1, 0, Content);
        Assert.Equal(Content, await pair.Client.ReadAllAsync());
    }

    [Fact]
    public async Task WriteAsync_ByTheClientBehindAnOffer_ReachesThePrimary()
    {
        await using var pair = new StreamPair();
        await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
        await pair.Client.WriteAsync("thanks"u8.ToArray()).WithinAsync();
        pair.Client.CompleteWrites();
        Assert.Equal("thanks"u8.ToArray(), await pair.Primary.ReadAllAsync());
    }

    [Fact]
    public async Task TryApplyOffer_ThatContradictsWhatIsKnown_IsRefused()
    {
        await using var peer = new RawPeer();
        await peer.SendDataAsync("bytes"u8.ToArray());
        Assert.Equal("bytes"u8.ToArray(), await peer.Stream.ReadAsync(5));
        Assert.False(peer.Stream.TryApplyOffer(Offers.Of(Content)));

        await using var other = new RawPeer();
        Assert.True(other.Stream.TryApplyOffer(Offers.Of(Content)));
        Assert.False(other.Stream.TryApplyOffer(Offers.Of(Content)));
    }

    [Fact]
    public async Task ReadAsync_PrimaryWritesToTheStreamItOffered_IsAViolation()
    {
        await using var peer = new RawPeer();
        Assert.True(peer.Stream.TryApplyOffer(Offers.Of(Content)));
        await peer.SendDataAsync(Content[..10]);

        Assert.Equal(KwikError.MetadataProtocolViolation, await peer.RefusalAsync());
        Assert.Equal(KwikError.MetadataProtocolViolation, (await peer.Stream.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task ReadAsync_CloseFrameOfNoOfferBehindAnOffer_IsAViolation()
    {
        await using var peer = new RawPeer();
        Assert.True(peer.Stream.TryApplyOffer(Offers.Of(Content)));
        await peer.SendAsync(StreamFrame.Close(Content.Length));
        Assert.Equal(KwikError.MetadataProtocolViolation, await peer.RefusalAsync());
    }

    [Fact]
    public async Task TryApplyOffer_BehindTheCloseFrameOfTheOffer_IsApplied()
    {
        await using var peer = new RawPeer();
        await peer.SendAsync(StreamFrame.Close(Content.Length, isOffered: true));
        peer.End();
        Task<byte[]> reading = peer.Stream.ReadAllAsync();
        Assert.True(peer.Stream.TryApplyOffer(Offers.Of(Content)));
        Place(peer.Stream, peer.Pool, 1, 0, Content);
        Assert.Equal(Content, await reading.WithinAsync());
    }

    [Fact]
    public async Task GetOfferAsync_PrimaryEndsAnEmptyStream_IsNull()
    {
        await using var pair = new StreamPair();
        Task<ContentOffer?> waiting = pair.Client.GetOfferAsync();
        pair.Primary.CompleteWrites();
        Assert.Null(await waiting.WithinAsync());
        Assert.False(pair.Client.TryApplyOffer(Offers.Of([])));
    }

    [Fact]
    public async Task GetOfferAsync_StreamFails_FailsWithIt()
    {
        await using var pair = new StreamPair();
        Task<ContentOffer?> waiting = pair.Client.GetOfferAsync();
        pair.Primary.Abort(KwikError.NotFound);
        Assert.Equal(KwikError.NotFound, (await Assert.ThrowsAnyAsync<KwikException>(() => waiting.WithinAsync())).Code);
    }

    [Fact]
    public async Task GetOfferAsync_Cancelled_CanBeAskedAgain()
    {
        await using var pair = new StreamPair();
        using var cancellation = new CancellationTokenSource();
        Task<ContentOffer?> waiting = pair.Client.GetOfferAsync(cancellation.Token);
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting.WithinAsync());

        await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
        Assert.NotNull(await pair.Client.GetOfferAsync().WithinAsync());
    }

    [Fact]
    public async Task Resume_OfWhatIsThenOffered_LeavesTheRestToBeCopied()
    {
        await using var pair = new StreamPair();
        ContentOffer offer = Offers.Of(Content);
        pair.Client.Resume(offer, [(0, 3 * Leaf), (4 * Leaf, Content.Length - (4 * Leaf))]);
        Assert.Empty(pair.Client.Held);
        await pair.Primary.OfferContentAsync(offer).WithinAsync();
        Assert.Equal(2, pair.Client.Held.Count);
        Place(pair.Client, pair.Pool, source: 1, 3 * Leaf, Content.AsSpan(3 * Leaf, Leaf));

        var copied = new MemoryStream();
        long length = await pair.Client.CopyToAsync((piece, offset) =>
        {
            Assert.Equal((3 * Leaf) + copied.Length, offset);
            copied.Write(piece.Span);
            return ValueTask.CompletedTask;
        }).WithinAsync();
        Assert.Equal(Content.Length, length);
        Assert.Equal(Content[(3 * Leaf)..(4 * Leaf)], copied.ToArray());
    }

    [Fact]
    public async Task Resume_OfSomethingElse_TakesNothingForKnown()
    {
        await using var pair = new StreamPair();
        pair.Client.Resume(Offers.Of(new byte[Content.Length]), [(0, Content.Length)]);
        await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
        Assert.Empty(pair.Client.Held);
        Place(pair.Client, pair.Pool, source: 1, 0, Content);
        Assert.Equal(Content, await pair.Client.ReadAllAsync());
    }

    public static TheoryData<long, long> BadRanges => new()
    {
        { 1, Leaf }, { 0, 1 }, { 0, Leaf + 1 }, { 0, 0 }, { 0, -Leaf }, { -Leaf, Leaf }, { 0, 100_001 }, { 96 * 1024, Leaf }, { 112 * 1024, Leaf },
    };

    [Theory]
    [MemberData(nameof(BadRanges))]
    public async Task Resume_WithARangeThatIsNone_Throws(long offset, long length)
    {
        await using var pair = new StreamPair();
        Assert.Throws<ArgumentException>(() => pair.Client.Resume(Offers.Of(Content), [(offset, length)]));
    }

    [Fact]
    public async Task Resume_RangesThatOverlapOrComeLate_Throws()
    {
        await using var pair = new StreamPair();
        Assert.Throws<ArgumentException>(() => pair.Client.Resume(Offers.Of(Content), [(0, 2 * Leaf), (Leaf, Leaf)]));
        await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
        Assert.Throws<InvalidOperationException>(() => pair.Client.Resume(Offers.Of(Content), []));
    }

    private static void Place(KwikStream stream, LeasePool pool, int source, long offset, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            Lease lease = pool.Rent(Math.Min(bytes.Length, LeasePool.LargeSize));
            int length = Math.Min(bytes.Length, lease.Room);
            bytes[..length].CopyTo(lease.Free.Span);
            lease.Extend(length);
            stream.Incoming.AcceptVerified(source, offset, [lease]);
            offset += length;
            bytes = bytes[length..];
        }
    }
}
