using System.Net;
using System.Net.Quic;
using System.Net.Sockets;
using System.Security.Authentication;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>A thousand of everything: connections, failures, and listeners that come and go meanwhile.</summary>
public sealed class LoadTests
{
    private const int Thousand = 1_000;

    [Fact]
    public async Task ThousandConnects_AtOnce_AllEchoAndLeaveNothingBehind()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Memory and handles of the process are read from /proc.");
        // On a busy machine the last of a thousand handshakes waits long for its turn.
        await using EchoServer server = await EchoServer.StartAsync(server: o => o.HandshakeTimeout = Patience.Limit);
        await EchoOnAllAsync(server.EndPoint, Thousand);
        await ProcessResources.AssertHandlesFallToAsync(400);
        int handles = ProcessResources.Handles();
        long before = ProcessResources.AnonymousMemory();
        long grown = long.MaxValue;

        // A bit of memory stays behind while allocators find their size, less each time; what is lost with each connection
        // is lost in every round: 32 KiB, where an open one has many times that.
        const int Rounds = 5;
        const long Bound = 32L * 1024 * Thousand;
        for (int round = 0; round < Rounds && grown >= Bound; round++)
        {
            await EchoOnAllAsync(server.EndPoint, Thousand);
            await ProcessResources.AssertHandlesFallToAsync(handles + 20);
            long after = ProcessResources.AnonymousMemory();
            (grown, before) = (after - before, after);
        }

        Assert.True(grown < Bound, $"The process grew by {grown / 1024} KiB over {Thousand} connections, for the {Rounds}th time.");
    }

    [Fact]
    public async Task ThousandFailedHandshakes_OfEveryKind_TheListenerServesOthersPromptly()
    {
        await using EchoServer server = await EchoServer.StartAsync(
            server: o => o.HandshakeTimeout = Patience.Limit,
            // Clients that vanish stay in the backlog until the handshake's time is over.
            listen: o => o.ListenBacklog = 2 * Thousand);
        // Whatever these clients do, the server's answers do not reach them.
        using UdpRelay relay = UdpRelay.Start(new() { Target = server.EndPoint, ToClient = new() { BlackHole = true } });
        using var vanish = new CancellationTokenSource();
        Task[] vanishing =
        [
            .. Enumerable.Range(0, Thousand / 4).Select(_ => AssertFailsAsync(
                QuicConnection.ConnectAsync(Loopback.ClientOptions(relay.LocalEndPoint), vanish.Token).AsTask())),
        ];
        Task[] failing =
        [
            .. Enumerable.Range(0, Thousand / 4).Select(_ => AssertFailsAsync(QuicConnection.ConnectAsync(Loopback.ClientOptions(
                server.EndPoint, o => o.ClientAuthenticationOptions.ApplicationProtocols = [new("kwik-nobody")])).AsTask())),
            .. Enumerable.Range(0, Thousand / 4).Select(_ => AssertFailsAsync(QuicConnection.ConnectAsync(Loopback.ClientOptions(
                server.EndPoint, o => o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, _, _, _) => false)).AsTask())),
            SendGarbageAsync(server.EndPoint, Thousand / 4),
        ];

        // Amid all of it.
        await EchoOnAllAsync(server.EndPoint, 20);
        await Task.WhenAll(failing).Bounded();
        relay.ToServer = new() { BlackHole = true };
        await vanish.CancelAsync();
        await Task.WhenAll(vanishing).Bounded();

        // The server still holds the handshakes of those who vanished. A client that had to wait for their end would take longer.
        for (int i = 0; i < 10; i++)
        {
            await EchoOnAllAsync(server.EndPoint, 1).WaitAsync(Patience.Limit / 2);
        }
    }

    [Fact]
    public async Task Listener_StartedAndStoppedUnderLoad_ServesWheneverItIsThere()
    {
        const int Rounds = 20;
        const int Clients = 6;
        var endPoint = new IPEndPoint(IPAddress.Loopback, Loopback.FreePort());
        bool stop = false;
        using var served = new SemaphoreSlim(0);
        Task[] clients =
        [
            .. Enumerable.Range(0, Clients).Select(async lane =>
            {
                while (!Volatile.Read(ref stop))
                {
                    try
                    {
                        await using QuicConnection client = await QuicConnection.ConnectAsync(
                            Loopback.ClientOptions(endPoint, o => o.HandshakeTimeout = TimeSpan.FromSeconds(2))).Bounded();
                        await EchoAsync(client, seed: lane);
                        served.Release();
                    }
                    catch (Exception e) when (e is QuicException or SocketException or AuthenticationException)
                    {
                        // Nobody listened, or not to the end.
                    }
                }
            }),
        ];

        try
        {
            for (int round = 0; round < Rounds; round++)
            {
                await using EchoServer server = await EchoServer.StartAsync(listen: o => o.ListenEndPoint = endPoint);
                for (int i = 0; i < 2 * Clients; i++)
                {
                    Assert.True(await served.WaitAsync(Patience.Limit), $"Nobody was served in round {round}.");
                }
            }
        }
        finally
        {
            Volatile.Write(ref stop, true);
        }

        await Task.WhenAll(clients).Bounded();
    }

    /// <summary>Connects them all, echoes on each while all are open, and closes them.</summary>
    private static async Task EchoOnAllAsync(IPEndPoint server, int count)
    {
        QuicConnection[] connections = await Task.WhenAll(Enumerable.Range(0, count).Select(_ => ConnectPatientlyAsync(server))).Bounded();
        await Task.WhenAll(connections.Select((connection, i) => EchoAsync(connection, seed: i))).Bounded();
        await Task.WhenAll(connections.Select(connection => connection.DisposeAsync().AsTask())).Bounded();
    }

    /// <summary>As a client that is turned away by a busy server: again and again.</summary>
    private static async Task<QuicConnection> ConnectPatientlyAsync(IPEndPoint server)
    {
        long start = Environment.TickCount64;
        while (true)
        {
            try
            {
                return await QuicConnection.ConnectAsync(Loopback.ClientOptions(server, o => o.HandshakeTimeout = Patience.Limit));
            }
            catch (QuicException e) when (
                e.QuicError is QuicError.ConnectionRefused or QuicError.ConnectionTimeout
                && Environment.TickCount64 - start < Patience.Limit.TotalMilliseconds)
            {
                // Bounded by the time.
            }
        }
    }

    private static async Task EchoAsync(QuicConnection connection, long seed)
    {
        await using QuicStream stream = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded();
        await stream.WriteContentAsync(seed, length: 2_000);
        await stream.AssertContentAsync(seed, length: 2_000);
    }

    private static async Task AssertFailsAsync(Task<QuicConnection> connect)
    {
        Exception e = await Assert.ThrowsAnyAsync<Exception>(connect.Bounded);
        Assert.True(e is QuicException or AuthenticationException or OperationCanceledException, e.ToString());
    }

    /// <summary>First packets that look like a client's and decrypt to nothing, each from a port of its own.</summary>
    private static async Task SendGarbageAsync(IPEndPoint server, int count)
    {
        var random = new Random(77);
        for (int i = 0; i < count; i++)
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            var datagram = new byte[1_200];
            random.NextBytes(datagram);
            // An Initial packet of version 1 with ids of eight bytes, no token, and all the rest as its payload.
            byte[] header = [0xC3, 0, 0, 0, 1, 8, .. datagram[..8], 8, .. datagram[8..16], 0, 0x44, 0x96];
            header.CopyTo(datagram, 0);
            await socket.SendToAsync(datagram, server).Bounded();
        }
    }
}
