using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests.Conformance;

/// <summary>A public stream is a <see cref="System.IO.Stream"/> like any other; here over pipes in memory.</summary>
public sealed class KwikStreamConformanceTests : StreamConformanceTests
{
    protected override int Capacity => 512 * 1024;

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
        Assert.Equal(2 * FrameWriter.PayloadSize, (await reading).Length);
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

    /// <summary>One frame fills the window, and the next one cannot get through any more.</summary>
    protected override async Task FillAsync(KwikStream stream)
    {
        await stream.WriteAsync(new byte[FrameWriter.PayloadSize]);
        using var cancellation = new CancellationTokenSource();
        Task writing = stream.WriteAsync(new byte[FrameWriter.PayloadSize], cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await AssertCancelledAsync(() => writing, cancellation.Token);
    }

    private static async Task RunAsync(Func<StreamPair, Task> test)
    {
        await using var pair = new StreamPair(window: 1000, new AggregatorOptions { MaxPendingBytes = 64 * 1024 });
        await test(pair).WithinAsync();
    }
}
