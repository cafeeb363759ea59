using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>Streams, paths and sessions that are closed while bytes are on their way, over real QUIC: all of them arrive.</summary>
public sealed class GracefulCloseTests
{
    private static readonly byte[] Content = PushOrders.RandomBytes(6 * 1024 * 1024);

    [Fact]
    public async Task SecondaryStreams_CompletedAndTheirSessionsClosed_ArriveWhole()
    {
        var states = new List<SecondaryStreamState>();
        await using var servers = await StartAsync(async session =>
        {
            int start = (session.PathId - 1) * Content.Length / 2;
            await session.ReceiveRawDataAsync();
            await using SecondaryStream stream = await session.OpenStreamSync();
            stream.SetKwikStreamMapping(1, start);
            await stream.WriteAsync(Content.AsMemory(start, Content.Length / 2));
            await stream.CompleteAsync();
            await stream.WritesClosed;
            await stream.DisposeAsync();
            lock (states)
            {
                states.Add(stream.State);
            }

            await session.CloseAsync(KwikError.None, "All is sent.");
        });

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            Assert.Equal(Content, await stream.ReadToEndAsync().WithinAsync());
            for (int removed = 0; removed < 2;)
            {
                removed += await session.Events.ReadAsync().WithinAsync() is PathStateChanged { Path.State: PathState.Removed } ? 1 : 0;
            }

            Assert.Empty(session.GetActiveMappings());
        }

        await servers.DisposeAsync();
        Assert.Equal([SecondaryStreamState.Closed, SecondaryStreamState.Closed], states);
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    [Fact]
    public async Task Path_RemovedWhileItsSecondaryPushes_DeliversWhatIsOnItsWay()
    {
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var servers = await LoopbackServers.StartAsync(
            null,
            [MemoryContent.Random(1, 1)],
            async (session, secondaries) =>
            {
                int path = await session.AddPathAsync(secondaries[0]);
                await using KwikStream stream = await session.OpenStreamSync();
                await PushOrders.OrderAsync(session, stream, path, 0, Content.Length);
                stream.CompleteWrites(Content.Length);
                await begun.Task.WithinAsync();
                await session.RemovePathAsync(path).WithinAsync();
                await session.Closed;
            },
            session => PushOrders.ServeAsync(session, Content));

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            var received = new byte[Content.Length];
            await stream.FillAsync(received.AsMemory(0, 1000)).WithinAsync();
            begun.SetResult();
            await stream.FillAsync(received.AsMemory(1000)).WithinAsync();
            Assert.Equal(Content, received);
            Assert.Equal(0, await stream.ReadAsync(new byte[1]).WithinAsync());
            await session.Events.UntilAsync(1, PathState.Removed).WithinAsync();
        }

        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    [Fact]
    public async Task PrimarysStream_ClosedBehindTheLastWrite_DeliversEverything()
    {
        await using var servers = await LoopbackServers.StartAsync(null, [], async (session, _) =>
        {
            KwikStream stream = await session.OpenStreamSync();
            await stream.WriteAsync(Content.AsMemory(0, Content.Length / 2));
            await stream.WriteAtAsync(Content.Length / 2, Content.AsMemory(Content.Length / 2));
            stream.CompleteWrites(Content.Length);
            await stream.DisposeAsync();
            await session.Closed;
        });

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            Assert.Equal(Content, await stream.ReadToEndAsync().WithinAsync());
        }

        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    /// <summary>A reader that goes away in the middle stops everybody who writes, and nothing is left of it.</summary>
    [Fact]
    public async Task ReaderThatClosesItsStream_StopsAllWriters()
    {
        var outcomes = new List<KwikError>();
        var stopped = new CountdownEvent(2);
        await using var servers = await StartAsync(async session =>
        {
            await session.ReceiveRawDataAsync();
            await using SecondaryStream stream = await session.OpenStreamSync();
            int start = (session.PathId - 1) * Content.Length / 2;
            KwikException e = await Assert.ThrowsAnyAsync<KwikException>(async () =>
            {
                while (true)
                {
                    stream.SetKwikStreamMapping(1, start);
                    await stream.WriteAsync(Content.AsMemory(start, PushOrders.BlockSize));
                }
            });
            lock (outcomes)
            {
                outcomes.Add(e.Code);
            }

            stopped.Signal();
            await session.Closed;
        });

        await using ClientSession session = await servers.ConnectAsync();
        KwikStream stream = await session.AcceptStream().WithinAsync();
        await stream.FillAsync(new byte[1000]).WithinAsync();
        await stream.DisposeAsync().WithinAsync();

        Assert.True(await Task.Run(() => stopped.Wait(TestTimeouts.Operation)));
        Assert.Equal([KwikError.Cancelled, KwikError.Cancelled], outcomes);
        Assert.All(session.GetAllPaths(), path => Assert.Equal((PathState.Active, 0), (path.State, path.Violations)));
        stopped.Dispose();
    }

    /// <summary>Two secondaries that may write half of the stream each, and hear of it by raw data.</summary>
    private static Task<LoopbackServers> StartAsync(Func<SecondarySession, Task> serve) => LoopbackServers.StartAsync(
        null,
        [MemoryContent.Random(1, 1), MemoryContent.Random(1, 1)],
        async (session, secondaries) =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            for (int i = 0; i < 2; i++)
            {
                int path = await session.AddPathAsync(secondaries[i]);
                session.MapRange(stream, path, i * Content.Length / 2, Content.Length / 2);
            }

            stream.CompleteWrites(Content.Length);
            // Only now: a client that has read enough closes the stream, which can be completed no more then.
            for (int path = 1; path <= 2; path++)
            {
                await session.SendRawDataAsync(path, new byte[1]);
            }

            await session.Closed;
        },
        serve);
}
