using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class KwikStreamOfferTests
{
    private static readonly byte[] Content = Bytes.Random(seed: 9, length: 100_000);

    [Fact]
    public async Task OfferContentAsync_RightBytesFromAnySource_EndWithZero()
    {
        await using var pair = new StreamPair();
        ContentOffer offer = Offers.Of(Content);
        await pair.Primary.OfferContentAsync(offer).WithinAsync();
        Assert.Equal(offer, await pair.Client.GetOfferAsync().WithinAsync());
        Assert.Equal((offer, offer), (pair.Client.Offer, pair.Primary.Offer));

        Place(pair, source: 2, 50_000, Content.AsSpan(50_000));
        Place(pair, source: 1, 0, Content.AsSpan(0, 60_000));
        Assert.Equal(Content, await pair.Client.ReadAllAsync());
        Assert.Equal(0, await pair.Client.ReadAsync(new byte[1]).WithinAsync());
    }

    [Fact]
    public async Task OfferContentAsync_OneWrongByte_IsAMismatchInsteadOfTheEnd()
    {
        foreach (int wrong in (int[])[0, 16 * 1024, 99_999])
        {
            await using var pair = new StreamPair();
            await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
            byte[] lie = [.. Content];
            lie[wrong] ^= 0x80;
            Place(pair, source: 1, 0, lie);

            Assert.Equal(lie, await pair.Client.ReadAsync(lie.Length));
            for (int i = 0; i < 2; i++)
            {
                KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => pair.Client.ReadAsync(new byte[1]).WithinAsync());
                Assert.Equal((KwikError.ContentMismatch, KwikErrorSide.Remote), (e.Code, e.Side));
            }
        }
    }

    [Fact]
    public async Task OfferContentAsync_EmptyContent_EndsAtOnce()
    {
        await using var pair = new StreamPair();
        await pair.Primary.OfferContentAsync(Offers.Of([])).WithinAsync();
        Assert.Empty(await pair.Client.ReadAllAsync());
    }

    [Fact]
    public async Task OfferContentAsync_BytesBehindIt_AreAFinalSizeError()
    {
        await using var pair = new StreamPair();
        await pair.Primary.OfferContentAsync(Offers.Of(Content)).WithinAsync();
        KwikException e = Assert.ThrowsAny<KwikException>(() => Place(pair, source: 1, Content.Length - 1, [Content[^1], 0]));
        Assert.Equal((KwikError.FinalSize, (int?)1), (e.Code, e.PathId));
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
        Place(pair, source: 1, 0, Content);
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
        peer.Place(1, 0, Content[..50_000]);
        peer.Place(1, 50_000, Content[50_000..]);
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

    private static void Place(StreamPair pair, int source, long offset, ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            Lease lease = pair.Pool.Rent(Math.Min(bytes.Length, LeasePool.LargeSize));
            int length = Math.Min(bytes.Length, lease.Room);
            bytes[..length].CopyTo(lease.Free.Span);
            lease.Extend(length);
            Task<long> placing = pair.Client.PlaceAsync(source, offset, [lease], int.MaxValue, CancellationToken.None).AsTask();
            Assert.True(placing.IsCompleted);
            offset = placing.GetAwaiter().GetResult();
            bytes = bytes[length..];
        }
    }
}
