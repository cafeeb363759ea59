using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;

namespace Kwik.Provider.Tests;

/// <summary>Names and protocols in the handshake, and every way in which it fails but certificates.</summary>
public sealed class HandshakeTests
{
    private static readonly SslApplicationProtocol Other = new("kwik-other");

    [Fact]
    public async Task Connect_NoProtocolInCommon_ThrowsAuthenticationException()
    {
        await using QuicListener listener = await Loopback.ListenAsync();

        await Assert.ThrowsAsync<AuthenticationException>(() => QuicConnection.ConnectAsync(
            Loopback.ClientOptions(listener.LocalEndPoint, o => o.ClientAuthenticationOptions.ApplicationProtocols = [Other])).Bounded());

        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Connect_SeveralProtocols_TakesTheOneInCommon()
    {
        await using Loopback pair = await Loopback.StartAsync(client: o =>
            o.ClientAuthenticationOptions.ApplicationProtocols = [new("kwik-third"), Other, Loopback.Protocol]);

        Assert.Equal(Loopback.Protocol, pair.Client.NegotiatedApplicationProtocol);
        Assert.Equal(Loopback.Protocol, pair.Server.NegotiatedApplicationProtocol);
    }

    [Fact]
    public async Task Listen_TwoListenersOnOnePortWithTwoProtocols_EachGetsItsConnections()
    {
        await using QuicListener first = await Loopback.ListenAsync();
        await using QuicListener second = await Loopback.ListenAsync(
            server: o => o.ServerAuthenticationOptions.ApplicationProtocols = [Other],
            listen: o =>
            {
                o.ListenEndPoint = first.LocalEndPoint;
                o.ApplicationProtocols = [Other];
            });

        for (int i = 0; i < 3; i++)
        {
            (QuicConnection client1, QuicConnection server1) = await Loopback.ConnectAsync(first);
            (QuicConnection client2, QuicConnection server2) = await Loopback.ConnectAsync(
                second, o => o.ClientAuthenticationOptions.ApplicationProtocols = [Other]);
            await using (client1)
            await using (server1)
            await using (client2)
            await using (server2)
            {
                Assert.Equal(Loopback.Protocol, server1.NegotiatedApplicationProtocol);
                Assert.Equal(Other, server2.NegotiatedApplicationProtocol);
                await client1.AssertAliveAsync(server1);
                await client2.AssertAliveAsync(server2);
            }
        }
    }

    [Theory]
    [InlineData(TlsCipherSuite.TLS_AES_128_GCM_SHA256)]
    [InlineData(TlsCipherSuite.TLS_AES_256_GCM_SHA384)]
    [InlineData(TlsCipherSuite.TLS_CHACHA20_POLY1305_SHA256)]
    public async Task Connect_CipherSuiteDemandedByEitherSide_IsNegotiated(TlsCipherSuite suite)
    {
        await using Loopback byClient = await Loopback.StartAsync(
            client: o => o.ClientAuthenticationOptions.CipherSuitesPolicy = new([suite]));
        await using Loopback byServer = await Loopback.StartAsync(
            server: o => o.ServerAuthenticationOptions.CipherSuitesPolicy = new([suite]));

        Assert.Equal(suite, byClient.Client.NegotiatedCipherSuite);
        Assert.Equal(suite, byClient.Server.NegotiatedCipherSuite);
        Assert.Equal(suite, byServer.Client.NegotiatedCipherSuite);
        Assert.Equal(suite, byServer.Server.NegotiatedCipherSuite);
        await byClient.Client.AssertAliveAsync(byClient.Server);
        await byServer.Client.AssertAliveAsync(byServer.Server);
    }

    [Fact]
    public async Task Connect_NoCipherSuiteInCommon_ThrowsOnBothSides()
    {
        await using QuicListener listener = await Loopback.ListenAsync(
            server: o => o.ServerAuthenticationOptions.CipherSuitesPolicy = new([TlsCipherSuite.TLS_AES_128_GCM_SHA256]));
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        // The one TLS alert that MsQuic has a status of its own for, which System.Net.Quic does not count to authentication.
        await Expect.Quic(QuicError.InternalError, null, QuicConnection.ConnectAsync(Loopback.ClientOptions(
            listener.LocalEndPoint,
            o => o.ClientAuthenticationOptions.CipherSuitesPolicy = new([TlsCipherSuite.TLS_AES_256_GCM_SHA384]))).AsTask());
        await Expect.Quic(QuicError.InternalError, null, accept);
    }

    [Theory]
    [InlineData("localhost")]
    [InlineData("some.host.example")]
    public async Task Connect_TargetHost_ReachesTheOptionsCallback(string host)
    {
        var seen = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = (_, hello, _) =>
        {
            seen.TrySetResult(hello.ServerName);
            return ValueTask.FromResult(Loopback.ServerOptions());
        });

        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener, o =>
        {
            o.ClientAuthenticationOptions.TargetHost = host;
            o.ClientAuthenticationOptions.RemoteCertificateValidationCallback = (_, presented, _, _) => presented is not null;
        });
        await using (client)
        await using (server)
        {
            Assert.Equal(host, await seen.Task.Bounded());
            Assert.Equal(host, server.TargetHostName);
        }
    }

    [Fact]
    public async Task Connect_OptionsCallbackIsAsynchronous_WaitsForIt()
    {
        var called = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var answer = new TaskCompletionSource<QuicServerConnectionOptions>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = (_, _, _) =>
        {
            called.TrySetResult();
            return new(answer.Task);
        });
        Task<(QuicConnection Client, QuicConnection Server)> pending = Loopback.ConnectAsync(listener);

        await called.Task.Bounded();
        Assert.False(pending.IsCompleted);
        answer.SetResult(Loopback.ServerOptions());

        (QuicConnection client, QuicConnection server) = await pending.Bounded();
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Connect_OptionsCallbackThrows_FailsOnBothSidesAndTheListenerGoesOn()
    {
        bool fail = true;
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ConnectionOptionsCallback = (_, _, _) =>
            Volatile.Read(ref fail)
                ? ValueTask.FromException<QuicServerConnectionOptions>(new InvalidOperationException("refused by the test"))
                : ValueTask.FromResult(Loopback.ServerOptions()));
        Task<QuicConnection> accept = listener.AcceptConnectionAsync().AsTask();

        await Assert.ThrowsAsync<AuthenticationException>(() =>
            QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint)).Bounded());

        await Expect.Quic(QuicError.CallbackError, null, accept);
        Volatile.Write(ref fail, false);
        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Connect_BacklogFull_ThrowsConnectionRefusedUntilOneIsAccepted()
    {
        await using QuicListener listener = await Loopback.ListenAsync(listen: o => o.ListenBacklog = 1);
        await using QuicConnection first = await Loopback.ConnectAsync(listener.LocalEndPoint);

        await Expect.Quic(QuicError.ConnectionRefused, null, QuicConnection.ConnectAsync(Loopback.ClientOptions(listener.LocalEndPoint)).AsTask());

        await using QuicConnection firstServer = await listener.AcceptConnectionAsync().Bounded();
        await first.AssertAliveAsync(firstServer);
        (QuicConnection second, QuicConnection secondServer) = await Loopback.ConnectAsync(listener);
        await using (second)
        await using (secondServer)
        {
            await second.AssertAliveAsync(secondServer);
        }
    }

    [Fact]
    public async Task Connect_NobodyListens_ThrowsHostUnreachable()
    {
        IPEndPoint closed;
        using (var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp))
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
            closed = (IPEndPoint)socket.LocalEndPoint!;
        }

        SocketException e = await Assert.ThrowsAsync<SocketException>(() =>
            QuicConnection.ConnectAsync(Loopback.ClientOptions(closed)).Bounded());

        Assert.Equal(SocketError.HostUnreachable, e.SocketErrorCode);
    }

    [Fact]
    public async Task Connect_PeerIsSilent_ThrowsConnectionTimeoutAfterTheHandshakeTimeout()
    {
        using var silent = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silent.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        long start = Environment.TickCount64;

        await Expect.Quic(
            QuicError.ConnectionTimeout,
            null,
            QuicConnection.ConnectAsync(Loopback.ClientOptions(silent.LocalEndPoint!, o => o.HandshakeTimeout = TimeSpan.FromSeconds(2))).AsTask());

        Assert.InRange(Environment.TickCount64 - start, 1_900, 20_000);
    }

    [Fact]
    public async Task Listen_PortOfAnotherSocket_ThrowsAddressInUse()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));

        SocketException e = await Assert.ThrowsAsync<SocketException>(() =>
            Loopback.ListenAsync(listen: o => o.ListenEndPoint = (IPEndPoint)socket.LocalEndPoint!));

        Assert.Equal(SocketError.AddressAlreadyInUse, e.SocketErrorCode);
    }

    [Fact]
    public async Task Listen_DatagramsOfNonsense_AreIgnored()
    {
        await using QuicListener listener = await Loopback.ListenAsync();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        var random = new Random(20_261);
        var datagram = new byte[1_400];
        for (int i = 0; i < 2_000; i++)
        {
            random.NextBytes(datagram);
            // Every other one looks like a long header of version 1 of some type.
            if (i % 2 == 0)
            {
                datagram[0] |= 0xC0;
                new byte[] { 0, 0, 0, 1 }.CopyTo(datagram, 1);
            }

            await socket.SendToAsync(datagram.AsMemory(0, random.Next(datagram.Length + 1)), listener.LocalEndPoint).Bounded();
        }

        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Listen_UnknownVersion_AnswersWithVersionNegotiation()
    {
        await using QuicListener listener = await Loopback.ListenAsync();
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        byte[] destinationId = [1, 2, 3, 4, 5, 6, 7, 8];
        byte[] sourceId = [11, 12, 13, 14];
        // RFC 9000, section 6: a version of the pattern 0x?a?a?a?a exercises negotiation; 1,200 bytes are the least.
        var initial = new byte[1_200];
        byte[] header = [0xC0, 0x1A, 0x2A, 0x3A, 0x4A, 8, .. destinationId, 4, .. sourceId];
        header.CopyTo(initial, 0);

        await socket.SendToAsync(initial, listener.LocalEndPoint).Bounded();

        var answer = new byte[2_048];
        int length = await socket.ReceiveAsync(answer).Bounded();
        byte[] expected = [0, 0, 0, 0, 4, .. sourceId, 8, .. destinationId];
        Assert.True((answer[0] & 0x80) != 0);
        Assert.Equal(expected, answer[1..(1 + expected.Length)]);
        // What follows is a list of versions; version 1 is among them.
        Assert.Contains(answer[(1 + expected.Length)..length].Chunk(4), version => version is [0, 0, 0, 1]);
    }
}
