using System.Net;
using System.Net.Quic;
using System.Net.Sockets;

namespace Kwik.Provider.Tests;

/// <summary>What a cancelled call leaves behind. On a stream that is an aborted direction; elsewhere it is nothing.</summary>
public sealed class CancellationTests
{
    [Fact]
    public async Task Read_CancelledWhilePending_AbortsReadingWithTheDefaultCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            using var cancellation = new CancellationTokenSource();
            Task pending = local.ReadAsync(new byte[1], cancellation.Token).AsTask();

            await cancellation.CancelAsync();

            await Assert.ThrowsAnyAsync<OperationCanceledException>(pending.Bounded);
            await Expect.OperationAborted(local.ReadAsync(new byte[1]).AsTask());
            await Expect.StreamAborted(Loopback.ClientStreamCode, peer.WriteForeverAsync());
        }
    }

    [Fact]
    public async Task Write_CancelledWhilePending_AbortsWritingWithTheDefaultCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            using var cancellation = new CancellationTokenSource();
            Task pending = WriteUntilCancelledAsync(local, cancellation.Token);

            await cancellation.CancelAsync();

            await Assert.ThrowsAnyAsync<OperationCanceledException>(pending.Bounded);
            await Expect.OperationAborted(local.WriteAsync(new byte[1]).AsTask());
            await Expect.StreamAborted(Loopback.ClientStreamCode, peer.ReadToEndAsync());
        }
    }

    [Fact]
    public async Task Read_PreCancelled_AbortsReadingWithTheDefaultCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
                local.ReadAsync(new byte[1], new CancellationToken(true)).Bounded());

            await Expect.StreamAborted(Loopback.ClientStreamCode, peer.WriteForeverAsync());
        }
    }

    [Fact]
    public async Task Write_PreCancelled_AbortsWritingWithTheDefaultCode()
    {
        await using Loopback pair = await Loopback.StartAsync();
        await using QuicStream local = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            local.WriteAsync(new byte[1], new CancellationToken(true)).Bounded());

        await using QuicStream peer = await pair.Server.AcceptInboundStreamAsync().Bounded();
        await Expect.StreamAborted(Loopback.ClientStreamCode, peer.ReadToEndAsync());
    }

    [Fact]
    public async Task Read_Cancelled_LeavesTheOtherDirectionIntact()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            using var cancellation = new CancellationTokenSource();
            Task pending = local.ReadAsync(new byte[1], cancellation.Token).AsTask();
            await cancellation.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(pending.Bounded);

            Task write = local.WriteContentAsync(seed: 1, length: 200_000);
            await peer.AssertContentAsync(seed: 1, length: 200_000);
            await write;
        }
    }

    [Fact]
    public async Task AcceptStream_Cancelled_NextAcceptGetsTheStream()
    {
        await using Loopback pair = await Loopback.StartAsync();
        using var cancellation = new CancellationTokenSource();
        Task<QuicStream> pending = pair.Server.AcceptInboundStreamAsync(cancellation.Token).AsTask();

        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(pending.Bounded);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task AcceptConnection_Cancelled_NextAcceptGetsTheConnection()
    {
        await using QuicListener listener = await Loopback.ListenAsync();
        using var cancellation = new CancellationTokenSource();
        Task<QuicConnection> pending = listener.AcceptConnectionAsync(cancellation.Token).AsTask();

        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(pending.Bounded);
        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Connect_CancelledWithoutAnAnswer_ThrowsAtOnce()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using var cancellation = new CancellationTokenSource();
        Task<QuicConnection> pending =
            QuicConnection.ConnectAsync(Loopback.ClientOptions(silent.LocalEndPoint!), cancellation.Token).AsTask();

        // The first packet is out: the attempt has begun.
        await silent.ReceiveAsync(new byte[2_048]).Bounded();
        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(pending.Bounded);
    }

    [Fact]
    public async Task Connect_PreCancelled_Throws()
    {
        await using QuicListener listener = await Loopback.ListenAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint), new CancellationToken(true)).Bounded());
    }

    [Fact]
    public async Task Calls_CancelledHundredsOfTimes_LeaveTheConnectionIntact()
    {
        await using Loopback pair = await Loopback.StartAsync();

        for (int i = 0; i < 200; i++)
        {
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            using var cancellation = new CancellationTokenSource();
            Task read = local.ReadAsync(new byte[1], cancellation.Token).AsTask();
            Task write = WriteUntilCancelledAsync(local, cancellation.Token);

            await cancellation.CancelAsync();

            await Assert.ThrowsAnyAsync<OperationCanceledException>(read.Bounded);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(write.Bounded);
            await local.DisposeAsync().Bounded();
            await peer.DisposeAsync().Bounded();
        }

        await pair.Client.AssertAliveAsync(pair.Server);
    }

    private static async Task WriteUntilCancelledAsync(QuicStream stream, CancellationToken cancellationToken)
    {
        var chunk = new byte[64 * 1024];
        while (true)
        {
            await stream.WriteAsync(chunk, cancellationToken);
        }
    }
}
