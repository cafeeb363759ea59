using Kwik.Data;
using Kwik.Streams;
using Xunit;

namespace Kwik.Testing;

/// <summary>Disposal.</summary>
public abstract partial class StreamConformanceTests
{
    [Fact]
    public Task Dispose_AgainAndAgainInEveryWay_DoesNothingMore() => RunAsync(async (near, far) =>
    {
        await Task.WhenAll(near.DisposeAsync().AsTask(), near.DisposeAsync().AsTask(), OwnThread.RunAsync(near.Dispose));
        await near.DisposeAsync();
        await OwnThread.RunAsync(near.Dispose);
        await OwnThread.RunAsync(near.Close);
        await OwnThread.RunAsync(far.Close);
        await far.DisposeAsync();
        Assert.Equal((false, false), (near.CanRead, far.CanRead));
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Dispose_ThenAnyCall_ThrowsObjectDisposed(StreamCall call) => RunAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(10));
        Assert.Equal(Bytes(10)[..3], await near.TakeAsync(3));
        await near.DisposeAsync();
        await AssertAllDisposedAsync(near, call);
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Dispose_AtTheEndOfBothDirections_ThenAnyCall_ThrowsObjectDisposed(StreamCall call) => RunAsync(async (near, far) =>
    {
        near.CompleteWrites();
        far.CompleteWrites();
        Assert.Empty(await near.ReadToEndAsync());
        await OwnThread.RunAsync(near.Dispose);
        await AssertAllDisposedAsync(near, call);
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Dispose_OfAStreamThatFailed_ThenAnyCall_ThrowsObjectDisposed(StreamCall call) => RunAsync(async (near, _) =>
    {
        near.Abort(KwikError.LimitExceeded);
        Assert.IsAssignableFrom<KwikException>(await Record.ExceptionAsync(() => near.ReadAsync(call, new byte[1])));
        Assert.IsAssignableFrom<KwikException>(await Record.ExceptionAsync(() => near.WriteAsync(call, new byte[1])));
        await near.DisposeAsync();
        await AssertAllDisposedAsync(near, call);
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Dispose_WhilePeerTakesNothing_AnyCallThrowsObjectDisposed(StreamCall call) => RunAsync(async (near, far) =>
    {
        await FillAsync(near);
        await far.WriteAsync(Bytes(10));
        Task closing = near.DisposeAsync().AsTask();
        await AssertAllDisposedAsync(near, call);
        Task<byte[]> reading = far.ReadToEndAsync();
        await closing;
        await reading;
    });

    [Theory, MemberData(nameof(Calls))]
    public Task Dispose_WhileAReadIsPending_EndsIt(StreamCall call) => RunAsync(async (near, _) =>
    {
        Task<int> reading = near.ReadAsync(call, new byte[1]);
        Assert.False(reading.IsCompleted);
        await near.DisposeAsync();
        await AssertDisposedAsync(() => reading);
    });

    [Fact]
    public Task Dispose_WhileAReadIsPendingAndPeerTakesNothing_EndsItAtOnce() => RunAsync(async (near, far) =>
    {
        await FillAsync(near);
        Task<int> reading = near.ReadAsync(new byte[1]).AsTask();
        Task closing = near.DisposeAsync().AsTask();
        await AssertDisposedAsync(() => reading);
        Task<byte[]> rest = far.ReadToEndAsync();
        await closing;
        await rest;
    });

    [Fact]
    public Task Dispose_WhileCopying_EndsTheCopy() => RunAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(10));
        Task copying = near.CopyToAsync(Stream.Null);
        Assert.False(copying.IsCompleted);
        await near.DisposeAsync();
        await AssertDisposedAsync(() => copying);
    });

    [Theory, MemberData(nameof(BufferCalls))]
    public Task Dispose_WhileAWriteIsPending_EndsItAndTellsThePeer(StreamCall call) => RunAsync(async (near, far) =>
    {
        Task writing = near.WriteAsync(call, Bytes(Capacity));
        Assert.Equal(Bytes(Capacity)[..10], await far.TakeAsync(10));
        Task closing = near.DisposeAsync().AsTask();

        // An end would be a lie: the write was not whole.
        Exception? fault = await Record.ExceptionAsync(far.ReadToEndAsync);
        Assert.Equal(KwikError.Cancelled, Assert.IsAssignableFrom<KwikException>(fault).Code);
        await closing;

        // It fails, unless the transport had taken the last of it before.
        await Task.WhenAny(writing);
        await AssertAllDisposedAsync(near, call);
    });

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public Task Dispose_AfterWrites_DeliversThemAndTheEnd(bool blocking) => RunAsync(async (near, far) =>
    {
        await near.WriteAsync(Bytes(20_000));
        await (blocking ? OwnThread.RunAsync(near.Dispose) : near.DisposeAsync().AsTask());
        Assert.Equal(Bytes(20_000), await far.ReadToEndAsync());
        Assert.Equal(0, await far.ReadAsync(new byte[1]));
    });

    private static async Task AssertAllDisposedAsync(KwikStream stream, StreamCall call)
    {
        Assert.Equal((false, false), (stream.CanRead, stream.CanWrite));
        await AssertDisposedAsync(() => stream.ReadAsync(call, new byte[1]));
        await AssertDisposedAsync(() => stream.WriteAsync(call, new byte[1]));
        await AssertDisposedAsync(() => stream.ReadAsync(Memory<byte>.Empty).AsTask());
        await AssertDisposedAsync(() => stream.WriteAsync(ReadOnlyMemory<byte>.Empty).AsTask());
        await AssertDisposedAsync(() => stream.FlushAsync());
        await AssertDisposedAsync(() => OwnThread.RunAsync(stream.Flush));
        await AssertDisposedAsync(() => stream.CopyToAsync(Stream.Null));
        await AssertDisposedAsync(() => OwnThread.RunAsync(() => stream.CopyTo(Stream.Null)));
        await AssertDisposedAsync(() => new MemoryStream().CopyToAsync(stream));
        await AssertDisposedAsync(() => stream.ReadExactlyAsync(new byte[1]).AsTask());
        await AssertDisposedAsync(() => stream.ReadAtLeastAsync(new byte[1], 1).AsTask());
        Assert.Throws<NotSupportedException>(() => stream.Length);
        Assert.Throws<NotSupportedException>(() => stream.Seek(0, SeekOrigin.Begin));
    }
}
