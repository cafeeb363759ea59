using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>Streams that only their opener writes, in both directions.</summary>
public sealed class OneWayTests
{
    [Fact]
    public async Task Stream_FromClientToServer_DeliversItsBytesAndItsEnd()
    {
        await using Loopback pair = await Loopback.StartAsync();

        await AssertDeliveryAsync(pair.Client, pair.Server);
    }

    [Fact]
    public async Task Stream_FromServerToClient_DeliversItsBytesAndItsEnd()
    {
        await using Loopback pair = await Loopback.StartAsync();

        await AssertDeliveryAsync(pair.Server, pair.Client);
    }

    [Fact]
    public async Task Streams_BothWaysAtOnce_KeepTheirBytesApart()
    {
        await using Loopback pair = await Loopback.StartAsync();

        await Task.WhenAll(
            AssertDeliveryAsync(pair.Client, pair.Server),
            AssertDeliveryAsync(pair.Server, pair.Client)).Bounded();
    }

    [Fact]
    public async Task Stream_Accepted_OffersTheirHalfOnly()
    {
        await using Loopback pair = await Loopback.StartAsync();
        (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
        await using (writer)
        await using (reader)
        {
            Assert.Equal((false, true), (writer.CanRead, writer.CanWrite));
            Assert.Equal((true, false), (reader.CanRead, reader.CanWrite));
            await Assert.ThrowsAsync<InvalidOperationException>(() => writer.ReadAsync(new byte[1]).Bounded());
            await Assert.ThrowsAsync<InvalidOperationException>(() => reader.WriteAsync(new byte[1]).Bounded());
            // The half that does not exist has ended from the start.
            await writer.ReadsClosed.Bounded();
            await reader.WritesClosed.Bounded();
        }
    }

    [Fact]
    public async Task Streams_HundredsInTurn_AllArriveInTheOrderOfTheirIds()
    {
        await using Loopback pair = await Loopback.StartAsync();

        for (int i = 0; i < 300; i++)
        {
            (QuicStream writer, QuicStream reader) = await pair.Client.OpenPairAsync(pair.Server, QuicStreamType.Unidirectional);
            await using (writer)
            await using (reader)
            {
                Assert.Equal((4 * i) + 2, reader.Id);
                await writer.WriteContentAsync(seed: i, length: 100);
                await reader.AssertContentAsync(seed: i, length: 100);
            }
        }
    }

    private static async Task AssertDeliveryAsync(QuicConnection opener, QuicConnection acceptor)
    {
        const int Length = 300_000;
        await using QuicStream writer = await opener.OpenOutboundStreamAsync(QuicStreamType.Unidirectional).Bounded();
        Task write = writer.WriteContentAsync(seed: 7, Length);
        await using QuicStream reader = await acceptor.AcceptInboundStreamAsync().Bounded();

        await reader.AssertContentAsync(seed: 7, Length);
        await write;
        await writer.WritesClosed.Bounded();
        await reader.ReadsClosed.Bounded();
    }
}
