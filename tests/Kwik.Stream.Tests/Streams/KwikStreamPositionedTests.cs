using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>Positioned writes of a primary, and the Internal streams that they leave on.</summary>
public sealed class KwikStreamPositionedTests : IStreamOwner, IAsyncLifetime
{
    private readonly LeasePool _pool = new();
    private readonly List<MemoryTransportStream> _opened = [];
    private readonly KwikStream _stream;

    public KwikStreamPositionedTests()
    {
        (_, MemoryTransportStream primary) = MemoryTransportStream.CreatePair();
        (_, MemoryTransportStream errors) = MemoryTransportStream.CreatePair();
        _stream = new KwikStream(primary, errors, XStreamDirection.Outbound, this, new AggregatorOptions(), _pool);
    }

    public TimeProvider Time { get; } = new ManualTime();

    MessagePace? IStreamOwner.MessagePace => null;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _stream.DisposeAsync().AsTask().WithinAsync();
        Assert.Equal(0, _pool.Outstanding);
    }

    [Fact]
    public async Task WriteAtAsync_ThatContinuesTheOneBefore_StaysOnItsStream()
    {
        await WriteAtAsync(0, 10);
        await WriteAtAsync(10, 10);
        await WriteAtAsync(20, 0);
        Assert.Single(_opened);
        await WriteAtAsync(100, 10);
        await WriteAtAsync(20, 10);
        Assert.Equal(3, _opened.Count);
    }

    [Fact]
    public async Task WriteAtAsync_ClientStoppedTheIdleStreamBefore_OpensAnother()
    {
        await WriteAtAsync(0, 10);
        _opened[0].AbortReads(KwikError.Timeout);
        await WriteAtAsync(10, 10);
        Assert.Equal(2, _opened.Count);
        await WriteAtAsync(20, 10);
        Assert.Equal(2, _opened.Count);
    }

    [Fact]
    public async Task WriteAtAsync_ClientStopsTheStreamMeanwhile_FailsAndTheNextOpensAnother()
    {
        Task writing = _stream.WriteAtAsync(0, new byte[2 * 1024 * 1024]).AsTask();
        Assert.False(writing.IsCompleted);
        _opened[0].AbortReads(KwikError.Cancelled);
        Assert.Equal(KwikError.Cancelled, (await Assert.ThrowsAnyAsync<KwikException>(() => writing.WithinAsync())).Code);
        await WriteAtAsync(0, 10);
        Assert.Equal(2, _opened.Count);
    }

    [Fact]
    public async Task WriteAtAsync_BeyondTheFinalSizeOrAfterDispose_IsRefused()
    {
        await WriteAtAsync(0, 10);
        _stream.CompleteWrites(100);
        await Assert.ThrowsAsync<InvalidOperationException>(() => WriteAtAsync(95, 6));
        await WriteAtAsync(95, 5);
        await _stream.DisposeAsync().AsTask().WithinAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => WriteAtAsync(0, 1));
    }

    ValueTask IStreamOwner.OfferAsync(KwikStream stream, ContentOffer offer, CancellationToken cancellationToken) => ValueTask.CompletedTask;

    Task<SecondaryStream> IStreamOwner.OpenSecondaryAsync(CancellationToken cancellationToken)
    {
        (MemoryTransportStream client, MemoryTransportStream server) = MemoryTransportStream.CreatePair();
        _opened.Add(client);
        return Task.FromResult(new SecondaryStream(server, _pool));
    }

    void IStreamOwner.StreamClosed(KwikStream stream)
    {
    }

    private Task WriteAtAsync(long offset, int length) => _stream.WriteAtAsync(offset, new byte[length]).WithinAsync();
}
