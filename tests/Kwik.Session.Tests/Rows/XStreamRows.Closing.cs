using Kwik.Data;
using Kwik.Streams;
using Kwik.Testing;
using static Kwik.Session.Tests.Rows.StreamFailures;

namespace Kwik.Session.Tests.Rows;

/// <content>Half-closing and closing.</content>
public abstract partial class XStreamRows
{
    [Fact]
    public Task OwnClose_ThenWrites_AreBrokenPipe() => BothWaysAsync(async (near, _) =>
    {
        Task closing = near.CloseAsync();
        await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Local, KwikError.Cancelled);
        await closing;
        await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Local, KwikError.Cancelled);
    });

    [Fact]
    public Task OwnClose_ThenReads_AreStreamClosedAlsoWithUnreadData() => BothWaysAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(1000));
        await near.FillAsync(new byte[10]);
        Task closing = near.CloseAsync();
        await AssertReadFailsAsync(near, XStreamErrorKind.StreamClosed, KwikErrorSide.Local, KwikError.Cancelled);
        await closing;
        await AssertReadFailsAsync(near, XStreamErrorKind.StreamClosed, KwikErrorSide.Local, KwikError.Cancelled);
        Assert.Equal((false, false), (near.CanRead, near.CanWrite));
    });

    [Fact]
    public Task OwnClose_PendingRead_IsStreamClosed() => BothWaysAsync(async (near, _) =>
    {
        Task reading = near.ReadAsync(new byte[1]).AsTask();
        Assert.False(reading.IsCompleted);
        Task closing = near.CloseAsync();
        await AssertFailsAsync(reading, XStreamErrorKind.StreamClosed, KwikErrorSide.Local, KwikError.Cancelled);
        await closing;
    });

    [Fact]
    public Task OwnClose_PendingWrite_IsBrokenPipe() => BothWaysAsync(async (near, far) =>
    {
        Task writing = near.WriteAsync(new byte[Capacity]).AsTask();
        Assert.False(writing.IsCompleted);
        Task closing = near.CloseAsync();
        await AssertFailsAsync(writing, XStreamErrorKind.BrokenPipe, KwikErrorSide.Local, KwikError.Cancelled);
        await closing;

        // It was not whole: the end would be a lie.
        await AssertFailsAsync(far.ReadToEndAsync(), XStreamErrorKind.ConnectionReset, KwikErrorSide.Remote, KwikError.Cancelled);
    });

    [Fact]
    public Task OwnClose_IsFullyClosedAtOnce() => BothWaysAsync(async (near, far) =>
    {
        Task closing = near.CloseAsync();
        AssertEnded(near, XStreamState.FullyClosed);
        await closing;
        await near.Closed;
        await near.CloseAsync();
        await PeersCloseAsync(far);
        Assert.Equal(0, await far.ReadAsync(new byte[1]));
    });

    [Fact]
    public Task OwnDispose_ThenEveryCall_ThrowsObjectDisposed() => BothWaysAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(1000));
        await near.FillAsync(new byte[10]);
        Task disposing = near.DisposeAsync().AsTask();
        await AssertDisposedAsync(near);
        await disposing;
        await AssertDisposedAsync(near);
        AssertEnded(near, XStreamState.FullyClosed);
    });

    [Fact]
    public Task OwnClose_ThenDispose_ThrowsObjectDisposed() => BothWaysAsync(async (near, _) =>
    {
        await near.CloseAsync();
        await near.DisposeAsync();
        await AssertDisposedAsync(near);
    });

    [Theory, InlineData(false), InlineData(true)]
    public Task PeersClose_WhereNobodyEverWrote_WritesAreBrokenPipe(bool disposes) => BothWaysAsync(async (near, far) =>
    {
        Task closing = disposes ? far.DisposeAsync().AsTask() : far.CloseAsync();
        await PeersCloseAsync(near);
        await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
        await closing;
    });

    [Fact]
    public Task PeersClose_PendingWrite_IsBrokenPipe() => BothWaysAsync(async (near, far) =>
    {
        Task writing = near.WriteAsync(new byte[Capacity]).AsTask();
        Assert.False(writing.IsCompleted);
        Task closing = far.CloseAsync();
        await AssertFailsAsync(writing, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
        await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
        await closing;
    });

    [Fact]
    public Task PeersClose_PendingFlush_EndsAndTheNextIsBrokenPipe() => BothWaysAsync(async (near, far) =>
    {
        await FillAsync(near);
        Task flushing = near.FlushAsync();
        Task closing = far.CloseAsync();
        await PeersCloseAsync(near);
        await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);

        // What it waited for may have left before the peer closed.
        if (await Record.ExceptionAsync(() => flushing) is { } e)
        {
            Assert.Equal(XStreamErrorKind.BrokenPipe, Assert.IsType<XStreamException>(e).Kind);
        }

        await closing;
    });

    [Fact]
    public Task PeersClose_WhatItWroteBefore_IsReadToItsEnd() => BothWaysAsync(async (near, far) =>
    {
        await far.WriteAsync(Bytes(20_000));
        Task closing = far.CloseAsync();
        await PeersCloseAsync(near);
        await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
        Assert.Equal(Bytes(20_000), await near.ReadToEndAsync());
        Assert.Equal(0, await near.ReadAsync(new byte[1]));
        Assert.Equal(XStreamState.RemoteClosed, near.State);
        await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
        await closing;
        await near.CloseAsync();
        AssertEnded(near, XStreamState.FullyClosed);
    });

    [Fact]
    public Task BothClose_AtOnce_WritesAreBrokenPipeWhoeverWasFirst() => BothWaysAsync(async (near, far) =>
    {
        await Task.WhenAll(near.CloseAsync(), far.CloseAsync());
        foreach (KwikStream stream in new[] { near, far })
        {
            KwikErrorSide first = (await FailureAsync<XStreamException>(stream.FlushAsync())).Side;
            await AssertWritesFailAsync(stream, XStreamErrorKind.BrokenPipe, first, KwikError.Cancelled);
            AssertEnded(stream, XStreamState.FullyClosed);
        }
    });

    [Fact]
    public Task CompleteWrites_ThenWrite_ThrowsInvalidOperation() => BothWaysAsync(async (near, _) =>
    {
        near.CompleteWrites();
        await FailureAsync<InvalidOperationException>(near.WriteAsync(new byte[1]).AsTask());
        await FailureAsync<InvalidOperationException>(Calling(() => near.CompleteWrites(0)));
        await near.FlushAsync();
        Assert.False(near.CanWrite);
    });

    [Fact]
    public Task CompleteWrites_Twice_DoesNothing() => BothWaysAsync(async (near, far) =>
    {
        await near.WriteAsync(Bytes(10));
        near.CompleteWrites();
        near.CompleteWrites();
        Assert.Equal(Bytes(10), await far.ReadToEndAsync());
        await near.WritesClosed;
        near.CompleteWrites();
    });

    [Fact]
    public Task CompleteWrites_TwiceAndThePeerClosedWithEverythingTaken_DoesNothing() => BothWaysAsync(async (near, far) =>
    {
        await near.WriteAsync(Bytes(10));
        near.CompleteWrites();
        Assert.Equal(Bytes(10), await far.ReadToEndAsync());
        await near.WritesClosed;
        Task closing = far.CloseAsync();
        Assert.Equal(0, await near.ReadAsync(new byte[1]));
        near.CompleteWrites();
        await near.FlushAsync();
        await FailureAsync<InvalidOperationException>(near.WriteAsync(new byte[1]).AsTask());
        await closing;
    });

    [Fact]
    public Task CompleteWrites_TwiceAndThePeerClosedUnderWhatWaits_IsBrokenPipe() => BothWaysAsync(async (near, far) =>
    {
        await FillAsync(near);
        near.CompleteWrites();
        near.CompleteWrites();
        Task closing = far.CloseAsync();

        // Closing makes room, and what waits is short: with luck the peer's transport has it all before it refuses it.
        if (await Record.ExceptionAsync(() => near.WritesClosed) is null)
        {
            near.CompleteWrites();
        }
        else
        {
            await AssertWritesFailAsync(near, XStreamErrorKind.BrokenPipe, KwikErrorSide.Remote, KwikError.Cancelled);
        }

        await closing;
    });

    [Fact]
    public Task CompleteWrites_EndsOneDirectionOnly() => BothWaysAsync(async (near, far) =>
    {
        near.CompleteWrites();
        Assert.Equal((XStreamState.LocalClosed, false), (near.State, near.IsClosed));
        Assert.Equal(0, await far.ReadAsync(new byte[1]));
        Assert.Equal((XStreamState.RemoteClosed, false), (far.State, far.IsClosed));

        await far.WriteAsync(Bytes(1000));
        far.CompleteWrites();
        AssertEnded(far, XStreamState.FullyClosed);
        Assert.Equal(Bytes(1000), await near.ReadToEndAsync());
        AssertEnded(near, XStreamState.FullyClosed);
    });
}
