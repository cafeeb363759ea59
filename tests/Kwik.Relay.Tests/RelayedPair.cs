using System.Net;

namespace Kwik.Relay.Tests;

/// <summary>A client and a server that have met through a relay.</summary>
internal sealed class RelayedPair : IDisposable
{
    private RelayedPair(ulong seed) => Relay = UdpRelay.Start(new() { Target = Server.Address, Seed = seed });

    public UdpEnd Server { get; } = new();

    public UdpEnd Client { get; } = new();

    public UdpRelay Relay { get; }

    /// <summary>Where the server sees the client.</summary>
    public IPEndPoint Upstream { get; private set; } = null!;

    /// <summary>Starts an unshaped relay and sends one datagram to and fro.</summary>
    public static async Task<RelayedPair> MeetAsync(ulong seed = 0)
    {
        var pair = new RelayedPair(seed);
        pair.SendToServer([0]);
        pair.Upstream = await pair.Server.EchoAsync();
        await pair.Client.ReceiveAsync();
        return pair;
    }

    public void SendToServer(ReadOnlySpan<byte> datagram) => Client.Send(datagram, Relay.LocalEndPoint);

    /// <summary>
    /// Comes back when the counters towards the server are as asked, or fails: asks after each round trip on the other
    /// way, in which the relay has looked at all its sockets.
    /// </summary>
    public async Task UntilAsync(Predicate<LinkCounters> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!condition(Relay.ToServerCounters))
        {
            Assert.False(limit.IsCancellationRequested, $"{Relay.ToServerCounters}");
            Server.Send(0xFE, Upstream);
            Assert.Equal([0xFE], (await Client.ReceiveAsync()).Datagram);
        }
    }

    public void Dispose()
    {
        Relay.Dispose();
        Server.Dispose();
        Client.Dispose();
    }
}
