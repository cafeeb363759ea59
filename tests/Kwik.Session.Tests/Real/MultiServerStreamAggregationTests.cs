using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>A primary and two secondaries write into one stream at the same time, over real QUIC.</summary>
public sealed class MultiServerStreamAggregationTests
{
    private static readonly byte[] Content = PushOrders.RandomBytes(12 * 1024 * 1024);

    /// <summary>Each writes every third block, so that none can go far without the others.</summary>
    [Fact]
    public async Task PrimaryAndTwoSecondaries_EachEveryThirdBlock_ArriveInOrderAsOneStream()
    {
        await using var servers = await StartAsync(async (session, stream, paths) =>
        {
            await PushOrders.OrderAsync(session, stream, paths[0], 0, Content.Length, first: 1, stride: 3);
            await PushOrders.OrderAsync(session, stream, paths[1], 0, Content.Length, first: 2, stride: 3);
            foreach ((long offset, ReadOnlyMemory<byte> block) in PushOrders.Blocks(Content, 0, Content.Length, 0, 3))
            {
                await stream.WriteAtAsync(offset, block);
            }
        });

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            byte[] received = await stream.ReadToEndAsync().WithinAsync();

            Assert.Equal(Content, received);
            long third = Content.Length / 3;
            Assert.All(session.GetAllPaths().Skip(1), path => Assert.InRange(path.BytesReceived, third - PushOrders.BlockSize, third + PushOrders.BlockSize));
            Assert.All(session.GetAllPaths(), path => Assert.Equal((PathState.Active, 0), (path.State, path.Violations)));
        }

        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    /// <summary>All three send everything: every byte comes three times and is delivered once.</summary>
    [Fact]
    public async Task PrimaryAndTwoSecondaries_EachTheWholeStream_AreDeliveredOnce()
    {
        await using var servers = await StartAsync(async (session, stream, paths) =>
        {
            await PushOrders.OrderAsync(session, stream, paths[0], 0, Content.Length);
            await PushOrders.OrderAsync(session, stream, paths[1], 0, Content.Length);
            await stream.WriteAsync(Content);
        });

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            Assert.Equal(Content, await stream.ReadToEndAsync().WithinAsync());
            Assert.All(session.GetAllPaths(), path => Assert.Equal(0, path.Violations));
        }

        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    private static Task<LoopbackServers> StartAsync(Func<PrimarySession, KwikStream, List<int>, Task> write) => LoopbackServers.StartAsync(
        null,
        [MemoryContent.Random(1, 1), MemoryContent.Random(1, 1)],
        async (session, secondaries) =>
        {
            var paths = new List<int>();
            foreach (SecondaryServer secondary in secondaries)
            {
                paths.Add(await session.AddPathAsync(secondary));
            }

            await using KwikStream stream = await session.OpenStreamSync();
            await write(session, stream, paths);
            stream.CompleteWrites(Content.Length);
            await session.Closed;
        },
        session => PushOrders.ServeAsync(session, Content));
}
