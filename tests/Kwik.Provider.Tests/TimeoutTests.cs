using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>Silence: the idle timeout, and the packets that keep a connection from it.</summary>
public sealed class TimeoutTests
{
    private static readonly TimeSpan Short = TimeSpan.FromSeconds(2);

    // Many packets long, so that a machine that is busy for some of them does not end the connection.
    private static readonly TimeSpan Kept = TimeSpan.FromSeconds(4);

    [Fact]
    public async Task Idle_NoTraffic_EndsEveryPendingCallOnBothSidesWithConnectionIdle()
    {
        long start = Environment.TickCount64;
        await using Loopback pair = await Loopback.StartAsync(
            server: o =>
            {
                o.IdleTimeout = Short;
                o.MaxInboundUnidirectionalStreams = 0;
            },
            client: o =>
            {
                o.IdleTimeout = Short;
                o.MaxInboundUnidirectionalStreams = 0;
            });
        (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
        await using (local)
        await using (peer)
        {
            Task[] calls =
            [
                local.ReadAsync(new byte[1]).AsTask(),
                peer.ReadAsync(new byte[1]).AsTask(),
                local.WritesClosed,
                peer.WritesClosed,
                pair.Client.AcceptInboundStreamAsync().AsTask(),
                pair.Server.AcceptInboundStreamAsync().AsTask(),
                pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).AsTask(),
                pair.Server.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).AsTask(),
            ];

            foreach (Task call in calls)
            {
                QuicException e = await Assert.ThrowsAsync<QuicException>(call.Bounded);
                Assert.Equal(QuicError.ConnectionIdle, e.QuicError);
            }

            Assert.InRange(Environment.TickCount64 - start, 1_900, 40_000);
        }
    }

    [Fact]
    public async Task Idle_LimitOfOneSideOnly_HoldsForBoth()
    {
        // RFC 9000, section 10.1: the smaller of the two values is in force.
        await using Loopback pair = await Loopback.StartAsync(client: o => o.IdleTimeout = Short);
        Task atServer = pair.Server.AcceptInboundStreamAsync().AsTask();
        Task atClient = pair.Client.AcceptInboundStreamAsync().AsTask();

        Assert.Equal(QuicError.ConnectionIdle, (await Assert.ThrowsAsync<QuicException>(atClient.Bounded)).QuicError);
        Assert.Equal(QuicError.ConnectionIdle, (await Assert.ThrowsAsync<QuicException>(atServer.Bounded)).QuicError);
    }

    [Fact]
    public async Task Idle_KeepAliveByTheClient_KeepsTheConnection()
    {
        await AssertKeptAsync(server: null, client: o => o.KeepAliveInterval = Kept / 8);
    }

    [Fact]
    public async Task Idle_KeepAliveByTheServer_KeepsTheConnection()
    {
        await AssertKeptAsync(server: o => o.KeepAliveInterval = Kept / 8, client: null);
    }

    /// <summary>
    /// A connection that is idle for three times its timeout lives. The time is told by a second connection, which has no
    /// keep-alive, and ends.
    /// </summary>
    private static async Task AssertKeptAsync(
        Action<QuicServerConnectionOptions>? server,
        Action<QuicClientConnectionOptions>? client)
    {
        await using Loopback clock = await Loopback.StartAsync(client: o => o.IdleTimeout = 3 * Kept);
        await using Loopback kept = await Loopback.StartAsync(
            server: server,
            client: o =>
            {
                o.IdleTimeout = Kept;
                client?.Invoke(o);
            });
        Task accept = kept.Server.AcceptInboundStreamAsync().AsTask();

        await Assert.ThrowsAsync<QuicException>(() => clock.Client.AcceptInboundStreamAsync().Bounded());

        Assert.False(accept.IsCompleted);
        await kept.Server.AssertAliveAsync(kept.Client);
        await kept.Client.CloseAsync(0).Bounded();
        await Expect.ConnectionAborted(0, accept);
    }
}
