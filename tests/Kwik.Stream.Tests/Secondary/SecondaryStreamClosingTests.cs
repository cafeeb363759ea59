using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

public sealed class SecondaryStreamClosingTests
{
    [Theory]
    [InlineData(KwikError.None)]
    [InlineData(KwikError.NotFound)]
    public async Task CompleteAsync_AfterAWrite_SaysWhereAndWhyAndEnds(KwikError error)
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 100);
        await pair.Stream.WriteAsync(new byte[10]).WithinAsync();
        await pair.Stream.CompleteAsync(error).WithinAsync();
        Assert.Equal(SecondaryStreamState.Closing, pair.Stream.State);
        Assert.Equal(110, pair.Stream.GetOffset());

        await pair.ExpectAsync(StreamFrame.Open(4, 100));
        await pair.ExpectAsync(StreamFrame.Data(10));
        await pair.ExpectAsync(StreamFrame.Close(110, error));
        await pair.ExpectEndAsync();
        await pair.Stream.WritesClosed.WithinAsync();
        await pair.Stream.DisposeAsync().AsTask().WithinAsync();
        Assert.Equal(SecondaryStreamState.Closed, pair.Stream.State);
    }

    [Fact]
    public async Task AnyCall_AfterCompletion_Throws()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 100);
        await pair.Stream.CompleteAsync().WithinAsync();
        await AssertRefusedAsync<InvalidOperationException>(pair.Stream);

        await pair.ExpectAsync(StreamFrame.Open(4, 100));
        await pair.ExpectAsync(StreamFrame.Close(100));
        await pair.ExpectEndAsync();
    }

    [Fact]
    public async Task AnyCall_AfterDispose_Throws()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 100);
        await pair.Stream.DisposeAsync().AsTask().WithinAsync();
        await AssertRefusedAsync<ObjectDisposedException>(pair.Stream);
        Assert.Equal((4, 100), (pair.Stream.GetKwikStreamId(), pair.Stream.GetOffset()));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task DisposeAsync_WithoutCompletion_ResetsAndReturnsMemory(bool written)
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 100);
        if (written)
        {
            await pair.Stream.WriteAsync(new byte[10]).WithinAsync();
            await pair.ExpectAsync(StreamFrame.Open(4, 100));
            await pair.ExpectAsync(StreamFrame.Data(10));
        }

        await pair.Stream.DisposeAsync().AsTask().WithinAsync();
        await pair.Stream.DisposeAsync().AsTask().WithinAsync();
        Assert.Equal(SecondaryStreamState.Error, pair.Stream.State);
        Assert.Equal((1, 0), (pair.Closed, pair.Pool.Outstanding));
        Assert.Equal(KwikError.Cancelled, (await Assert.ThrowsAnyAsync<KwikException>(() => pair.Stream.WritesClosed.WithinAsync())).Code);
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(pair.ReadAsync);
        Assert.Equal((KwikError.Cancelled, KwikErrorSide.Remote), (e.Code, e.Side));
    }

    [Fact]
    public async Task DisposeAsync_WhileWriting_EndsTheWrite()
    {
        await using var pair = new SecondaryPair(window: 1000);
        pair.Stream.SetKwikStreamMapping(4, 0);
        Task writing = pair.Stream.WriteAsync(new byte[5000]).AsTask();
        await pair.Stream.DisposeAsync().AsTask().WithinAsync();
        Assert.Equal(KwikError.Cancelled, (await Assert.ThrowsAnyAsync<KwikException>(() => writing.WithinAsync())).Code);
        Assert.Equal(SecondaryStreamState.Error, pair.Stream.State);
    }

    [Fact]
    public async Task DisposeAsync_WhileTheEndIsNotTaken_EndsTheCompletion()
    {
        await using var pair = new SecondaryPair(window: 1);
        pair.Stream.SetKwikStreamMapping(4, 0);
        Task completing = pair.Stream.CompleteAsync().AsTask();
        Assert.False(completing.IsCompleted);
        Assert.Equal(SecondaryStreamState.Closing, pair.Stream.State);
        await pair.Stream.DisposeAsync().AsTask().WithinAsync();
        await Assert.ThrowsAnyAsync<KwikException>(() => completing.WithinAsync());
        Assert.Equal(SecondaryStreamState.Error, pair.Stream.State);
    }

    [Fact]
    public async Task CompleteAsync_AfterACancelledWrite_WaitsForItsBytes()
    {
        await using var pair = new SecondaryPair(window: 1000);
        pair.Stream.SetKwikStreamMapping(4, 0);
        using var cancellation = new CancellationTokenSource();
        Task cancelled = pair.Stream.WriteAsync(new byte[5000], cancellation.Token).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled.WithinAsync());
        Task completing = pair.Stream.CompleteAsync().AsTask();

        await pair.ExpectAsync(StreamFrame.Open(4, 0));
        Assert.Equal(new byte[5000], await pair.ExpectAsync(StreamFrame.Data(5000)));
        await pair.ExpectAsync(StreamFrame.Close(5000));
        await pair.ExpectEndAsync();
        await completing.WithinAsync();
    }

    [Fact]
    public async Task WriteAndComplete_ClientRefused_FailWithItsCode()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 0);
        pair.Refuse(KwikError.StreamMappingConflict);
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => pair.Stream.WriteAsync(new byte[1]).WithinAsync());
        Assert.Equal((KwikError.StreamMappingConflict, KwikErrorSide.Remote), (e.Code, e.Side));
        Assert.Equal(SecondaryStreamState.Error, pair.Stream.State);

        await Assert.ThrowsAnyAsync<KwikException>(() => pair.Stream.WriteAsync(new byte[1]).WithinAsync());
        await Assert.ThrowsAnyAsync<KwikException>(() => pair.Stream.CompleteAsync().WithinAsync());
        await Assert.ThrowsAnyAsync<KwikException>(() => pair.Stream.WritesClosed.WithinAsync());
        Assert.Equal(SecondaryStreamState.Error, pair.Stream.State);
    }

    [Fact]
    public async Task CompleteAsync_ClientRefused_Fails()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 0);
        pair.Refuse(KwikError.Cancelled);
        Assert.Equal(
            KwikError.Cancelled, (await Assert.ThrowsAnyAsync<KwikException>(() => pair.Stream.CompleteAsync().WithinAsync())).Code);
        Assert.Equal(SecondaryStreamState.Error, pair.Stream.State);
    }

    [Fact]
    public async Task Abort_Active_ResetsWithItsCode()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 0);
        pair.Stream.Abort(KwikError.PathLost);
        Assert.Equal(SecondaryStreamState.Error, pair.Stream.State);
        Assert.Equal(KwikError.PathLost, (await Assert.ThrowsAnyAsync<KwikException>(pair.ReadAsync)).Code);
    }

    [Fact]
    public async Task MayDeliver_OnlyWhileActiveAndNotBeforeItsLowestOffset()
    {
        await using var pair = new SecondaryPair();
        pair.Stream.SetKwikStreamMapping(4, 100);
        Assert.True(pair.Stream.MayDeliver(4, 100));
        Assert.True(pair.Stream.MayDeliver(4, 1000));
        Assert.False(pair.Stream.MayDeliver(4, 99));
        Assert.False(pair.Stream.MayDeliver(8, 100));

        await pair.Stream.WriteAsync(new byte[50]).WithinAsync();
        Assert.True(pair.Stream.MayDeliver(4, 100));
        pair.Stream.SetKwikStreamMapping(4, 20);
        pair.Stream.SetKwikStreamMapping(4, 200);
        Assert.True(pair.Stream.MayDeliver(4, 20));
        await pair.Stream.CompleteAsync().WithinAsync();
        Assert.False(pair.Stream.MayDeliver(4, 100));
    }

    private static async Task AssertRefusedAsync<T>(SecondaryStream stream)
        where T : Exception
    {
        await Assert.ThrowsAsync<T>(() => stream.WriteAsync(new byte[1]).WithinAsync());
        await Assert.ThrowsAsync<T>(() => stream.CompleteAsync().WithinAsync());
        Assert.Throws<T>(() => stream.SetKwikStreamMapping(4, 200));
    }
}
