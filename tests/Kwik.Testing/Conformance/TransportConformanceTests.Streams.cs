using Kwik.Data;
using Kwik.Streams;
using Xunit;
using static Kwik.Testing.ConformanceNetwork;

namespace Kwik.Testing;

/// <summary>Opening and accepting streams.</summary>
public abstract partial class TransportConformanceTests
{
    [Fact]
    public Task Open_EachKind_HasTheIdsAndDirectionsOfQuic() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        await CheckAsync(pair.Client, pair.Server, bidirectional: true, 0);
        await CheckAsync(pair.Client, pair.Server, bidirectional: false, 2);
        await CheckAsync(pair.Server, pair.Client, bidirectional: true, 1);
        await CheckAsync(pair.Server, pair.Client, bidirectional: false, 3);

        static async Task CheckAsync(ITransportConnection opener, ITransportConnection acceptor, bool bidirectional, long first)
        {
            for (int index = 0; index < 3; index++)
            {
                (ITransportStream opened, ITransportStream accepted) = await ConnectedPair.OpenAsync(opener, acceptor, bidirectional);
                Assert.Equal(first + (4 * index), opened.Id);
                Assert.Equal((bidirectional, true), (opened.CanRead, opened.CanWrite));
                Assert.Equal((true, bidirectional), (accepted.CanRead, accepted.CanWrite));
                Assert.False(opened.WritesClosed.IsCompleted);
                Assert.Equal(!bidirectional, accepted.WritesClosed.IsCompletedSuccessfully);
            }
        }
    });

    [Fact]
    public Task OneWayStream_UsedTheWrongWay_Throws() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        (ITransportStream opened, ITransportStream accepted) = await pair.OpenAsync(bidirectional: false);
        await ThrowsInvalidOperation(async () => await opened.ReadAsync(new byte[1]));
        await ThrowsInvalidOperation(async () => await accepted.WriteAsync(new byte[1]));
    });

    [Fact]
    public Task Stream_WithoutAByte_IsNotSeenByThePeer() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        Task<ITransportStream> accepting = pair.Server.AcceptStreamAsync(CancellationToken.None).AsTask();
        ITransportStream opened = await pair.Client.OpenStreamAsync(bidirectional: true, CancellationToken.None);
        await network.SettleAsync();
        Assert.False(accepting.IsCompleted);
        await opened.WriteAsync(new byte[1]);
        Assert.Equal(opened.Id, (await accepting).Id);
    });

    [Fact]
    public Task Stream_EndedWithoutAByte_IsSeenAndEmpty() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        ITransportStream opened = await pair.Client.OpenStreamAsync(bidirectional: false, CancellationToken.None);
        opened.CompleteWrites();
        ITransportStream accepted = await pair.Server.AcceptStreamAsync(CancellationToken.None);
        Assert.Empty(await accepted.ReadToEndAsync());
        await opened.WritesClosed;
    });

    [Fact]
    public Task Accept_OfSeveral_IsInTheOrderOfTheirIds() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        for (int index = 0; index < 10; index++)
        {
            ITransportStream opened = await pair.Client.OpenStreamAsync(bidirectional: true, CancellationToken.None);
            await opened.WriteAsync(new byte[1]);
        }

        for (int index = 0; index < 10; index++)
        {
            Assert.Equal(4 * index, (await pair.Server.AcceptStreamAsync(CancellationToken.None)).Id);
        }
    });

    [Fact]
    public Task Open_AtThePeersLimit_WaitsUntilAStreamIsClosedAndDisposed() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(
            listen: options => options with { InboundBidirectionalStreams = 2, InboundUnidirectionalStreams = 1 });
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        await pair.OpenAsync();
        Task<ITransportStream> third = pair.Client.OpenStreamAsync(bidirectional: true, CancellationToken.None).AsTask();

        // The other kind has a limit of its own.
        await pair.OpenAsync(bidirectional: false);
        await network.SettleAsync();
        Assert.False(third.IsCompleted);

        // One direction is not enough.
        client.CompleteWrites();
        Assert.Empty(await server.ReadToEndAsync());
        await network.SettleAsync();
        Assert.False(third.IsCompleted);
        server.CompleteWrites();
        Assert.Empty(await client.ReadToEndAsync());
        await client.DisposeAsync();
        await server.DisposeAsync();
        Assert.Equal(8, (await third).Id);
    });

    [Fact]
    public Task Open_WaitingAndCancelled_DoesNotLoseThePlace() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(listen: options => options with { InboundUnidirectionalStreams = 1 });
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync(bidirectional: false);
        using var cancellation = new CancellationTokenSource();
        Task<ITransportStream> cancelled = pair.Client.OpenStreamAsync(bidirectional: false, cancellation.Token).AsTask();
        await network.SettleAsync();
        Assert.False(cancelled.IsCompleted);
        cancellation.Cancel();
        await ExpectCancelledAsync(cancelled, cancellation.Token);
        await ExpectCancelledAsync(pair.Client.OpenStreamAsync(bidirectional: false, cancellation.Token).AsTask(), cancellation.Token);

        client.CompleteWrites();
        Assert.Empty(await server.ReadToEndAsync());
        await server.DisposeAsync();
        Task<long> arriving = AcceptUnabortedAsync(pair.Server);
        ITransportStream opened = await pair.Client.OpenStreamAsync(bidirectional: false, CancellationToken.None);
        await opened.WriteAsync(new byte[1]);
        Assert.Equal(opened.Id, await arriving);

        // An open that was cancelled may still have taken its turn; the peer then sees that stream aborted.
        static async Task<long> AcceptUnabortedAsync(ITransportConnection connection)
        {
            while (true)
            {
                ITransportStream stream = await connection.AcceptStreamAsync(CancellationToken.None);
                try
                {
                    await stream.ReadExactlyAsync(1);
                    return stream.Id;
                }
                catch (KwikException exception)
                {
                    Assert.Equal(KwikErrorSide.Remote, exception.Side);
                    await stream.DisposeAsync();
                }
            }
        }
    });

    [Fact]
    public Task Open_OneAfterAnotherBeyondTheLimit_Succeeds() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(listen: options => options with { InboundBidirectionalStreams = 3 });
        for (int index = 0; index < 20; index++)
        {
            (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
            await client.WriteAsync(Bytes(100), completeWrites: true);
            await server.WriteAsync(await server.ReadToEndAsync(), completeWrites: true);
            Assert.Equal(Bytes(100), await client.ReadToEndAsync());
            await client.DisposeAsync();
            await server.DisposeAsync();
        }
    });

    [Fact]
    public Task Open_WhenStreamsAreAborted_GetsTheirPlaces() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync(listen: options => options with { InboundBidirectionalStreams = 1 });
        for (int index = 0; index < 5; index++)
        {
            (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
            client.AbortWrites(KwikError.Cancelled);
            server.AbortWrites(KwikError.Cancelled);
            await client.DisposeAsync();
            await server.DisposeAsync();
        }
    });

    [Fact]
    public Task Accept_Cancelled_LeavesTheNextStreamToOthers() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        using var cancellation = new CancellationTokenSource();
        Task<ITransportStream> cancelled = pair.Server.AcceptStreamAsync(cancellation.Token).AsTask();
        cancellation.Cancel();
        await ExpectCancelledAsync(cancelled, cancellation.Token);
        await ExpectCancelledAsync(pair.Server.AcceptStreamAsync(cancellation.Token).AsTask(), cancellation.Token);
        await pair.OpenAsync();
    });

    [Fact]
    public Task Accept_ByTwoAtOnce_EachGetsOne() => RunAsync(async network =>
    {
        await using ConnectedPair pair = await network.ConnectAsync();
        Task<ITransportStream>[] accepts =
        [
            pair.Server.AcceptStreamAsync(CancellationToken.None).AsTask(),
            pair.Server.AcceptStreamAsync(CancellationToken.None).AsTask(),
        ];
        for (int index = 0; index < 2; index++)
        {
            ITransportStream opened = await pair.Client.OpenStreamAsync(bidirectional: true, CancellationToken.None);
            await opened.WriteAsync(new byte[1]);
        }

        long[] ids = [(await accepts[0]).Id, (await accepts[1]).Id];
        Assert.Equal([0L, 4L], ids.Order());
    });

    private static async Task ThrowsInvalidOperation(Func<Task> call)
    {
        try
        {
            await call();
        }
        catch (InvalidOperationException)
        {
            return;
        }

        Assert.Fail("The call succeeded where an InvalidOperationException was expected.");
    }
}
