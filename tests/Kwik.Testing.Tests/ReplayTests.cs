using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Testing.Tests;

/// <summary>A seed is all that a run depends on.</summary>
public sealed class ReplayTests
{
    [Theory]
    [SimulationSeeds]
    public void Run_OfOneSeed_IsTheSameEveryTime(int seed)
    {
        SimulationTrace first = Simulation.Run(seed, StormAsync);
        SimulationTrace second = Simulation.Run(seed, StormAsync);
        Assert.Equal(first.Lines(), second.Lines());
        Assert.Equal(first.Hash, second.Hash);
    }

    [Fact]
    public void Run_OfOtherSeeds_Differs() => Assert.Equal(
        20, Enumerable.Range(1, 20).Select(seed => Simulation.Run(seed, StormAsync).Hash).Distinct().Count());

    [Fact]
    public void Run_OnOtherThreadsAtTheSameTime_IsTheSame()
    {
        var hashes = new ulong[4];
        Thread[] threads = [.. Enumerable.Range(0, hashes.Length).Select(
            index => new Thread(() => hashes[index] = Simulation.Run(7, StormAsync).Hash))];
        foreach (Thread thread in threads)
        {
            thread.Start();
        }

        foreach (Thread thread in threads)
        {
            thread.Join();
        }

        Assert.Single(hashes.Distinct());
        Assert.NotEqual(0ul, hashes[0]);
    }

    /// <summary>
    /// Echoes on many streams while the network and the peers do their worst. Whatever comes back is what was sent, and
    /// nothing is left at the end.
    /// </summary>
    private static async Task StormAsync(SimulatedWorld world)
    {
        var network = new TestNetwork(world);
        world.SetLinks(network.Client, network.Server, link =>
        {
            link.Latency = TimeSpan.FromMilliseconds(world.Random.Next(1, 40));
            link.Jitter = TimeSpan.FromMilliseconds(world.Random.Next(10));
            link.Loss = world.Random.NextDouble() * 0.05;
            link.BitsPerSecond = world.Random.Next(5, 500) * 1_000_000L;
        });
        ConnectedPair pair = await network.ConnectAsync(TimeSpan.FromSeconds(10));
        Task serving = ServeAsync(pair.Server);
        Task harm = HarmAsync();
        int[] echoed = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => EchoAsync()));
        await harm;
        world.Trace.Add($"echoed {string.Join(' ', echoed)}");
        await pair.DisposeAsync();
        await serving;
        Assert.Equal(0, network.Client.OpenConnections + network.Server.OpenConnections);

        async Task<int> EchoAsync()
        {
            byte[] content = new byte[world.Random.Next(1, 200_000)];
            world.Random.NextBytes(content);
            int received = 0;
            try
            {
                ITransportStream stream = await pair.Client.OpenStreamAsync(bidirectional: true, CancellationToken.None);
                Task writing = WriteAsync(stream, content);
                byte[] buffer = new byte[world.Random.Next(1, 30_000)];
                while (await stream.ReadAsync(buffer) is int read and > 0)
                {
                    Assert.Equal(content.AsSpan(received, read), buffer.AsSpan(0, read));
                    received += read;
                }

                Assert.Equal(content.Length, received);
                await writing;
                await stream.DisposeAsync();
            }
            catch (KwikException exception)
            {
                world.Trace.Add($"echo ended with {exception.Side} {exception.Code} after {received} bytes");
            }

            return received;
        }

        async Task WriteAsync(ITransportStream stream, byte[] content)
        {
            for (int offset = 0; offset < content.Length;)
            {
                int length = Math.Min(content.Length - offset, world.Random.Next(1, 50_000));
                await stream.WriteAsync(content.AsMemory(offset, length), completeWrites: offset + length == content.Length);
                offset += length;
            }
        }

        async Task ServeAsync(ITransportConnection connection)
        {
            var answers = new List<Task>();
            try
            {
                while (true)
                {
                    answers.Add(AnswerAsync(await connection.AcceptStreamAsync(CancellationToken.None)));
                }
            }
            catch (KwikException exception)
            {
                world.Trace.Add($"server ended with {exception.Side} {exception.Code}");
            }

            await Task.WhenAll(answers);
        }

        async Task AnswerAsync(ITransportStream stream)
        {
            try
            {
                byte[] buffer = new byte[world.Random.Next(1, 30_000)];
                int patience = world.Random.Next(200);
                while (await stream.ReadAsync(buffer) is int read and > 0)
                {
                    await stream.WriteAsync(buffer.AsMemory(0, read));
                    if (patience-- == 0)
                    {
                        stream.AbortWrites(KwikError.Cancelled);
                        stream.AbortReads(KwikError.Cancelled);
                    }
                }

                stream.CompleteWrites();
                await stream.DisposeAsync();
            }
            catch (KwikException exception)
            {
                world.Trace.Add($"answer {stream.Id} ended with {exception.Side} {exception.Code}");
            }
        }

        async Task HarmAsync()
        {
            for (int round = 0; round < 4; round++)
            {
                await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(1, 200)));
                switch (world.Random.Next(8))
                {
                    case 0:
                        network.Server.Freeze();
                        await world.Delay(TimeSpan.FromSeconds(world.Random.Next(1, 12)));
                        network.Server.Thaw();
                        break;
                    case 1:
                        network.Up.BlackHole = true;
                        await world.Delay(TimeSpan.FromSeconds(world.Random.Next(1, 12)));
                        network.Up.BlackHole = false;
                        break;
                    case 2:
                        network.Down.BlackHole = true;
                        await world.Delay(TimeSpan.FromSeconds(world.Random.Next(1, 12)));
                        network.Down.BlackHole = false;
                        break;
                    case 3:
                        network.Down.BitsPerSecond = world.Random.Next(1, 100) * 100_000L;
                        break;
                    case 4 when world.Random.Next(4) == 0:
                        network.Server.Kill();
                        return;
                    default:
                        break;
                }
            }
        }
    }
}
