using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>Many connections and streams, at once and in turn.</summary>
public sealed class ManyTests
{
    [Fact]
    public async Task EightConnections_HundredAndTwentyStreamsEach_EveryByteComesBack()
    {
        const int Connections = 8;
        const int Streams = 120;
        await using EchoServer server = await EchoServer.StartAsync();

        await Task.WhenAll(Enumerable.Range(0, Connections).Select(async connection =>
        {
            await using QuicConnection client = await Loopback.ConnectAsync(server.EndPoint);
            // All at once: those above the limit of 100 wait for the first to end.
            await Task.WhenAll(Enumerable.Range(0, Streams).Select(stream =>
                AssertEchoAsync(client, seed: (connection * Streams) + stream, length: 20_000))).Bounded();
        })).Bounded();
    }

    [Fact]
    public async Task HundredConnections_InTurn_AllWork()
    {
        await using EchoServer server = await EchoServer.StartAsync();

        for (int i = 0; i < 100; i++)
        {
            await using QuicConnection client = await Loopback.ConnectAsync(server.EndPoint);
            await AssertEchoAsync(client, seed: i, length: 1_000);
        }
    }

    [Fact]
    public async Task FiftyConnections_AtOnce_AllWork()
    {
        await using EchoServer server = await EchoServer.StartAsync();

        await Task.WhenAll(Enumerable.Range(0, 50).Select(async connection =>
        {
            await using QuicConnection client = await Loopback.ConnectAsync(server.EndPoint);
            await AssertEchoAsync(client, seed: connection, length: 10_000);
        })).Bounded();
    }

    [Fact]
    public async Task HundredStreams_AtOnceOneWay_KeepTheirBytesApart()
    {
        const int Streams = 100;
        const int Length = 100_000;
        await using Loopback pair = await Loopback.StartAsync();
        Task[] checks =
        [
            .. Enumerable.Range(0, Streams).Select(async _ =>
            {
                await using QuicStream reader = await pair.Server.AcceptInboundStreamAsync().Bounded();
                await reader.AssertContentAsync(seed: reader.Id, Length);
            }),
        ];

        await Task.WhenAll(Enumerable.Range(0, Streams).Select(async _ =>
        {
            await using QuicStream writer = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();
            await writer.WriteContentAsync(seed: writer.Id, Length);
        })).Bounded();
        await Task.WhenAll(checks).Bounded();
    }

    private static async Task AssertEchoAsync(QuicConnection connection, long seed, int length)
    {
        await using QuicStream stream = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded();
        Task write = stream.WriteContentAsync(seed, length);
        await stream.AssertContentAsync(seed, length);
        await write;
    }
}
