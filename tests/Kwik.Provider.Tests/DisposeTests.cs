using System.Net.Quic;
using System.Runtime.CompilerServices;

namespace Kwik.Provider.Tests;

/// <summary>What disposing says to the peer, and what the finalizer may do instead.</summary>
public sealed class DisposeTests
{
    [Fact]
    public async Task Stream_DisposedWithUnreadBytes_PeersWriteSeesTheDefaultCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (peer)
        {
            Task write = peer.WriteForeverAsync();
            await local.ReadExactlyAsync(new byte[1]).Bounded();

            await local.DisposeAsync().Bounded();

            await Expect.StreamAborted(Loopback.ClientStreamCode, write);
        }
    }

    [Fact]
    public async Task Stream_DisposedByTheServerWithUnreadBytes_PeersWriteSeesTheServersDefaultCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
        await using (local)
        {
            Task write = local.WriteForeverAsync();

            await peer.DisposeAsync().Bounded();

            await Expect.StreamAborted(Loopback.ServerStreamCode, write);
        }
    }

    [Fact]
    public async Task Stream_DisposedAfterWriting_DeliversEverythingAndTheEnd()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
        await using (peer)
        {
            Task check = peer.AssertContentAsync(seed: 1, length: 1_000_000);
            await local.WriteContentAsync(seed: 1, length: 1_000_000, completeWrites: false);

            await local.DisposeAsync().Bounded();

            await check.Bounded();
        }
    }

    [Fact]
    public async Task Stream_DisposedUnused_PeerAcceptsAnEmptyStream()
    {
        await using Loopback pair = await Loopback.StartAsync();
        QuicStream local = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded();

        Task disposal = local.DisposeAsync().AsTask();

        await using QuicStream peer = await pair.Server.AcceptInboundStreamAsync().Bounded();
        await peer.AssertContentAsync(seed: 0, length: 0);
        await Expect.StreamAborted(Loopback.ClientStreamCode, peer.WriteForeverAsync());
        await disposal.Bounded();
    }

    [Fact]
    public async Task Stream_DisposedTwiceAndUsed_ThrowsObjectDisposedAndIgnoresAborts()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await peer.DisposeAsync().Bounded();
        await local.DisposeAsync().Bounded();

        await local.DisposeAsync().Bounded();

        local.Abort(QuicAbortDirection.Both, 1);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => local.ReadAsync(new byte[1]).Bounded());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => local.WriteAsync(new byte[1]).Bounded());
    }

    [Fact]
    public async Task Stream_DisposedWhileReadAndWriteArePending_EndsBoth()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        Task read = local.ReadAsync(new byte[1]).AsTask();
        Task write = local.WriteAsync(new byte[8 * 1024 * 1024]).AsTask();

        Task disposal = local.DisposeAsync().AsTask();

        await Expect.OperationAborted(read);
        // The write was posted before the graceful end: it goes out whole.
        Assert.Equal(8 * 1024 * 1024, await peer.ReadToEndAsync().Bounded());
        await write.Bounded();
        await disposal.Bounded();
        await peer.DisposeAsync().Bounded();
    }

    [Fact]
    public async Task Streams_DisposedUnreadByTheHundred_LeaveTheConnectionItsCredit()
    {
        await using Loopback pair = await Loopback.StartAsync(server: o => o.InitialReceiveWindowSizes.Connection = 256 * 1024);

        for (int i = 0; i < 200; i++)
        {
            await using QuicStream local = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();
            Task write = local.WriteAsync(new byte[60_000]).AsTask();
            QuicStream peer = await pair.Server.AcceptInboundStreamAsync().Bounded();
            await peer.ReadExactlyAsync(new byte[1]).Bounded();
            await peer.DisposeAsync().Bounded();
            try
            {
                await write.Bounded();
            }
            catch (QuicException e) when (e.QuicError == QuicError.StreamAborted)
            {
                // Either the bytes were all taken before the peer stopped them, or not.
            }
        }

        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connection_DisposedWithoutClose_PeerSeesTheDefaultCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        Task accept = pair.Server.AcceptInboundStreamAsync().AsTask();

        await pair.Client.DisposeAsync().Bounded();

        await Expect.ConnectionAborted(Loopback.ClientCloseCode, accept);
    }

    [Fact]
    public async Task Connection_DisposedByTheServer_ClientSeesTheServersDefaultCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        Task accept = pair.Client.AcceptInboundStreamAsync().AsTask();

        await pair.Server.DisposeAsync().Bounded();

        await Expect.ConnectionAborted(Loopback.ServerCloseCode, accept);
    }

    [Fact]
    public async Task Connection_Disposed_ItsStreamsThrowOperationAborted()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            Task read = local.ReadAsync(new byte[1]).AsTask();
            Task write = local.WriteForeverAsync();

            await pair.Client.DisposeAsync().Bounded();

            await Expect.OperationAborted(read);
            await Expect.OperationAborted(write);
            await Assert.ThrowsAsync<ObjectDisposedException>(() => pair.Client.AcceptInboundStreamAsync().Bounded());
            await Assert.ThrowsAsync<ObjectDisposedException>(() =>
                pair.Client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded());
        }
    }

    [Fact]
    public async Task Listener_Disposed_ItsConnectionsLiveOn()
    {
        await using Loopback pair = await Loopback.StartAsync();

        await pair.Listener.DisposeAsync().Bounded();

        await pair.Client.AssertAliveAsync(pair.Server);
        await pair.Server.AssertAliveAsync(pair.Client);
    }

    [Fact]
    public async Task Listener_Disposed_PendingAcceptsEndAndThePortIsFree()
    {
        QuicListener listener = await Loopback.ListenAsync();
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        await listener.DisposeAsync().Bounded();

        await Assert.ThrowsAsync<ObjectDisposedException>(accept.Bounded);
        await using QuicListener next = await Loopback.ListenAsync(listen: o => o.ListenEndPoint = listener.LocalEndPoint);
        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(next);
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Streams_ForgottenAndCollected_LeaveTheConnectionIntact()
    {
        await using Loopback pair = await Loopback.StartAsync();

        for (int i = 0; i < 20; i++)
        {
            await ForgetStreamsAsync(pair);
            // The finalizers of the handles close them, on the finalizer's thread.
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connections_ForgottenAndCollected_LeaveTheListenerIntact()
    {
        await using QuicListener listener = await Loopback.ListenAsync();

        for (int i = 0; i < 20; i++)
        {
            await ForgetConnectionAsync(listener);
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task ForgetStreamsAsync(Loopback pair)
    {
        for (int i = 0; i < 3; i++)
        {
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            await local.WriteContentAsync(seed: i, length: 1_000, completeWrites: false);
            Assert.Equal(local.Id, peer.Id);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task ForgetConnectionAsync(QuicListener listener)
    {
        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        (QuicStream local, QuicStream peer) = await client.OpenPairAsync(server);
        await local.WriteContentAsync(seed: 1, length: 1_000, completeWrites: false);
        await peer.AssertNextAsync(seed: 1, length: 1_000);
    }
}
