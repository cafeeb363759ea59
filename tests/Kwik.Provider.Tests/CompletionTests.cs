using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>The graceful end of each direction.</summary>
public sealed class CompletionTests
{
    [Fact]
    public async Task WritesClosed_EndAcknowledged_Completes()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            Task closed = local.WritesClosed;
            await local.WriteContentAsync(seed: 1, length: 1_000, completeWrites: false);
            await peer.AssertNextAsync(seed: 1, length: 1_000);
            Assert.False(closed.IsCompleted);

            local.CompleteWrites();

            await closed.Bounded();
        }
    }

    [Fact]
    public async Task WritesClosed_EndTogetherWithTheBytes_Completes()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            await local.WriteContentAsync(seed: 1, length: 1_000, completeWrites: true);

            await local.WritesClosed.Bounded();
            await peer.AssertContentAsync(seed: 1, length: 1_000);
        }
    }

    [Fact]
    public async Task ReadsClosed_BytesUnread_CompletesOnlyWithTheLastByteRead()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            await local.WriteContentAsync(seed: 1, length: 1_000);
            // The peer's transport has everything, the end included.
            await local.WritesClosed.Bounded();
            Assert.False(peer.ReadsClosed.IsCompleted);

            await peer.AssertContentAsync(seed: 1, length: 1_000);

            await peer.ReadsClosed.Bounded();
        }
    }

    [Fact]
    public async Task CompleteWrites_NothingWritten_PeerAcceptsAnEmptyStream()
    {
        await using Loopback pair = await Loopback.StartAsync();
        await using QuicStream local = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();

        local.CompleteWrites();

        await using QuicStream peer = await pair.Server.AcceptInboundStreamAsync().Bounded();
        await peer.AssertContentAsync(seed: 0, length: 0);
        await local.WritesClosed.Bounded();
    }

    [Fact]
    public async Task CompleteWrites_Twice_IsOneEnd()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            local.CompleteWrites();
            local.CompleteWrites();

            await peer.AssertContentAsync(seed: 0, length: 0);
            await local.WritesClosed.Bounded();
            local.CompleteWrites();
        }
    }

    [Fact]
    public async Task CompleteWrites_OneDirection_TheOtherGoesOn()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            await local.WriteContentAsync(seed: 1, length: 1_000);
            await peer.AssertContentAsync(seed: 1, length: 1_000);
            await local.WritesClosed.Bounded();

            Task write = peer.WriteContentAsync(seed: 2, length: 1_000_000);
            await local.AssertContentAsync(seed: 2, length: 1_000_000);
            await write;
            await peer.WritesClosed.Bounded();
        }
    }

    [Fact]
    public async Task AbortWrites_AfterTheEndWasAcknowledged_ChangesNothing()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            await local.WriteContentAsync(seed: 1, length: 1_000);
            await local.WritesClosed.Bounded();

            local.Abort(QuicAbortDirection.Write, 1);

            await peer.AssertContentAsync(seed: 1, length: 1_000);
        }
    }
}
