using System.Net;

namespace Kwik.Testing.Tests;

/// <summary>The simulated network does what any transport has to do, on smooth links and on rough ones.</summary>
public sealed class SimulatedTransportConformanceTests : TransportConformanceTests
{
    internal override Task RunAsync(Func<ConformanceNetwork, Task> test)
    {
        for (int seed = 1; seed <= 10; seed++)
        {
            Simulation.Run(seed, async world =>
            {
                SimulatedHost client = world.Host("client");
                SimulatedHost server = world.Host("server");
                world.SetLinks(client, server, link =>
                {
                    link.Latency = TimeSpan.FromMilliseconds(world.Random.Next(10));
                    link.Jitter = TimeSpan.FromMilliseconds(world.Seed % 3);
                    link.Loss = world.Seed % 4 == 0 ? 0.01 : 0;
                    link.BitsPerSecond = world.Seed % 2 == 0 ? 1_000_000_000 : null;
                });
                await test(new ConformanceNetwork
                {
                    Client = client.Transport,
                    Server = server.Transport,
                    ServerAddress = server.Address,
                    Time = world.Time,
                    Silence = new IPEndPoint(IPAddress.Parse("10.9.9.9"), 4433),
                    Cut = () => world.SetLinks(client, server, link => link.BlackHole = true),
                });
            });
        }

        return Task.CompletedTask;
    }
}
