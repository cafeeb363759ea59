using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests.Conformance;

/// <summary>A public stream is a <see cref="System.IO.Stream"/> like any other; here over pipes in memory.</summary>
public sealed class KwikStreamConformanceTests : StreamConformanceTests
{
    protected override int Capacity => 1024 * 1024;

    [Fact]
    public Task Flush_BehindAWriteThatWasGivenUp_WaitsForIt() => RunAsync(async (near, far) =>
    {
        await FillAsync(near);
        Task blocking = OwnThread.RunAsync(near.Flush);
        Task flushing = near.FlushAsync();
        Assert.Equal((false, false), (blocking.IsCompleted, flushing.IsCompleted));
        Task<byte[]> reading = far.ReadToEndAsync();
        await flushing;
        await blocking;
        near.CompleteWrites();
        Assert.InRange((await reading).Length, 1, Capacity - 1);
    });

    [Fact]
    public Task Flush_CancelledWhilePending_ThrowsAndTheStreamGoesOn() => RunAsync(async (near, far) =>
    {
        await FillAsync(near);
        using var cancellation = new CancellationTokenSource();
        Task flushing = near.FlushAsync(cancellation.Token);
        Assert.False(flushing.IsCompleted);
        await cancellation.CancelAsync();
        await AssertCancelledAsync(() => flushing, cancellation.Token);
        Task<byte[]> reading = far.ReadToEndAsync();
        await WriteAllAsync(near, "next"u8.ToArray());
        Assert.Equal("next"u8.ToArray(), (await reading)[^4..]);
    });

    protected override async Task RunAsync(Func<KwikStream, KwikStream, Task> test)
    {
        await RunAsync(pair => test(pair.Client, pair.Primary));
        await RunAsync(pair => test(pair.Primary, pair.Client));
    }

    private static async Task RunAsync(Func<StreamPair, Task> test)
    {
        await using var pair = new StreamPair(window: 64 * 1024, new AggregatorOptions { MaxPendingBytes = 128 * 1024 });
        await test(pair).WithinAsync(TestTimeouts.Scenario);
    }
}
