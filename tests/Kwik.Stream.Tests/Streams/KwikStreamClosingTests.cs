using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class KwikStreamClosingTests
{
    [Fact]
    public async Task DisposeAsync_Twice_TellsTheOwnerOnce()
    {
        await using var pair = new StreamPair();
        await Task.WhenAll(pair.Client.DisposeAsync().AsTask(), pair.Client.DisposeAsync().AsTask()).WithinAsync();
        await pair.Client.DisposeAsync().WithinAsync();
        await Task.Run(pair.Client.Dispose).WithinAsync();
        Assert.Equal(1, pair.ClosedClients);
        Assert.Equal((false, false), (pair.Client.CanRead, pair.Client.CanWrite));
    }

    [Fact]
    public async Task Dispose_Blocking_ClosesTheSameWay()
    {
        await using var pair = new StreamPair();
        await pair.Client.WriteAsync("last words"u8.ToArray()).WithinAsync();
        await Task.Run(pair.Client.Dispose).WithinAsync();
        Assert.Equal("last words"u8.ToArray(), await pair.Primary.ReadAllAsync());
    }

    [Fact]
    public async Task DisposeAsync_AfterWrites_DeliversThemAndTheEnd()
    {
        await using var pair = new StreamPair();
        await pair.Client.WriteAsync("last words"u8.ToArray()).WithinAsync();
        await pair.Client.DisposeAsync().WithinAsync();
        Assert.Equal("last words"u8.ToArray(), await pair.Primary.ReadAllAsync());
    }

    [Fact]
    public async Task DisposeAsync_Calls_FailAfterwards()
    {
        await using var pair = new StreamPair();
        await pair.Client.DisposeAsync().WithinAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => pair.Client.ReadAsync(new byte[1]).WithinAsync());
        await Assert.ThrowsAsync<ObjectDisposedException>(() => pair.Client.WriteAsync(new byte[1]).WithinAsync());
        Assert.Equal(KwikError.Cancelled, (await Assert.ThrowsAnyAsync<KwikException>(() => pair.Client.GetOfferAsync().WithinAsync())).Code);
        await Assert.ThrowsAnyAsync<KwikException>(() => pair.Primary.WriteAsync(new byte[1]).WithinAsync());
    }

    [Fact]
    public async Task DisposeAsync_WithBytesUnread_ReturnsTheirMemory()
    {
        await using var pair = new StreamPair();
        await pair.Primary.WriteAsync(new byte[300_000]).WithinAsync();
        Assert.Equal(new byte[10], await pair.Client.ReadAsync(10));
    }

    [Fact]
    public async Task DisposeAsync_PeerHasFilledTheWindow_Ends()
    {
        // All there before the stream begins, so that its receiving loop runs on to the frame beyond the window at once.
        await using var peer = new RawPeer(new AggregatorOptions { MaxPendingBytes = 64 * 1024 }, [new byte[40_000], new byte[40_000]]);
        Assert.Equal(1, peer.Pool.Outstanding);
        await peer.Stream.DisposeAsync().WithinAsync();
        Assert.Equal(KwikError.Cancelled, await peer.RefusalAsync());
    }

    [Fact]
    public async Task DisposeAsync_WhileReading_EndsTheRead()
    {
        await using var pair = new StreamPair();
        Task<int> reading = pair.Client.ReadAsync(new byte[1]).AsTask();
        await pair.Client.DisposeAsync().WithinAsync();
        Exception e = await Assert.ThrowsAnyAsync<Exception>(() => reading.WithinAsync());
        Assert.True(e is ObjectDisposedException or KwikException { Code: KwikError.Cancelled }, $"{e}");
    }

    [Fact]
    public async Task DisposeAsync_PeerTakesNothing_EndsAfterTheTimeout()
    {
        await using var pair = new StreamPair(window: 100, new AggregatorOptions { MaxPendingBytes = 64 * 1024 });
        using var cancellation = new CancellationTokenSource();
        Task writing = pair.Client.WriteAsync(new byte[300_000], cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => writing.WithinAsync());

        Task second = pair.Client.WriteAsync(new byte[300_000]).AsTask();
        Task closing = pair.Client.DisposeAsync().AsTask();
        await pair.Time.Armed.WithinAsync();
        Assert.False(closing.IsCompleted);
        pair.Time.Elapse();
        await closing.WithinAsync();
        await Assert.ThrowsAnyAsync<Exception>(() => second.WithinAsync());
        Assert.Equal(KwikError.Cancelled, (await pair.Primary.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task Abort_WithACode_FailsBothSidesWithIt()
    {
        await using var pair = new StreamPair();
        await pair.Client.WriteAsync("lost"u8.ToArray()).WithinAsync();
        Task<int> reading = pair.Client.ReadAsync(new byte[1]).AsTask();
        pair.Client.Abort(KwikError.LimitExceeded);
        pair.Client.Abort(KwikError.Timeout);

        KwikException local = await Assert.ThrowsAnyAsync<KwikException>(() => reading.WithinAsync());
        Assert.Equal(KwikError.LimitExceeded, local.Code);
        KwikException remote = await pair.Primary.ReadFaultAsync();
        Assert.Equal((KwikError.LimitExceeded, KwikErrorSide.Remote), (remote.Code, remote.Side));
        await Assert.ThrowsAnyAsync<KwikException>(() => pair.Client.WriteAsync(new byte[1]).WithinAsync());
        await Assert.ThrowsAnyAsync<KwikException>(() => pair.Primary.WriteAsync(new byte[1]).WithinAsync());
    }

    [Fact]
    public async Task Abort_WithBytesWaiting_ReturnsTheirMemoryAtOnce()
    {
        await using var pair = new StreamPair();
        await pair.Primary.WriteAsync(new byte[300_000]).WithinAsync();
        pair.Primary.CompleteWrites();
        Assert.Equal(new byte[65_536], await pair.Client.ReadAsync(65_536));
        pair.Client.Abort(KwikError.Cancelled);
        Assert.Equal(KwikError.Cancelled, (await pair.Client.ReadFaultAsync()).Code);
    }

    [Fact]
    public async Task DisposeAsync_RacingReadsAndWrites_EndsAndReturnsAllMemory()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            var random = new Random(seed);
            var pair = new StreamPair(window: 50_000, new AggregatorOptions { MaxPendingBytes = 64 * 1024 });
            Task[] work =
            [
                Task.Run(() => UntilItFailsAsync(async () => await pair.Client.WriteAsync(new byte[10_000]))),
                Task.Run(() => UntilItFailsAsync(async () => await pair.Primary.WriteAsync(new byte[70_000]))),
                Task.Run(() => UntilItFailsAsync(async () => Assert.NotEqual(0, await pair.Client.ReadAsync(new byte[30_000])))),
                Task.Run(() => UntilItFailsAsync(async () => Assert.NotEqual(0, await pair.Primary.ReadAsync(new byte[3000])))),
            ];
            for (int i = random.Next(50); i > 0; i--)
            {
                await Task.Yield();
            }

            await Task.WhenAll(pair.Client.DisposeAsync().AsTask(), pair.Primary.DisposeAsync().AsTask()).WithinAsync();
            await Task.WhenAll(work).WithinAsync();
            await pair.DisposeAsync();
        }
    }

    [Fact]
    public async Task DisposeAsync_RacingOneWrite_AlwaysEnds()
    {
        StreamPair? pair = null;
        Task closing = Task.CompletedTask;
        await Race.RunAsync(
            rounds: 1000,
            prepare: _ => pair = new StreamPair(),
            rival: _ => closing = pair!.Client.DisposeAsync().AsTask(),
            side: _ => OnceAsync(async () => await pair!.Client.WriteAsync(new byte[1])),
            check: async _ =>
            {
                await closing.WithinAsync();
                await pair!.DisposeAsync();
            });
    }

    private static Task OnceAsync(Func<Task> work) => UntilItFailsAsync(async () =>
    {
        await work();
        throw new InvalidOperationException("Once is enough.");
    });

    private static async Task UntilItFailsAsync(Func<Task> work)
    {
        try
        {
            while (true)
            {
                await work();
            }
        }
        catch (Exception e) when (e is ObjectDisposedException or KwikException or InvalidOperationException or Xunit.Sdk.NotEqualException)
        {
            // Disposed, given up by the other side, completed, or at the end: each is right, depending on who was first.
        }
    }
}
