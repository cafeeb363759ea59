using System.Diagnostics;
using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>Links that lose nothing of their own: long ones, narrow ones.</summary>
public sealed class LinkTests
{
    private const long Code = 77;

    [Fact]
    public async Task Bulk_AtHundredMegabitWithAShortQueueAndTwentyMillisecondsRoundTrip_ArrivesWhole()
    {
        const int Length = 10_000_000;
        await using RelayedPair pair = await RelayedPair.StartAsync(link: new()
        {
            BitsPerSecond = 100_000_000,
            QueueBytes = 125_000,
            Delay = TimeSpan.FromMilliseconds(10),
        });

        foreach ((string way, QuicConnection from, QuicConnection to) in
            new[] { ("up", pair.Client, pair.Server), ("down", pair.Server, pair.Client) })
        {
            (QuicStream local, QuicStream peer) = await from.OpenPairAsync(to, QuicStreamType.Unidirectional);
            await using (local)
            await using (peer)
            {
                long start = Stopwatch.GetTimestamp();
                await Task.WhenAll(local.WriteContentAsync(seed: 1, Length), peer.AssertContentAsync(seed: 1, Length)).Bounded();
                Print($"{way}: {Length * 8e-6 / Stopwatch.GetElapsedTime(start).TotalSeconds:F1} Mbit/s");
            }
        }

        await pair.ExchangeAsync(Length / 2);
        Print($"{pair.Relay.ToServerCounters}");
    }

    [Fact]
    public async Task Connection_WithARoundTripOfOneAndAHalfSeconds_ShakesHandsEchoesCarriesBulkAndCloses()
    {
        await using RelayedPair pair = await RelayedPair.StartAsync(
            server: o => o.HandshakeTimeout = Patience.Limit,
            client: o => o.HandshakeTimeout = Patience.Limit,
            new() { Delay = TimeSpan.FromMilliseconds(750) });

        await pair.Client.AssertAliveAsync(pair.Server);
        await Task.WhenAll(pair.ExchangeAsync(300_000), ManyStreamsAsync());

        Task atServer = pair.Server.AcceptInboundStreamAsync().AsTask();
        await pair.Client.CloseAsync(Code).Bounded();
        await Expect.ConnectionAborted(Code, atServer);

        async Task ManyStreamsAsync()
        {
            await Task.WhenAll(Enumerable.Range(0, 20).Select(async _ =>
            {
                await using QuicStream writer = await pair.Server.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();
                await writer.WriteContentAsync(seed: writer.Id, length: 2_000);
                await using QuicStream reader = await pair.Client.AcceptInboundStreamAsync().Bounded();
                await reader.AssertContentAsync(seed: reader.Id, length: 2_000);
            }));
        }
    }

    private static void Print(string line) => TestContext.Current.TestOutputHelper?.WriteLine(line);
}
