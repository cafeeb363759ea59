using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>What stays in memory of streams and connections that are over.</summary>
public sealed class MemoryTests
{
    private const long MiB = 1024 * 1024;

    [Theory]
    [InlineData(QuicStreamType.Unidirectional)]
    [InlineData(QuicStreamType.Bidirectional)]
    public async Task TenThousandStreams_InTurnOnOneConnection_LeaveNoMemoryBehind(QuicStreamType type)
    {
        await using Loopback pair = await Loopback.StartAsync();

        await AssertFlatAsync(
            warmUp: 3_000,
            rounds: 10_000,
            async round =>
            {
                await using QuicStream writer = await pair.Client.OpenOutboundStreamAsync(type).Bounded();
                await writer.WriteContentAsync(seed: round, length: 1_000);
                await using QuicStream reader = await pair.Server.AcceptInboundStreamAsync().Bounded();
                await reader.AssertContentAsync(seed: round, length: 1_000);
                if (type == QuicStreamType.Bidirectional)
                {
                    reader.CompleteWrites();
                    await writer.AssertContentAsync(seed: 0, length: 0);
                }
            },
            // Less than one kilobyte a stream; what is kept of a stream by mistake is rarely as small.
            bound: 8 * MiB);
    }

    [Fact]
    public async Task ThreeHundredConnections_InTurn_LeaveNoMemoryBehind()
    {
        await using QuicListener listener = await Loopback.ListenAsync();

        await AssertFlatAsync(
            warmUp: 100,
            rounds: 300,
            async _ =>
            {
                (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener);
                await using (client)
                await using (server)
                {
                    await client.AssertAliveAsync(server);
                }
            },
            // 40 KiB a connection.
            bound: 12 * MiB);
    }

    private static async Task AssertFlatAsync(int warmUp, int rounds, Func<int, Task> round, long bound)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "The size of the process is read from /proc.");
        for (int i = 0; i < warmUp; i++)
        {
            await round(i);
        }

        long before = ProcessResources.AnonymousMemory();
        for (int i = 0; i < rounds; i++)
        {
            await round(warmUp + i);
        }

        long grown = ProcessResources.AnonymousMemory() - before;

        TestContext.Current.TestOutputHelper?.WriteLine($"grown by {grown / 1024} KiB over {rounds} rounds");
        Assert.True(grown < bound, $"The process grew by {grown / 1024} KiB over {rounds} rounds, {grown / rounds} bytes each.");
    }
}
