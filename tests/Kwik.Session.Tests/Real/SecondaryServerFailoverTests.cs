using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>A secondary that is lost while it delivers, over real QUIC: the stream goes on, and no byte is missing.</summary>
public sealed class SecondaryServerFailoverTests
{
    private static readonly byte[] Content = PushOrders.RandomBytes(12 * 1024 * 1024);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Secondary_LostWhilePushing_IsReplacedByThePrimaryOrAnother(bool byAnother)
    {
        int sessions = 0;
        int third = Content.Length / 3;
        var lost = new List<RangeLost>();
        await using var servers = await LoopbackServers.StartAsync(
            null,
            [MemoryContent.Random(1, 1), MemoryContent.Random(1, 1)],
            async (session, secondaries) =>
            {
                int first = await session.AddPathAsync(secondaries[0]);
                int second = await session.AddPathAsync(secondaries[1]);
                await using KwikStream stream = await session.OpenStreamSync();
                await PushOrders.OrderAsync(session, stream, first, third, 2 * third);
                await PushOrders.OrderAsync(session, stream, second, 2 * third, Content.Length);
                await stream.WriteAsync(Content.AsMemory(0, third));
                stream.CompleteWrites(Content.Length);
                RangeLost range = await PushOrders.NextLostAsync(session).WithinAsync();
                lost.Add(range);
                if (byAnother)
                {
                    await PushOrders.OrderAsync(session, stream, second, range.Offset, range.Offset + range.Length);
                }
                else
                {
                    await stream.WriteAtAsync(range.Offset, Content.AsMemory((int)range.Offset, (int)range.Length));
                }

                await session.Closed;
            },
            session =>
            {
                // The first that the client reaches at path 1 goes away in the middle; it comes back and has nothing to do.
                bool isTheOne = session.PathId == 1 && Interlocked.Increment(ref sessions) == 1;
                return PushOrders.ServeAsync(session, Content, isTheOne ? third / 2 : long.MaxValue);
            });

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            Assert.Equal(Content, await stream.ReadToEndAsync().WithinAsync());
        }

        RangeLost only = Assert.Single(lost);
        Assert.Equal((1, 2L * third), (only.PathId, only.Offset + only.Length));
        Assert.InRange(only.Offset, third, 2 * third);
        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    [Fact]
    public async Task Secondary_LostWhileItIsAsked_IsReplacedByTheOthers()
    {
        var content = MemoryContent.Random(1, 48 * 1024 * 1024);
        MemoryContent replica = content.Replica();
        await using var servers = await LoopbackServers.StartAsync(content, [replica, content.Replica()]);

        await using (ClientSession session = await servers.ConnectAsync(options => options with
        {
            Aggregation = new() { MaxPendingBytes = 4 * 1024 * 1024 },
        }))
        {
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            var received = new byte[content.Offer.Length];
            await stream.FillAsync(received.AsMemory(0, received.Length / 4)).WithinAsync();
            Task restarting = servers.RestartSecondaryAsync(0, replica);
            await stream.FillAsync(received.AsMemory(received.Length / 4)).WithinAsync();
            await restarting.WithinAsync();

            Assert.True(content.Is(received));
            Assert.Equal(0, await stream.ReadAsync(new byte[1]).WithinAsync());
            Assert.NotEqual(0, session.GetAllPaths()[1].BytesReceived);
        }

        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }
}
