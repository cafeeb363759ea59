using System.Buffers.Binary;
using System.Net;
using System.Net.Quic;
using System.Net.Sockets;

namespace Kwik.Provider.Tests;

/// <summary>Datagrams that belong to no connection, on the port of a listener that has one.</summary>
public sealed class GarbageTests
{
    private const int Datagrams = 5_000;

    [Theory]
    [InlineData("random bytes")]
    [InlineData("short headers of nobody")]
    [InlineData("truncated long headers")]
    [InlineData("initials of nobody")]
    [InlineData("unknown versions")]
    [InlineData("empty")]
    [InlineData("as long as they can be")]
    public async Task Garbage_OnTheListenersPort_DisturbsNeitherConnectionsNorNewOnes(string kind)
    {
        await using QuicListener listener = await Loopback.ListenAsync();
        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        await using (client)
        await using (server)
        {
            (QuicStream local, QuicStream peer) = await client.OpenPairAsync(server);
            await using (local)
            await using (peer)
            {
                Task flood = Task.Run(() => Flood(kind, listener.LocalEndPoint));
                Task<long> up = local.WriteContentUntilAsync(seed: 1, flood);
                Task<long> down = peer.WriteContentUntilAsync(seed: 2, flood);
                Task<long> arrivedUp = peer.ReadContentAsync(seed: 1);
                Task<long> arrivedDown = local.ReadContentAsync(seed: 2);
                for (int i = 0; i == 0 || !flood.IsCompleted; i++)
                {
                    await AssertAcceptsAsync(listener);
                }

                await Task.WhenAll(flood, up, down).Bounded();
                Assert.Equal((await up, await down), (await arrivedUp, await arrivedDown));
            }

            await AssertAcceptsAsync(listener);
            await client.AssertAliveAsync(server);
        }
    }

    private static async Task AssertAcceptsAsync(QuicListener listener)
    {
        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
        await using (client)
        await using (server)
        {
            await client.AssertAliveAsync(server);
        }
    }

    private static void Flood(string kind, IPEndPoint to)
    {
        using var socket = new Socket(to.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        socket.Connect(to);
        var random = new Random(kind.Length);
        for (int i = 0; i < Datagrams; i++)
        {
            // Refused ones (a full buffer, an ICMP error of the one before) are no subject here.
            _ = socket.Send(Datagram(kind, random), SocketFlags.None, out SocketError _);
            if (i % 50 == 0)
            {
                Thread.Yield(); // The receiver is to see most of them.
            }
        }
    }

    private static byte[] Datagram(string kind, Random random)
    {
        var bytes = new byte[kind switch
        {
            "random bytes" => random.Next(1, 1_500),
            "short headers of nobody" => random.Next(2) == 0 ? random.Next(1, 60) : 1_200,
            "truncated long headers" => random.Next(1, 30),
            "empty" => 0,
            "as long as they can be" => 65_507,
            _ => 1_200,
        }];
        random.NextBytes(bytes);
        switch (kind)
        {
            case "short headers of nobody":
                bytes[0] = (byte)(0x40 | (bytes[0] & 0x3F));
                break;
            case "truncated long headers":
            case "initials of nobody":
            case "unknown versions":
                byte[] header = LongHeader(random, version: kind == "unknown versions" ? random.Next() : 1);
                header.AsSpan(0, Math.Min(header.Length, bytes.Length)).CopyTo(bytes);
                break;
        }

        return bytes;
    }

    /// <summary>An Initial packet without a token that fills 1,200 bytes: RFC 9000, section 17.2.2.</summary>
    private static byte[] LongHeader(Random random, int version)
    {
        const int IdBytes = 8;
        const int HeaderBytes = 1 + 4 + 1 + IdBytes + 1 + IdBytes + 1 + 2;
        var header = new byte[HeaderBytes];
        random.NextBytes(header);
        header[0] = 0xC3;
        BinaryPrimitives.WriteInt32BigEndian(header.AsSpan(1), version);
        header[5] = IdBytes;
        header[6 + IdBytes] = IdBytes;
        header[7 + (2 * IdBytes)] = 0; // token length
        BinaryPrimitives.WriteUInt16BigEndian(header.AsSpan(HeaderBytes - 2), 0x4000 | (1_200 - HeaderBytes));
        return header;
    }
}
