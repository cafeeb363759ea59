using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>Links that lose, reorder, repeat and damage datagrams.</summary>
public sealed class LossTests
{
    private const long Code = 99;

    private static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(2);

    public static TheoryData<string, int, LinkOptions> BadLinks => new()
    {
        { "1 % loss", 3_000_000, new() { Delay = Delay, Loss = 0.01 } },
        { "5 % loss", 1_500_000, new() { Delay = Delay, Loss = 0.05 } },
        { "30 % loss", 200_000, new() { Delay = Delay, Loss = 0.3 } },
        { "loss in bursts", 1_500_000, new() { Delay = Delay, Loss = 0.05, LossBurst = 4 } },
        { "reordering", 1_500_000, new() { Delay = Delay, Reordering = 0.2, ReorderingDelay = TimeSpan.FromMilliseconds(5) } },
        { "heavy reordering", 1_500_000, new() { Delay = Delay, Reordering = 0.5, ReorderingDelay = TimeSpan.FromMilliseconds(5) } },
        { "duplication", 1_500_000, new() { Duplication = 0.3 } },
        { "heavy duplication", 1_500_000, new() { Delay = Delay, Duplication = 0.5 } },
        {
            "heavy reordering and duplication",
            1_500_000,
            new() { Delay = Delay, Reordering = 0.5, ReorderingDelay = TimeSpan.FromMilliseconds(5), Duplication = 0.5 }
        },
        { "damage", 1_500_000, new() { Delay = Delay, Corruption = 0.02 } },
        { "narrow with a short queue", 1_500_000, new() { BitsPerSecond = 40_000_000, QueueBytes = 10_000, Delay = TimeSpan.FromMilliseconds(5) } },
        {
            "all of it",
            1_500_000,
            new()
            {
                Delay = TimeSpan.FromMilliseconds(3),
                Jitter = TimeSpan.FromMilliseconds(3),
                Loss = 0.02,
                LossBurst = 2,
                Reordering = 0.05,
                Duplication = 0.05,
                Corruption = 0.01,
            }
        },
    };

    [Theory]
    [MemberData(nameof(BadLinks), DisableDiscoveryEnumeration = true)]
    public async Task Bulk_OverABadLink_ArrivesWholeBothWays(string link, int length, LinkOptions options)
    {
        await using RelayedPair pair = await RelayedPair.StartAsync();
        pair.Shape(options);

        await pair.ExchangeAsync(length);

        foreach (LinkCounters counters in new[] { pair.Relay.ToServerCounters, pair.Relay.ToClientCounters })
        {
            long faults = counters.DroppedByLoss + counters.DroppedByQueue + counters.Duplicated + counters.Reordered + counters.Corrupted;
            Assert.True(faults > 0, $"The link of '{link}' was perfect: {counters}");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Bulk_HandshakeAndDataDamaged_ArrivesWholeBothWays(ulong seed)
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(
            server: o => o.HandshakeTimeout = Patience.Limit,
            client: o => o.HandshakeTimeout = Patience.Limit,
            new() { Delay = Delay, LongHeaderCorruption = 0.2, Corruption = 0.05 },
            seed);

        await pair.ExchangeAsync(1_000_000);

        Assert.True(pair.Relay.ToServerCounters.Corrupted > 0 && pair.Relay.ToClientCounters.Corrupted > 0);
    }

    [Fact]
    public async Task Streams_ManySmallOnesOverALossyLink_AllArriveWhole()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync();
        pair.Shape(new() { Loss = 0.05, Reordering = 0.05 });

        await Task.WhenAll(Enumerable.Range(0, 20).Select(async lane =>
        {
            for (int i = 0; i < 20; i++)
            {
                await using QuicStream writer = await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();
                await writer.WriteContentAsync(seed: writer.Id, length: 2_000);
                await using QuicStream reader = await pair.Server.AcceptInboundStreamAsync().Bounded();
                await reader.AssertContentAsync(seed: reader.Id, length: 2_000);
            }
        })).Bounded();
    }

    [Fact]
    public async Task Abort_OverALossyLink_CodesArriveOnEveryStream()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync();
        pair.Shape(new() { Loss = 0.1 });

        for (int i = 0; i < 50; i++)
        {
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            await using (local)
            await using (peer)
            {
                local.Abort(QuicAbortDirection.Both, Code + i);

                await Expect.StreamAborted(Code + i, peer.ReadToEndAsync());
                await Expect.StreamAborted(Code + i, peer.WriteForeverAsync());
            }
        }
    }

    [Theory]
    [InlineData("the writer resets")]
    [InlineData("the reader stops")]
    [InlineData("the reader disposes")]
    public async Task Abort_BytesUnderWayOverALossyLink_LeavesTheConnectionAndItsCreditIntact(string how)
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(server: o => o.InitialReceiveWindowSizes.Connection = 512 * 1024);
        pair.Shape(new() { Delay = TimeSpan.FromMilliseconds(1), Loss = 0.02, Reordering = 0.05 });

        for (int i = 0; i < 60; i++)
        {
            (QuicStream local, QuicStream peer) = await pair.Client.OpenPairAsync(pair.Server);
            await using (local)
            await using (peer)
            {
                Task write = local.WriteForeverAsync();
                await peer.ReadExactlyAsync(new byte[1 + (i * 3_000)]).Bounded();
                switch (how)
                {
                    case "the writer resets":
                        local.Abort(QuicAbortDirection.Write, Code);
                        await Expect.OperationAborted(write);
                        await Expect.StreamAborted(Code, peer.ReadToEndAsync());
                        break;
                    case "the reader stops":
                        peer.Abort(QuicAbortDirection.Read, Code);
                        await Expect.StreamAborted(Code, write);
                        break;
                    default:
                        await peer.DisposeAsync().Bounded();
                        await Expect.StreamAborted(Loopback.ServerStreamCode, write);
                        break;
                }
            }
        }

        pair.Shape(new());
        await pair.Client.AssertAliveAsync(pair.Server);
    }
}
