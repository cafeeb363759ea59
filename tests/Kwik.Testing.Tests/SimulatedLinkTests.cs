using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Testing.Tests;

/// <summary>Latency, rate, fairness, jitter, loss and black holes.</summary>
public sealed class SimulatedLinkTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    [Fact]
    public void Connect_TakesOneRoundTripAndTheServerHalfAnother() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        network.Up.Latency = TimeSpan.FromMilliseconds(30);
        network.Down.Latency = TimeSpan.FromMilliseconds(12);
        await using ITransportListener listener = await network.Server.Transport.ListenAsync(
            ListenOptions(network), CancellationToken.None);
        Task<ITransportConnection> accepting = listener.AcceptConnectionAsync(CancellationToken.None).AsTask();
        await network.Client.Transport.ConnectAsync(
            ConformanceNetwork.ConnectOptions(listener.LocalEndPoint), CancellationToken.None);
        Assert.Equal(42, world.Time.Elapsed.TotalMilliseconds);
        await accepting;
        Assert.Equal(72, world.Time.Elapsed.TotalMilliseconds);
    });

    [Fact]
    public void Byte_TravelsForTheLatency() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        network.Down.Latency = TimeSpan.FromMilliseconds(123);
        TimeSpan before = world.Time.Elapsed;
        await server.WriteAsync(new byte[1]);
        Assert.Equal(before, world.Time.Elapsed);
        await client.ReadAsync(new byte[1]);
        Assert.Equal(123, (world.Time.Elapsed - before).TotalMilliseconds);
    });

    [Theory]
    [InlineData(1_000_000, 500_000)]
    [InlineData(80_000_000, 20_000_000)]
    [InlineData(77_777_777, 12_345_678)]
    [InlineData(10_000_000_000, 100_000_000)]
    public void Transfer_TakesExactlyItsBitsOverTheRate(long bitsPerSecond, int size) => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        network.Down.Latency = TimeSpan.FromMilliseconds(20);
        network.Down.BitsPerSecond = bitsPerSecond;
        await using ConnectedPair pair = await network.ConnectAsync(TimeSpan.FromMinutes(10));
        TimeSpan before = world.Time.Elapsed;
        Task writing = TestNetwork.WriteAsync(await TestNetwork.OpenDownAsync(pair), size);
        Assert.Equal(size, await TestNetwork.CountAsync(await pair.Client.AcceptStreamAsync(CancellationToken.None)));
        await writing;
        TimeSpan expected = TimeSpan.FromSeconds(size * 8m / bitsPerSecond is var seconds ? (double)seconds : 0) + network.Down.Latency;
        Assert.InRange(world.Time.Elapsed - before, expected - Tick, expected + Tick);
        Assert.Equal(size, network.Down.BytesSent);
    });

    [Fact]
    public void Transfer_WhenTheRateChanges_FollowsIt() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        network.Down.BitsPerSecond = 80_000_000;
        await using ConnectedPair pair = await network.ConnectAsync();
        TimeSpan before = world.Time.Elapsed;
        Task writing = TestNetwork.WriteAsync(await TestNetwork.OpenDownAsync(pair), 15_000_000);
        ITransportStream stream = await pair.Client.AcceptStreamAsync(CancellationToken.None);
        Task<long> counting = TestNetwork.CountAsync(stream);
        await world.Delay(before + TimeSpan.FromSeconds(1) - world.Time.Elapsed);
        network.Down.BitsPerSecond = 8_000_000;
        await counting;
        await writing;

        // 10 MB in the first second, 5 MB at a tenth of the rate; the segment on the wire goes on at the old one.
        Assert.InRange((world.Time.Elapsed - before).TotalSeconds, 5.99, 6.01);
    });

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(5)]
    public void Streams_ThatShareALink_GetEqualParts(int connections) => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        network.Down.BitsPerSecond = 100_000_000;
        var read = new long[10];
        var streams = new List<Task>();
        var pairs = new List<ConnectedPair>();
        for (int connection = 0; connection < connections; connection++)
        {
            pairs.Add(await network.ConnectAsync());
        }

        for (int index = 0; index < read.Length; index++)
        {
            ConnectedPair pair = pairs[index % connections];
            ITransportStream server = await TestNetwork.OpenDownAsync(pair);

            // Different sizes of writes make no difference.
            streams.Add(WriteForeverAsync(server, 10_000 * (index + 1)));
            streams.Add(ReadForeverAsync(await pair.Client.AcceptStreamAsync(CancellationToken.None), index));
        }

        long[] before = [.. read];
        await world.Delay(TimeSpan.FromSeconds(2));
        long[] got = [.. read.Zip(before, (after, start) => after - start)];
        Assert.InRange(got.Sum(), 24_900_000, 25_100_000);
        Assert.All(got, bytes => Assert.InRange(bytes, 2_400_000, 2_600_000));
        foreach (ConnectedPair pair in pairs)
        {
            await pair.DisposeAsync();
        }

        foreach (Task stream in streams)
        {
            await ConformanceNetwork.FailureAsync(stream);
        }

        static async Task WriteForeverAsync(ITransportStream stream, int size)
        {
            while (true)
            {
                await stream.WriteAsync(new byte[size]);
            }
        }

        async Task ReadForeverAsync(ITransportStream stream, int index)
        {
            byte[] buffer = new byte[16 * 1024];
            while (true)
            {
                read[index] += await stream.ReadAsync(buffer);
            }
        }
    });

    [Fact]
    public void Windows_LimitWhatIsOnItsWayToTheByte() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ITransportListener listener = await network.Server.Transport.ListenAsync(
            ListenOptions(network), CancellationToken.None);
        TransportConnectOptions options = ConformanceNetwork.ConnectOptions(listener.LocalEndPoint) with { StreamWindow = 10_001, ConnectionWindow = 25_003 };
        await using ITransportConnection client = await network.Client.Transport.ConnectAsync(options, CancellationToken.None);
        await using ITransportConnection server = await listener.AcceptConnectionAsync(CancellationToken.None);
        long[] expected = [10_001, 20_002, 25_003, 25_003];
        var writes = new List<Task>();
        foreach (long sent in expected)
        {
            writes.Add(TestNetwork.WriteAsync(await server.OpenStreamAsync(bidirectional: false, CancellationToken.None), 200_000));
            await world.Delay(TimeSpan.FromSeconds(1));
            Assert.Equal(sent, network.Down.BytesSent);
        }

        // The last stream becomes known when the others give credit back.
        var counts = new List<Task<long>>();
        for (int index = 0; index < expected.Length; index++)
        {
            counts.Add(TestNetwork.CountAsync(await client.AcceptStreamAsync(CancellationToken.None)));
        }

        Assert.All(await Task.WhenAll(counts), count => Assert.Equal(200_000, count));
        await Task.WhenAll(writes);
        Assert.Equal(800_000, network.Down.BytesSent);
    });

    [Fact]
    public void Links_AreIndependentOfEachOther() => Simulation.Run(1, async world =>
    {
        var one = new TestNetwork(world);
        SimulatedHost second = world.Host("second");
        one.Down.BitsPerSecond = 8_000_000;
        world.Link(second, one.Client).BitsPerSecond = 80_000_000;
        await using ConnectedPair slow = await one.ConnectAsync();
        await using ITransportListener listener = await second.Transport.ListenAsync(
            ListenOptions(one) with { LocalEndPoint = new(second.Address, 4433) }, CancellationToken.None);
        TransportConnectOptions options = ConformanceNetwork.ConnectOptions(listener.LocalEndPoint) with { StreamWindow = 1 << 28, ConnectionWindow = 1 << 28 };
        await using ITransportConnection client = await one.Client.Transport.ConnectAsync(options, CancellationToken.None);
        await using ITransportConnection server = await listener.AcceptConnectionAsync(CancellationToken.None);
        TimeSpan before = world.Time.Elapsed;
        Task writing = TestNetwork.WriteAsync(await TestNetwork.OpenDownAsync(slow), 1_000_000);
        await TestNetwork.WriteAsync(await server.OpenStreamAsync(bidirectional: false, CancellationToken.None), 10_000_000);
        await TestNetwork.CountAsync(await client.AcceptStreamAsync(CancellationToken.None));
        Assert.InRange((world.Time.Elapsed - before).TotalSeconds, 1, 1.01);
        await writing;
    });

    [Theory]
    [SimulationSeeds]
    public void Bytes_OverJitterAndLoss_ArriveInOrderOnEachStream(int seed) => Simulation.Run(seed, async world =>
    {
        var network = new TestNetwork(world);
        network.Down.Jitter = TimeSpan.FromMilliseconds(50);
        network.Down.Loss = 0.05;
        await using ConnectedPair pair = await network.ConnectAsync();
        byte[] content = new byte[300_000];
        world.Random.NextBytes(content);
        ITransportStream server = await TestNetwork.OpenDownAsync(pair);
        Task writing = WriteAsync();
        ITransportStream client = await pair.Client.AcceptStreamAsync(CancellationToken.None);
        Assert.Equal(content, await client.ReadToEndAsync());
        await writing;

        async Task WriteAsync()
        {
            for (int offset = 0; offset < content.Length;)
            {
                int length = Math.Min(content.Length - offset, world.Random.Next(1, 40_000));
                await server.WriteAsync(content.AsMemory(offset, length), completeWrites: offset + length == content.Length);
                offset += length;
                await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(20)));
            }
        }
    });

    [Fact]
    public void Loss_DelaysByRoundTrips() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        world.SetLinks(network.Client, network.Server, link => link.Latency = TimeSpan.FromMilliseconds(50));
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        network.Down.Loss = 0.3;
        var delays = new List<double>();
        for (int index = 0; index < 200; index++)
        {
            TimeSpan before = world.Time.Elapsed;
            await server.WriteAsync(new byte[100]);
            await client.ReadAsync(new byte[100]);
            delays.Add((world.Time.Elapsed - before).TotalMilliseconds);
        }

        // 70 of 100 arrive at first; the others a number of 9/8 round trips of 100 ms later.
        Assert.InRange(delays.Count(delay => delay == 50), 120, 160);
        Assert.All(delays, delay => Assert.Equal(0, (delay - 50) % 112.5, 6));
        Assert.Contains(delays, delay => delay > 200);
    });

    [Fact]
    public void LossInBursts_IsOfTheSameShareAndInARow() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        world.SetLinks(network.Client, network.Server, link => link.Latency = TimeSpan.FromMilliseconds(50));
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        (network.Down.Loss, network.Down.LossBurst) = (0.3, 3);
        var delays = new List<double>();
        for (int index = 0; index < 1000; index++)
        {
            TimeSpan before = world.Time.Elapsed;
            await server.WriteAsync(new byte[100]);
            await client.ReadAsync(new byte[100]);
            delays.Add((world.Time.Elapsed - before).TotalMilliseconds);
        }

        // Each is one packet, which is lost in whole bursts: the first time and with both of its next repetitions.
        int lost = delays.Sum(delay => (int)Math.Round((delay - 50) / 112.5));
        Assert.All(delays, delay => Assert.Equal(0, (delay - 50) % (3 * 112.5), 6));
        Assert.InRange(lost / (1000.0 + lost), 0.27, 0.33);
    });

    [Fact]
    public void BlackHole_ThatHealsInTime_LosesNoByte() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        network.Down.BitsPerSecond = 8_000_000;
        await using ConnectedPair pair = await network.ConnectAsync();
        TimeSpan before = world.Time.Elapsed;
        Task writing = TestNetwork.WriteAsync(await TestNetwork.OpenDownAsync(pair), 3_000_000);
        ITransportStream stream = await pair.Client.AcceptStreamAsync(CancellationToken.None);
        Task<long> counting = TestNetwork.CountAsync(stream);
        await world.Delay(TimeSpan.FromSeconds(1));
        network.Down.BlackHole = true;
        await world.Delay(TimeSpan.FromSeconds(5));
        Assert.False(counting.IsCompleted);
        network.Down.BlackHole = false;
        Assert.Equal(3_000_000, await counting);
        await writing;

        // Everything that fell into the hole takes the link a second time.
        Assert.Equal(5_000_000, network.Down.BytesSent, 25_000.0);
        Assert.InRange((world.Time.Elapsed - before).TotalSeconds, 8, 13);
    });

    [Fact]
    public void BlackHole_OpenedAgainBeforeTheProbe_KeepsWhatItHas() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        Task<int> reading = client.ReadAsync(new byte[1]).AsTask();
        network.Down.BlackHole = true;
        await server.WriteAsync(new byte[1]);
        for (int flap = 0; flap < 20; flap++)
        {
            await world.Delay(TimeSpan.FromMilliseconds(500));
            network.Down.BlackHole = false;
            network.Down.BlackHole = true;
        }

        Assert.False(reading.IsCompleted);
        network.Down.BlackHole = false;
        Assert.Equal(1, await reading);
    });

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void BlackHole_BeyondTheIdleTimeout_LosesTheConnection(bool up, bool down) => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ConnectedPair pair = await network.ConnectAsync(TimeSpan.FromSeconds(5));
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        await world.Delay(TimeSpan.FromSeconds(1));
        network.Up.BlackHole = up;
        network.Down.BlackHole = down;
        TimeSpan before = world.Time.Elapsed;
        Task[] talks = [TalkAsync(client), TalkAsync(server)];
        Task<double> clientLost = LostAfterAsync(client);
        Task<double> serverLost = LostAfterAsync(server);

        // Whoever hears nothing gives up after the idle timeout; the other one hears it until then.
        Assert.InRange(await clientLost, down ? 4 : 9, down ? 6 : 11);
        Assert.InRange(await serverLost, up ? 4 : 9, up ? 6 : 11);
        Assert.Equal(0, network.Client.OpenConnections + network.Server.OpenConnections);
        await Task.WhenAll(talks);

        async Task<double> LostAfterAsync(ITransportStream stream)
        {
            await ConformanceNetwork.ExpectAsync(KwikError.Timeout, KwikErrorSide.Network, stream.ReadToEndAsync());
            return (world.Time.Elapsed - before).TotalSeconds;
        }

        async Task TalkAsync(ITransportStream stream)
        {
            try
            {
                while (true)
                {
                    await stream.WriteAsync(new byte[100]);
                    await world.Delay(TimeSpan.FromSeconds(1));
                }
            }
            catch (KwikException exception)
            {
                Assert.Equal(KwikError.Timeout, exception.Code);
            }
        }
    });

    private static TransportListenOptions ListenOptions(TestNetwork network) => new ConformanceNetwork
    {
        Client = network.Client.Transport,
        Server = network.Server.Transport,
        ServerAddress = network.Server.Address,
        Time = network.Client.Time,
    }.ListenOptions;
}
