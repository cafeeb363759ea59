using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>Handshakes that lose datagrams: at random, and each of the first ones in turn.</summary>
public sealed class LossyHandshakeTests
{
    private const int EchoBytes = 30_000;

    [Fact]
    public Task Handshake_OverAVeryLossyLink_Succeeds() =>
        AssertOverAsync(20, new() { Loss = 0.15, Reordering = 0.1, Duplication = 0.05 });

    [Fact]
    public Task Handshake_LongHeadersDamaged_SucceedsNevertheless() => AssertOverAsync(10, new() { LongHeaderCorruption = 0.3 });

    [Fact]
    public Task Handshake_OneDatagramOfTheClientLost_SucceedsAndEchoes() =>
        AssertWithoutAsync(Enumerable.Range(1, 12).Select(position => new Drops([position], [])));

    [Fact]
    public Task Handshake_OneDatagramOfTheServerLost_SucceedsAndEchoes() =>
        AssertWithoutAsync(Enumerable.Range(1, 12).Select(position => new Drops([], [position])));

    [Fact]
    public Task Handshake_TheFirstDatagramsLost_SucceedsAndEchoes() =>
        AssertWithoutAsync(new Drops([1, 2], []), new([1, 2, 3], []), new([], [1, 2]), new([], [1, 2, 3]), new([1, 2], [1, 2]));

    [Fact]
    public Task Handshake_AThirdOfTheClientsDatagramsLost_SucceedsAndEchoes() =>
        AssertWithoutAsync(Enumerable.Range(1, 10).Select(seed => new Drops(AThird(seed), [])));

    [Fact]
    public Task Handshake_AThirdOfTheServersDatagramsLost_SucceedsAndEchoes() =>
        AssertWithoutAsync(Enumerable.Range(1, 10).Select(seed => new Drops([], AThird(seed))));

    [Fact]
    public Task Handshake_AThirdOfAllDatagramsLost_SucceedsAndEchoes() =>
        AssertWithoutAsync(Enumerable.Range(1, 10).Select(seed => new Drops(AThird(seed), AThird(seed + 100))));

    /// <summary>A third of the first 45; what the rest of the echo needs is not disturbed.</summary>
    private static HashSet<long> AThird(int seed)
    {
        long[] positions = [.. Enumerable.Range(1, 45).Select(position => (long)position)];
        new Random(seed).Shuffle(positions);
        return [.. positions.Take(15)];
    }

    private static async Task AssertWithoutAsync(params IEnumerable<Drops> cases)
    {
        Exception?[] failures = await Task.WhenAll(
            cases.Select(async drops => await Record.ExceptionAsync(() => AssertWithoutAsync(drops))));
        Assert.Empty(failures.OfType<Exception>().Select(failure => failure.Message));
    }

    private static async Task AssertWithoutAsync(Drops drops)
    {
        await using RelayedServer server = await RelayedServer.StartAsync(
            new() { DropPositions = drops.ToServer },
            new() { DropPositions = drops.ToClient },
            o => o.HandshakeTimeout = Patience.Limit);
        try
        {
            // One attempt: no other would find these datagrams missing.
            await using QuicConnection client = await QuicConnection.ConnectAsync(
                Loopback.ClientOptions(server.EndPoint, o => o.HandshakeTimeout = Patience.Limit)).Bounded();
            await client.AssertEchoAsync(seed: 1, EchoBytes);
            server.Shape(new()); // The close is no subject here.
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{drops}: {Expect.Describe(e)}", e);
        }

        LinkCounters up = server.Relay.ToServerCounters;
        LinkCounters down = server.Relay.ToClientCounters;
        Assert.True(up.DroppedByLoss + down.DroppedByLoss > 0, $"{drops}: nothing was lost.");
    }

    private static async Task AssertOverAsync(int count, LinkOptions link)
    {
        await using RelayedServer server = await RelayedServer.StartAsync(link, link);
        for (int i = 0; i < count; i++)
        {
            server.Shape(link);
            await using QuicConnection client = await Loopback.ConnectAsync(server.EndPoint);
            await client.AssertEchoAsync(seed: i, 3_000);
            server.Shape(new()); // The close is no subject here.
        }
    }

    /// <summary>Which datagrams of each direction do not arrive, counted from 1.</summary>
    private sealed record Drops(HashSet<long> ToServer, HashSet<long> ToClient)
    {
        public override string ToString() =>
            $"without [{string.Join(", ", ToServer.Order())}] to the server and [{string.Join(", ", ToClient.Order())}] to the client";
    }
}
