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
