using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>What a primary, a client and its secondaries do about paths, over real QUIC on loopback.</summary>
public sealed class PathControlTests
{
    [Fact]
    public async Task Path_RemovedInTheMiddleOfATransfer_LosesNoByte()
    {
        var content = MemoryContent.Random(1, 24 * 1024 * 1024);
        PathState after = PathState.Connecting;
        var sent = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var removed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var servers = await LoopbackServers.StartAsync(
            content, [content.Replica(), content.Replica()], async (session, secondaries) =>
            {
                int first = await session.AddPathAsync(secondaries[0]);
                await session.AddPathAsync(secondaries[1]);
                await using KwikStream stream = await session.OpenStreamSync();
                await stream.OfferContentAsync(content.Offer);
                await sent.Task.WithinAsync();
                await session.RemovePathAsync(first).WithinAsync();
                after = session.GetAllPaths()[first].State;
                removed.SetResult();
                await session.Closed;
            });

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            var received = new MemoryStream();
            var piece = new byte[32 * 1024];
            // Each path has its part of the window, so that the reader gets no further than its first bytes without them.
            while (session.GetAllPaths()[1].BytesReceived == 0)
            {
                int read = await stream.ReadAsync(piece).AsTask().WithinAsync();
                Assert.True(read > 0, "Path 1 sent nothing.");
                received.Write(piece, 0, read);
            }

            // Nothing is taken meanwhile, and not all of it fits into the window.
            sent.SetResult();
            await removed.Task.WithinAsync();
            Assert.InRange(session.GetAllPaths().Sum(path => path.BytesReceived), 1, content.Offer.Length - 1);
            received.Write(await stream.ReadToEndAsync().WithinAsync());
            Assert.True(content.Is(received.ToArray()));
            await session.Events.UntilAsync(1, PathState.Removed).WithinAsync();
            Assert.Equal([0, 2], session.GetActivePaths().Select(path => path.Id));
        }

        await servers.DisposeAsync();
        Assert.Equal(PathState.Removed, after);
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    [Fact]
    public async Task Secondary_ThatStopsAndComesBack_ServesAgain()
    {
        var content = MemoryContent.Random(1, 4 * 1024 * 1024);
        MemoryContent replica = content.Replica();
        var again = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        // The primary has nothing itself: whatever arrives came from the secondary.
        await using var servers = await LoopbackServers.StartAsync(null, [replica], async (session, secondaries) =>
        {
            await session.AddPathAsync(secondaries[0]);
            await again.Task.WithinAsync();
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        await using (ClientSession session = await servers.ConnectAsync())
        {
            await session.Events.UntilAsync(1, PathState.Active).WithinAsync();
            await servers.RestartSecondaryAsync(0, replica);
            await session.Events.UntilAsync(1, PathState.Recovering).WithinAsync();
            await session.Events.UntilAsync(1, PathState.Active).WithinAsync();
            again.SetResult();
            await using KwikStream stream = await session.AcceptStream().WithinAsync();
            Assert.True(content.Is(await stream.ReadToEndAsync().WithinAsync()));
        }

        await servers.DisposeAsync();
        Assert.Equal(0, servers.Pool.Outstanding);
    }

    [Fact]
    public async Task RawData_ThereAndBack_IsCarried()
    {
        var sent = new byte[60 * 1024];
        new Random(1).NextBytes(sent);
        var returned = new TaskCompletionSource<RawDataReceived>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var servers = await LoopbackServers.StartAsync(
            null,
            [MemoryContent.Random(1, 1)],
            async (session, secondaries) =>
            {
                int path = await session.AddPathAsync(secondaries[0]);
                Assert.Equal(1, await session.SendRawDataAsync(path, sent));
                returned.SetResult(await session.ReceiveRawDataAsync());
                await session.Closed;
            },
            async session =>
            {
                RawDataReceived received = await session.ReceiveRawDataAsync();
                await session.SendRawDataAsync(received.Data);
                await session.Closed;
            });

        await using ClientSession client = await servers.ConnectAsync();
        RawDataReceived back = await returned.Task.WithinAsync();

        Assert.Equal(1, back.PathId);
        Assert.Equal(sent, back.Data.ToArray());
    }

    [Fact]
    public async Task Primary_ThatClosesWithAReason_IsUnderstood()
    {
        await using var servers = await LoopbackServers.StartAsync(
            null, [], (session, _) => session.CloseAsync(KwikError.LimitExceeded, "The licence has run out.").AsTask());

        await using ClientSession session = await servers.ConnectAsync();
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed.WithinAsync());

        Assert.Equal(KwikError.LimitExceeded, e.Code);
        Assert.Contains("The licence has run out.", e.Message, StringComparison.Ordinal);
        e = await Assert.ThrowsAnyAsync<KwikException>(() => session.OpenStreamSync().WithinAsync());
        Assert.Equal(KwikError.LimitExceeded, e.Code);
    }

    [Fact]
    public async Task Client_ThatClosesWithAReason_IsUnderstood()
    {
        var ended = new TaskCompletionSource<KwikException>(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var servers = await LoopbackServers.StartAsync(
            null, [], async (session, _) => ended.SetResult(await Assert.ThrowsAnyAsync<KwikException>(() => session.AcceptStream())));

        ClientSession session = await servers.ConnectAsync();
        await session.CloseAsync(KwikError.ContentMismatch, "These are not the bytes.").AsTask().WithinAsync();

        KwikException e = await ended.Task.WithinAsync();
        Assert.Equal(KwikError.ContentMismatch, e.Code);
        Assert.Contains("These are not the bytes.", e.Message, StringComparison.Ordinal);
    }
}
