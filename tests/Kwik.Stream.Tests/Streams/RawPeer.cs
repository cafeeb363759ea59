using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>A public stream whose peer is the test itself, which writes whatever frames it likes.</summary>
internal sealed class RawPeer : IAsyncDisposable, IStreamOwner
{
    private readonly MemoryTransportStream _transport;
    private readonly FrameWriter _writer;

    /// <param name="options">Of the stream.</param>
    /// <param name="sent">Payload of frames that are there before the stream begins.</param>
    public RawPeer(AggregatorOptions? options = null, params byte[][] sent)
    {
        (MemoryTransportStream client, _transport) = MemoryTransportStream.CreatePair();
        _writer = new FrameWriter(_transport, Pool);
        foreach (byte[] payload in sent)
        {
            // The pipe has room for it, so this is done when it returns.
            Assert.True(SendDataAsync(payload).IsCompletedSuccessfully);
        }

        (MemoryTransportStream errors, _) = MemoryTransportStream.CreatePair();
        Stream = new KwikStream(client, errors, XStreamDirection.Inbound, this, options ?? new(), Pool);
    }

    public LeasePool Pool { get; } = new();

    public KwikStream Stream { get; }

    public TimeProvider Time { get; } = new ManualTime();

    public MessagePace? MessagePace => null;

    public MemoryPipe Outgoing => _transport.Outgoing;

    /// <summary>Writes a frame, then the payload; both as they are.</summary>
    public async Task SendAsync(StreamFrame frame, byte[]? payload = null)
    {
        _writer.Append(frame);
        await _writer.FlushAsync().WithinAsync();
        if (payload is not null)
        {
            await _transport.WriteAsync(payload).WithinAsync();
        }
    }

    public Task SendDataAsync(byte[] payload, long offset = -1) =>
        SendAsync(StreamFrame.Data(payload.Length, offset, Crc32C.Compute(payload)), payload);

    public void End() => _transport.CompleteWrites();

    public void AbortWrites(KwikError code) => _transport.AbortWrites(code);

    /// <summary>Waits until the stream has given up reading what this side writes; the code that it gave.</summary>
    public async Task<KwikError> RefusalAsync() =>
        (await Assert.ThrowsAnyAsync<KwikException>(() => _transport.WritesClosed.WithinAsync())).Code;

    public void Place(int source, long offset, byte[] bytes)
    {
        Lease lease = Pool.Rent(bytes.Length);
        bytes.CopyTo(lease.Free.Span);
        lease.Extend(bytes.Length);
        Task<long> placing = Stream.PlaceAsync(source, offset, [lease], int.MaxValue, CancellationToken.None).AsTask();
        Assert.True(placing.IsCompleted);
        placing.GetAwaiter().GetResult();
    }

    public Task<SecondaryStream> OpenSecondaryAsync(CancellationToken cancellationToken) =>
        throw new InvalidOperationException("There is no connection for it here.");

    public ValueTask OfferAsync(KwikStream stream, ContentOffer offer, CancellationToken cancellationToken) =>
        throw new InvalidOperationException("Only a primary offers content.");

    public void StreamClosed(KwikStream stream)
    {
    }

    public async ValueTask DisposeAsync()
    {
        await Stream.DisposeAsync().WithinAsync();
        await _transport.DisposeAsync();
        Assert.Equal(0, Pool.Outstanding);
    }
}
