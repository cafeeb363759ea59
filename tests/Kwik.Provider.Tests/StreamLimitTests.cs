using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>How many streams the peer allows, and what waits when there are no more.</summary>
public sealed class StreamLimitTests
{
    private const int Limit = 3;

    [Theory]
    [InlineData(QuicStreamType.Bidirectional)]
    [InlineData(QuicStreamType.Unidirectional)]
    public async Task Open_AboveTheLimit_WaitsUntilAStreamHasEnded(QuicStreamType type)
    {
        await using Loopback pair = await StartLimitedAsync();
        var open = new Queue<(QuicStream Local, QuicStream Peer)>();
        for (int i = 0; i < Limit; i++)
        {
            open.Enqueue(await pair.Client.OpenPairAsync(pair.Server, type));
        }

        for (int i = 0; i < 4 * Limit; i++)
        {
            Task<QuicStream> waiting = pair.Client.OpenOutboundStreamAsync(type).AsTask();
            await FenceAsync(open.Peek());
            Assert.False(waiting.IsCompleted);

            await EndAsync(open.Dequeue());

            QuicStream local = await waiting.Bounded();
            await local.WriteContentAsync(seed: i, length: 10, completeWrites: false);
            QuicStream peer = await pair.Server.AcceptInboundStreamAsync().Bounded();
            await peer.AssertNextAsync(seed: i, length: 10);
            Assert.Equal(local.Id, peer.Id);
            open.Enqueue((local, peer));
        }

        while (open.TryDequeue(out (QuicStream, QuicStream) last))
        {
            await EndAsync(last);
        }
    }

    [Fact]
    public async Task Open_WaitingOnesCancelled_LeavesLaterOnesIntact()
    {
        await using Loopback pair = await StartLimitedAsync();
        var open = new Queue<(QuicStream Local, QuicStream Peer)>();
        for (int i = 0; i < Limit; i++)
        {
            open.Enqueue(await pair.Client.OpenPairAsync(pair.Server));
        }

        using var cancellation = new CancellationTokenSource();
        Task<QuicStream> cancelled = pair.Client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional, cancellation.Token).AsTask();
        Task<QuicStream> waiting = pair.Client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).AsTask();
        await cancellation.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(cancelled.Bounded);

        // The id of a cancelled stream may be used up, and the peer may see that stream, reset: all are accepted and ended.
        Task serving = EchoServer.ServeAsync(pair.Server);
        while (open.TryDequeue(out (QuicStream Local, QuicStream Peer) pending))
        {
            await EndAsync(pending);
        }

        await AssertEchoAsync(await waiting.Bounded(), seed: 100);
        for (int i = 0; i < 3 * Limit; i++)
        {
            await AssertEchoAsync(await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded(), seed: i);
        }

        await pair.Client.CloseAsync(0).Bounded();
        await serving.Bounded();
    }

    [Fact]
    public async Task Open_PreCancelled_ThrowsAndLeavesLaterOnesIntact()
    {
        await using Loopback pair = await Loopback.StartAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            pair.Client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional, new CancellationToken(true)).Bounded());

        Task serving = EchoServer.ServeAsync(pair.Server);
        await AssertEchoAsync(await pair.Client.OpenOutboundStreamAsync(QuicStreamType.Bidirectional).Bounded(), seed: 1);
        await pair.Client.CloseAsync(0).Bounded();
        await serving.Bounded();
    }

    [Fact]
    public async Task Open_LimitOfZero_WaitsUntilCancelled()
    {
        await using Loopback pair = await Loopback.StartAsync(server: o => o.MaxInboundUnidirectionalStreams = 0);
        using var cancellation = new CancellationTokenSource();
        Task<QuicStream> waiting = pair.Client.OpenOutboundStreamAsync(QuicStreamType.Unidirectional, cancellation.Token).AsTask();

        await pair.Client.AssertAliveAsync(pair.Server);
        Assert.False(waiting.IsCompleted);
        await cancellation.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(waiting.Bounded);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Accept_OwnLimitsAreZero_ThrowsInvalidOperation()
    {
        await using Loopback pair = await Loopback.StartAsync(client: o =>
            (o.MaxInboundBidirectionalStreams, o.MaxInboundUnidirectionalStreams) = (0, 0));

        await Assert.ThrowsAsync<InvalidOperationException>(() => pair.Client.AcceptInboundStreamAsync().Bounded());
    }

    [Fact]
    public async Task Capacity_AtConnect_IsReportedOnceWithTheLimitsOfThePeer()
    {
        var capacity = new CapacityLog();
        await using Loopback pair = await Loopback.StartAsync(
            server: o => (o.MaxInboundBidirectionalStreams, o.MaxInboundUnidirectionalStreams) = (7, 5),
            client: o => o.StreamCapacityCallback = capacity.Add);

        await capacity.UntilAsync(QuicStreamType.Bidirectional, 7);
        await capacity.UntilAsync(QuicStreamType.Unidirectional, 5);
        Assert.Equal(1, capacity.Reports);
    }

    [Theory]
    [InlineData(QuicStreamType.Bidirectional)]
    [InlineData(QuicStreamType.Unidirectional)]
    public async Task Capacity_StreamEnds_GrowsByOne(QuicStreamType type)
    {
        var capacity = new CapacityLog();
        await using Loopback pair = await StartLimitedAsync(capacity);
        await capacity.UntilAsync(type, Limit);

        for (int ended = 1; ended <= 3 * Limit; ended++)
        {
            await EndAsync(await pair.Client.OpenPairAsync(pair.Server, type));
            await capacity.UntilAsync(type, Limit + ended);
        }
    }

    [Theory]
    [InlineData(QuicStreamType.Bidirectional)]
    [InlineData(QuicStreamType.Unidirectional)]
    public async Task Capacity_WithWaitingOpens_AddsUpToLimitAndEndedStreams(QuicStreamType type)
    {
        var capacity = new CapacityLog();
        await using Loopback pair = await StartLimitedAsync(capacity);
        var open = new Queue<(QuicStream Local, QuicStream Peer)>();
        for (int i = 0; i < Limit; i++)
        {
            open.Enqueue(await pair.Client.OpenPairAsync(pair.Server, type));
        }

        Task<QuicStream>[] waiting =
            [.. Enumerable.Range(0, Limit).Select(_ => pair.Client.OpenOutboundStreamAsync(type).AsTask())];
        while (open.TryDequeue(out (QuicStream Local, QuicStream Peer) first))
        {
            await EndAsync(first);
        }

        // Credit that goes to waiting streams is none: it is reported together with the first that is free again.
        foreach (QuicStream local in await Task.WhenAll(waiting).Bounded())
        {
            await local.WriteContentAsync(seed: 2, length: 1, completeWrites: false);
            await EndAsync((local, await pair.Server.AcceptInboundStreamAsync().Bounded()));
        }

        await capacity.UntilAsync(type, 3 * Limit);
    }

    private static Task<Loopback> StartLimitedAsync(CapacityLog? capacity = null) => Loopback.StartAsync(
        server: o => (o.MaxInboundBidirectionalStreams, o.MaxInboundUnidirectionalStreams) = (Limit, Limit),
        client: o => o.StreamCapacityCallback = capacity is null ? null : capacity.Add);

    /// <summary>Ten messages to the peer over a stream that is open: whatever was to happen meanwhile has happened.</summary>
    private static async Task FenceAsync((QuicStream Local, QuicStream Peer) stream)
    {
        for (int i = 0; i < 10; i++)
        {
            await stream.Local.WriteContentAsync(seed: i, length: 1, completeWrites: false);
            await stream.Peer.AssertNextAsync(seed: i, length: 1);
        }
    }

    private static async Task EndAsync((QuicStream Local, QuicStream Peer) stream)
    {
        stream.Local.CompleteWrites();
        await stream.Peer.ReadToEndAsync().Bounded();
        await stream.Peer.DisposeAsync().Bounded();
        await stream.Local.DisposeAsync().Bounded();
    }

    private static async Task AssertEchoAsync(QuicStream stream, long seed)
    {
        await using (stream)
        {
            await stream.WriteContentAsync(seed, length: 5_000);
            await stream.AssertContentAsync(seed, length: 5_000);
        }
    }

    /// <summary>
    /// Adds up what StreamCapacityCallback reports. The sum per type never exceeds the limit plus the streams that ended,
    /// and reaches it.
    /// </summary>
    private sealed class CapacityLog
    {
        private readonly Lock _gate = new();
        private int _bidirectional;
        private int _unidirectional;
        private TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public int Reports { get; private set; }

        public void Add(QuicConnection connection, QuicStreamCapacityChangedArgs args)
        {
            TaskCompletionSource changed;
            lock (_gate)
            {
                Reports++;
                _bidirectional += args.BidirectionalIncrement;
                _unidirectional += args.UnidirectionalIncrement;
                changed = _changed;
                _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            changed.SetResult();
        }

        public async Task UntilAsync(QuicStreamType type, int sum)
        {
            while (true)
            {
                Task changed;
                lock (_gate)
                {
                    int now = Sum(type);
                    Assert.True(now <= sum, $"{now} {type} streams were reported, at most {sum} can be open.");
                    if (now == sum)
                    {
                        return;
                    }

                    changed = _changed.Task;
                }

                try
                {
                    await changed.Bounded();
                }
                catch (TimeoutException)
                {
                    Assert.Fail($"{Sum(type)} {type} streams were reported in {Reports} reports, {sum} can be open.");
                }
            }
        }

        private int Sum(QuicStreamType type) => type == QuicStreamType.Bidirectional ? _bidirectional : _unidirectional;
    }
}
