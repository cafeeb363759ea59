using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Kwik.Relay.Tests;

public class UdpRelayTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    public async Task Relay_Unshaped_PassesBothWays(string address)
    {
        var ip = IPAddress.Parse(address);
        using var server = new UdpEnd(ip);
        using var client = new UdpEnd(ip);
        using UdpRelay relay = UdpRelay.Start(new() { Listen = new(ip, 0), Target = server.Address });
        byte[][] datagrams = [[], [1], new byte[1200], new byte[9000], new byte[60_000]];
        foreach (byte[] datagram in datagrams)
        {
            new Random(1).NextBytes(datagram);
            client.Send(datagram, relay.LocalEndPoint);
            await server.EchoAsync();
            (byte[] echo, IPEndPoint from) = await client.ReceiveAsync();
            Assert.Equal(datagram, echo);
            Assert.Equal(relay.LocalEndPoint, from);
        }

        foreach (LinkCounters counters in new[] { relay.ToServerCounters, relay.ToClientCounters })
        {
            Assert.Equal((5, 5), (counters.Received, counters.Forwarded));
            Assert.Equal((70_201, 70_201), (counters.ReceivedBytes, counters.ForwardedBytes));
        }
    }

    [Fact]
    public async Task Relay_SeveralClients_AreKeptApart()
    {
        using var server = new UdpEnd();
        using UdpRelay relay = UdpRelay.Start(new() { Target = server.Address });
        UdpEnd[] clients = [.. Enumerable.Range(0, 10).Select(_ => new UdpEnd())];
        var seen = new HashSet<IPEndPoint>();
        for (byte round = 0; round < 3; round++)
        {
            foreach (UdpEnd client in clients)
            {
                client.Send([(byte)Array.IndexOf(clients, client), round], relay.LocalEndPoint);
            }

            foreach (UdpEnd _ in clients)
            {
                seen.Add(await server.EchoAsync());
            }

            foreach (UdpEnd client in clients)
            {
                Assert.Equal([(byte)Array.IndexOf(clients, client), round], (await client.ReceiveAsync()).Datagram);
            }
        }

        Assert.Equal(clients.Length, seen.Count);
        Assert.Equal(clients.Length, relay.ClientCount);
        Assert.All(clients, client => Assert.True(client.IsSilent));
        Array.ForEach(clients, client => client.Dispose());
    }

    [Fact]
    public async Task Relay_ManyDatagramsAtOnce_ArriveWholeAndInOrder()
    {
        using var server = new UdpEnd();
        using var client = new UdpEnd();
        using UdpRelay relay = UdpRelay.Start(new()
        {
            Target = server.Address,
            ToServer = new() { Delay = TimeSpan.FromMilliseconds(5) },
        });

        // Lengths that change now and then, as QUIC's do: batches must begin and end where they should.
        byte[][] datagrams = [.. Enumerable.Range(0, 500).Select(i => RandomBytes(i, i % 17 == 0 ? 40 : i < 250 ? 1200 : 1350))];
        foreach (byte[] datagram in datagrams)
        {
            client.Send(datagram, relay.LocalEndPoint);
        }

        foreach (byte[] datagram in datagrams)
        {
            Assert.Equal(datagram, (await server.ReceiveAsync()).Datagram);
        }
    }

    /// <summary>A bound for sanity; how precise the relay is, bench/Kwik.RelayBench measures.</summary>
    [Fact]
    public async Task Relay_WithARate_RoughlyHoldsIt()
    {
        const int count = 1500, bytes = 1200;
        const long bitsPerSecond = 50_000_000;
        using var server = new UdpEnd();
        using var client = new UdpEnd();
        using UdpRelay relay = UdpRelay.Start(new()
        {
            Target = server.Address,
            ToServer = new() { BitsPerSecond = bitsPerSecond, QueueBytes = 10_000_000 },
        });
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
        {
            client.Send(new byte[bytes], relay.LocalEndPoint);
        }

        for (int i = 0; i < count; i++)
        {
            await server.ReceiveAsync();
        }

        double ideal = count * bytes * 8.0 / bitsPerSecond;
        Assert.InRange(Stopwatch.GetElapsedTime(start).TotalSeconds, ideal, Patience.TotalSeconds);
    }

    [Fact]
    public async Task Relay_WithDelay_IsNeverEarly()
    {
        using var server = new UdpEnd();
        using var client = new UdpEnd();
        using UdpRelay relay = UdpRelay.Start(new()
        {
            Target = server.Address,
            ToServer = new() { Delay = TimeSpan.FromMilliseconds(30) },
            ToClient = new() { Delay = TimeSpan.FromMilliseconds(20) },
        });
        long start = Stopwatch.GetTimestamp();
        client.Send(1, relay.LocalEndPoint);
        await server.EchoAsync();
        Assert.True(Stopwatch.GetElapsedTime(start) >= TimeSpan.FromMilliseconds(30));
        await client.ReceiveAsync();
        Assert.True(Stopwatch.GetElapsedTime(start) >= TimeSpan.FromMilliseconds(50));
    }

    [Fact]
    public async Task Relay_BlackHole_SwallowsThenRecovers()
    {
        using RelayedPair pair = await RelayedPair.MeetAsync();
        pair.Relay.ToServer = new() { BlackHole = true };
        pair.SendToServer([1]);
        await pair.UntilAsync(counters => counters.DroppedByBlackHole == 1); // over the other way, which stays open

        pair.Relay.ToServer = new();
        pair.SendToServer([2]);
        Assert.Equal([2], (await pair.Server.ReceiveAsync()).Datagram);
        Assert.Equal(2, pair.Relay.ToServerCounters.Forwarded);
    }

    [Fact]
    public async Task Relay_RateRaisedWhileRunning_LetsWhatWaitsGo()
    {
        using RelayedPair pair = await RelayedPair.MeetAsync();
        pair.Relay.ToServer = new() { BitsPerSecond = 100 }; // more than a minute a datagram
        pair.SendToServer(new byte[1200]);
        pair.SendToServer(new byte[1200]);
        await pair.UntilAsync(counters => counters.Received == 3);
        Assert.True(pair.Server.IsSilent);

        pair.Relay.ToServer = new() { BitsPerSecond = 100_000_000 };
        await pair.Server.ReceiveAsync();
        await pair.Server.ReceiveAsync();
    }

    [Fact]
    public async Task Relay_DuplicationAndCorruption_ReachTheBytes()
    {
        using var server = new UdpEnd();
        using var client = new UdpEnd();
        using UdpRelay relay = UdpRelay.Start(new()
        {
            Target = server.Address,
            ToServer = new() { Duplication = 1 },
            ToClient = new() { Corruption = 1 },
        });
        byte[] datagram = RandomBytes(1, 300);
        client.Send(datagram, relay.LocalEndPoint);
        Assert.Equal(datagram, (await server.ReceiveAsync()).Datagram);
        Assert.Equal(datagram, (await server.ReceiveAsync()).Datagram);
        client.Send(datagram, relay.LocalEndPoint);
        await server.EchoAsync();

        byte[] echo = (await client.ReceiveAsync()).Datagram;
        Assert.Equal(1, datagram.Zip(echo, (sent, arrived) => int.PopCount(sent ^ arrived)).Sum());
        Assert.Equal((2, 1), (relay.ToServerCounters.Duplicated, relay.ToClientCounters.Corrupted));
    }

    [Fact]
    public async Task Relay_DatagramsThatAreTooLongOrListed_AreDroppedAndCounted()
    {
        using RelayedPair pair = await RelayedPair.MeetAsync();
        pair.Relay.ToServer = new() { MaxDatagramBytes = 1000, DropPositions = new HashSet<long> { 3 } };
        pair.SendToServer(new byte[1001]);
        pair.SendToServer(new byte[1000]);
        pair.SendToServer([3]);
        pair.SendToServer([4]);

        Assert.Equal(1000, (await pair.Server.ReceiveAsync()).Datagram.Length);
        Assert.Equal([4], (await pair.Server.ReceiveAsync()).Datagram);
        LinkCounters counters = pair.Relay.ToServerCounters;
        Assert.Equal((1, 1), (counters.DroppedByLength, counters.DroppedByLoss));
    }

    [Fact]
    public async Task Rebind_ClientsThatAreKnown_ComeFromOtherPortsAndHearOnlyThere()
    {
        using RelayedPair pair = await RelayedPair.MeetAsync();
        using var second = new UdpEnd();
        UdpEnd[] clients = [pair.Client, second];
        second.Send([1], pair.Relay.LocalEndPoint);
        IPEndPoint[] ports = [pair.Upstream, await pair.Server.EchoAsync()];
        await second.ReceiveAsync();

        for (byte round = 0; round < 5; round++)
        {
            pair.Relay.Rebind();
            for (byte i = 0; i < clients.Length; i++)
            {
                clients[i].Send([round, i], pair.Relay.LocalEndPoint);
                IPEndPoint next = await pair.Server.EchoAsync();
                Assert.Equal([round, i], (await clients[i].ReceiveAsync()).Datagram);
                Assert.NotEqual(ports[i], next);
                pair.Server.Send([], ports[i]); // nobody is there any more
                pair.Server.Send([i, round], next);
                Assert.Equal([i, round], (await clients[i].ReceiveAsync()).Datagram);
                ports[i] = next;
            }
        }

        Assert.NotEqual(ports[0], ports[1]);
        Assert.Equal(2, pair.Relay.ClientCount);
    }

    [Fact]
    public async Task Rebind_DatagramsUnderWay_LeaveByTheNewPort()
    {
        using RelayedPair pair = await RelayedPair.MeetAsync();
        pair.Relay.ToServer = new() { BitsPerSecond = 100 };
        pair.SendToServer(new byte[1200]);
        await pair.UntilAsync(counters => counters.Received == 2);

        pair.Relay.Rebind();
        pair.Relay.ToServer = new();

        (byte[] datagram, IPEndPoint from) = await pair.Server.ReceiveAsync();
        Assert.Equal(1200, datagram.Length);
        Assert.NotEqual(pair.Upstream, from);
    }

    [Fact]
    public void Rebind_Disposed_Throws()
    {
        UdpRelay relay = UdpRelay.Start(new() { Target = new(IPAddress.Loopback, 1) });
        relay.Rebind(); // without clients, which is nothing
        relay.Dispose();
        Assert.Throws<ObjectDisposedException>(relay.Rebind);
    }

    [Fact]
    public async Task Relay_TargetThatIsNotThere_IsFoundWhenItComes()
    {
        IPEndPoint target;
        using (var reserved = new UdpEnd())
        {
            target = reserved.Address;
        }

        using var client = new UdpEnd();
        using UdpRelay relay = UdpRelay.Start(new() { Target = target });
        client.Send(1, relay.LocalEndPoint);
        client.Send(2, relay.LocalEndPoint);
        long start = Stopwatch.GetTimestamp();
        while (relay.ToServerCounters is not { Received: 2 } counted || counted.Forwarded + counted.DroppedBySystem != 2)
        {
            Assert.True(Stopwatch.GetElapsedTime(start) < Patience);
            await Task.Yield();
        }

        Assert.True(client.IsSilent);
        using var server = new UdpEnd(target.Address, target.Port);
        client.Send(3, relay.LocalEndPoint);
        await server.EchoAsync();
        Assert.Equal([3], (await client.ReceiveAsync()).Datagram);
        LinkCounters counters = relay.ToServerCounters;
        Assert.Equal(counters.Received, counters.Forwarded + counters.DroppedBySystem);
    }

    [Fact]
    public async Task Relay_IdleClient_IsForgotten()
    {
        var time = new ManualTime();
        using var server = new UdpEnd();
        using var idle = new UdpEnd();
        using var active = new UdpEnd();
        using UdpRelay relay = UdpRelay.Start(new() { Target = server.Address, TimeProvider = time });
        idle.Send(1, relay.LocalEndPoint);
        IPEndPoint before = await server.EchoAsync();
        await idle.ReceiveAsync();

        time.Advance(TimeSpan.FromMinutes(3));
        active.Send(2, relay.LocalEndPoint);
        await server.EchoAsync();
        await active.ReceiveAsync();
        Assert.Equal(1, relay.ClientCount);

        idle.Send(3, relay.LocalEndPoint); // and comes back like a new one
        IPEndPoint after = await server.EchoAsync();
        Assert.Equal([3], (await idle.ReceiveAsync()).Datagram);
        Assert.Equal(2, relay.ClientCount);
        server.Send(4, before);
        server.Send(5, after);
        Assert.Equal([5], (await idle.ReceiveAsync()).Datagram);
    }

    [Fact]
    public async Task Counters_AfterFaultsOfAllKinds_AddUp()
    {
        using RelayedPair pair = await RelayedPair.MeetAsync(seed: 5);
        pair.Relay.ToServer = new()
        {
            BitsPerSecond = 50_000_000,
            QueueBytes = 20_000,
            Loss = 0.2,
            LossBurst = 2,
            Reordering = 0.2,
            Duplication = 0.2,
            Corruption = 0.2,
        };
        for (int i = 0; i < 500; i++)
        {
            pair.SendToServer(new byte[1000]);
        }

        await pair.UntilAsync(counters => counters.Received == 501);
        await pair.UntilAsync(counters => counters.Received + counters.Duplicated
            == counters.Forwarded + counters.DroppedByLoss + counters.DroppedByQueue);
        LinkCounters counters = pair.Relay.ToServerCounters;
        Assert.True(
            counters is { DroppedByLoss: > 0, DroppedByQueue: > 0, Duplicated: > 0, Reordered: > 0, Corrupted: > 0 },
            $"{counters}");
        for (long i = 1; i < counters.Forwarded; i++)
        {
            Assert.Equal(1000, (await pair.Server.ReceiveAsync()).Datagram.Length);
        }
    }

    [Fact]
    public async Task Dispose_WithTrafficInFlight_EndsAndFreesThePort()
    {
        using var server = new UdpEnd();
        using var stop = new CancellationTokenSource();
        UdpRelay relay = UdpRelay.Start(new()
        {
            Target = server.Address,
            ToServer = new() { Delay = TimeSpan.FromSeconds(30), BitsPerSecond = 10_000_000 },
        });
        Task flood = Task.Factory.StartNew(
            () =>
            {
                using var client = new UdpEnd();
                while (!stop.IsCancellationRequested)
                {
                    client.Send(new byte[1200], relay.LocalEndPoint);
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        while (relay.ToServerCounters.Received < 1000)
        {
            Assert.False(flood.IsCompleted);
            await Task.Yield();
        }

        await Task.WhenAll(Task.Run(relay.Dispose), Task.Run(relay.Dispose)).WaitAsync(Patience);
        using (new UdpEnd(port: relay.LocalEndPoint.Port))
        {
            Assert.Throws<ObjectDisposedException>(() => relay.ToServer = new());
        }

        await stop.CancelAsync();
        await flood.WaitAsync(Patience);
        relay.Dispose();
    }

    [Fact]
    public void Start_AddressTaken_Throws()
    {
        using var taken = new UdpEnd();
        var options = new UdpRelayOptions { Listen = taken.Address, Target = taken.Address };
        var error = Assert.Throws<SocketException>(() => UdpRelay.Start(options));
        Assert.Equal(SocketError.AddressAlreadyInUse, error.SocketErrorCode);
    }

    [Fact]
    public void Start_InvalidOptions_NamesTheOption()
    {
        var options = new UdpRelayOptions { Target = new(IPAddress.Loopback, 1) };
        AssertNamed("Target", options with { Target = new(IPAddress.Loopback, 0) });
        AssertNamed("Loss", options with { ToClient = new() { Loss = 7 } });
        AssertNamed("ClientIdleTimeout", options with { ClientIdleTimeout = TimeSpan.Zero });

        static void AssertNamed(string option, UdpRelayOptions options) =>
            Assert.Throws<ArgumentOutOfRangeException>(option, () => UdpRelay.Start(options));
    }

    [Fact]
    public void ToServer_InvalidOptions_ChangesNothing()
    {
        using UdpRelay relay = UdpRelay.Start(new() { Target = new(IPAddress.Loopback, 1) });
        LinkOptions before = relay.ToServer;
        Assert.Throws<ArgumentOutOfRangeException>(() => relay.ToServer = new() { Loss = 7 });
        Assert.Same(before, relay.ToServer);
    }

    private static byte[] RandomBytes(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
