using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using LeafHashes = Kwik.Data.LeafHashes;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Ranges that are urgent, and those that wait for them.</summary>
public sealed class UrgentRangeTests
{
    private const int FrameSize = 64 * 1024;

    /// <summary>One that is cancelled before anybody has begun to serve it: what waits for it would wait for ever.</summary>
    [Fact]
    public void UrgentRange_CancelledBeforeItBegins_LetsTheOthersGoOn() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        await using RawPeer server = await accepting;
        var content = new PausingContent(3 * FrameSize);
        var ranges = new RangeServer(
            server.Connection,
            new ControlChannel(await server.Connection.OpenStreamAsync(bidirectional: true, CancellationToken.None)),
            content,
            _ => true,
            FrameBudget.OfPeer(world.Time, 0),
            maxRequests: 8,
            deployment.Pool);
        using var stop = new CancellationTokenSource();
        ranges.Enqueue(Request(1, urgent: false));
        Task serving = ranges.RunAsync(stop.Token);
        ITransportStream answer = await client.Connection.AcceptStreamAsync(CancellationToken.None);
        Task<long> reading = CountAsync(answer);
        await content.Paused;

        // Nobody serves what is urgent here.
        ranges.Enqueue(Request(2, urgent: true));
        content.Resume();
        await world.Delay(TimeSpan.FromSeconds(1));
        Assert.False(reading.IsCompleted);
        ranges.Cancel(2);
        Assert.InRange(await reading, 3 * FrameSize, (3 * FrameSize) + 1000);

        stop.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => serving);
        await ranges.JoinAsync();
        await answer.DisposeAsync();
    });

    private static RangeRequest Request(ulong id, bool urgent) => new()
    {
        RequestId = id,
        KwikStreamId = 1,
        Root = ByteString.CopyFrom(new byte[ContentRoot.Size]),
        Length = 3 * FrameSize,
        Urgent = urgent,
    };

    private static async Task<long> CountAsync(ITransportStream stream)
    {
        long count = 0;
        var buffer = new byte[FrameSize];
        while (await stream.ReadAsync(buffer) is > 0 and int read)
        {
            count += read;
        }

        return count;
    }

    /// <summary>Zeros, of which the second piece is held back.</summary>
    private sealed class PausingContent(int length) : IContentProvider, IContent
    {
        private readonly TaskCompletionSource _paused = new();
        private readonly TaskCompletionSource _resumed = new();

        public long Length => length;

        public Task Paused => _paused.Task;

        public void Resume() => _resumed.SetResult();

        public ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken) => ValueTask.FromResult<IContent?>(this);

        public async ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            if (offset > 0)
            {
                _paused.TrySetResult();
                await _resumed.Task;
            }

            buffer.Span.Clear();
            return buffer.Length;
        }

        public ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken) =>
            throw new InvalidOperationException("Nobody asks for them here.");

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
