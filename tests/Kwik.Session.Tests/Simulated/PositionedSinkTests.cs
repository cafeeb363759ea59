using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>A client that writes every piece where it belongs, in whatever order they come.</summary>
public class PositionedSinkTests
{
    private const int MiB = 1024 * 1024;

    [Theory]
    [SimulationSeeds]
    public void OfferedContent_FromThreeServers_IsWhole(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 6 * MiB);
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(deployment, content, content.Replica(), content.Replica());

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream();
            var sink = new Sink(6 * MiB);
            Assert.Equal(6 * MiB, await sink.CopyAsync(stream));
            Assert.True(content.Is(sink.Bytes));
            Assert.Equal(6 * MiB, sink.Written);
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    [Fact]
    public void SlowServer_WithTheFirstRange_DoesNotHoldUpTheOthers() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 8 * MiB);
        await using var deployment = new SimulatedDeployment(world);
        // The primary is asked first, and needs 40 s for what it is asked for.
        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BitsPerSecond = 100_000);
        await StartAsync(deployment, content, content.Replica());

        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Aggregation = new() { MaxPendingBytes = 2 * MiB },
        });
        await using KwikStream stream = await session.AcceptStream();
        var sink = new Sink(8 * MiB);
        Task<long> copying = sink.CopyAsync(stream);
        await world.Delay(TimeSpan.FromSeconds(5));

        // A reader in order would be at the start, and nothing beyond its window would have been asked for.
        Assert.InRange(sink.Written, 6 * MiB, 8 * MiB);
        await copying;
        Assert.True(content.Is(sink.Bytes));
    });

    [Theory]
    [SimulationSeeds]
    public void PushedBytes_InAnyOrderAndFarAhead_AreWhole(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, MiB);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            int[] order = [.. Enumerable.Range(0, 16)];
            new Random(seed).Shuffle(order);
            foreach (int i in order)
            {
                await stream.WriteAtAsync(i * 65536, content.Slice(i * 65536, 65536));
            }

            stream.CompleteWrites();
            await session.Closed;
        });

        // Less than what lies before the last piece.
        await using ClientSession session = await deployment.ConnectAsync(options => options with
        {
            Aggregation = new() { MaxPendingBytes = 64 * 1024 },
        });
        await using KwikStream stream = await session.AcceptStream();
        var sink = new Sink(MiB);
        Assert.Equal(MiB, await sink.CopyAsync(stream));
        Assert.True(content.Is(sink.Bytes));
    });

    [Fact]
    public void CopyThatWasCancelled_ContinuedWithTheSameSink_LosesNothing() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 3 * MiB);
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(deployment, content, content.Replica());

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        var sink = new Sink(3 * MiB);
        for (int i = 1; i <= 5; i++)
        {
            using var cancellation = new CancellationTokenSource();
            sink.AfterWrite = () => cancellation.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => sink.CopyAsync(stream, cancellation.Token));
        }

        sink.AfterWrite = null;
        await Assert.ThrowsAsync<InvalidOperationException>(() => stream.ReadAsync(new byte[1]).AsTask());
        Assert.Equal(3 * MiB, await sink.CopyAsync(stream));
        Assert.True(content.Is(sink.Bytes));
        Assert.Equal(3 * MiB, sink.Written);
    });

    [Fact]
    public void SinkThatFails_AbortsTheStreamAndSaysWhy() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 3 * MiB);
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(deployment, content, content.Replica());

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream();
            var sink = new Sink(3 * MiB) { AfterWrite = () => throw new IOException("The disk is full.") };
            Assert.Equal("The disk is full.", (await Assert.ThrowsAsync<IOException>(() => sink.CopyAsync(stream))).Message);
            KwikException later = await Assert.ThrowsAnyAsync<KwikException>(() => sink.CopyAsync(stream));
            Assert.Equal((KwikError.Cancelled, KwikErrorSide.Local), (later.Code, later.Side));
            Assert.Contains("The disk is full.", later.Message, StringComparison.Ordinal);
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });

    [Fact]
    public void StreamThatWasReadFrom_IsNotCopied() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 1000);
        await using var deployment = new SimulatedDeployment(world);
        await StartAsync(deployment, content);

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        await stream.FillAsync(new byte[10]);
        await Assert.ThrowsAsync<InvalidOperationException>(() => new Sink(1000).CopyAsync(stream));
        await stream.FillAsync(new byte[990]);
        Assert.Equal(0, await stream.ReadAsync(new byte[1]));
    });

    private static async Task StartAsync(SimulatedDeployment deployment, MemoryContent content, params MemoryContent[] replicas)
    {
        var secondaries = new List<SecondaryServer>();
        for (int i = 0; i < replicas.Length; i++)
        {
            secondaries.Add(await deployment.StartSecondaryAsync($"secondary {i + 1}", replicas[i]));
        }

        await deployment.StartPrimaryAsync(content, async session =>
        {
            foreach (SecondaryServer secondary in secondaries)
            {
                await session.AddPathAsync(secondary);
            }

            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });
    }

    /// <summary>A file in memory: a real one's completions leave the simulation.</summary>
    private sealed class Sink(int length)
    {
        public byte[] Bytes { get; } = new byte[length];

        public long Written { get; private set; }

        public Action? AfterWrite { get; set; }

        public Task<long> CopyAsync(KwikStream stream, CancellationToken cancellationToken = default) =>
            stream.CopyToAsync(Write, cancellationToken);

        private ValueTask Write(ReadOnlyMemory<byte> piece, long offset)
        {
            piece.CopyTo(Bytes.AsMemory((int)offset));
            Written += piece.Length;
            AfterWrite?.Invoke();
            return ValueTask.CompletedTask;
        }
    }
}
