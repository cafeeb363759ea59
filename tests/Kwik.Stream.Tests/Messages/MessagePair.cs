using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>Two channels over two streams joined in memory. A small window holds back a sender whose peer does not receive.</summary>
internal sealed class MessagePair : IAsyncDisposable
{
    public MessagePair(MessageOptions? options = null, int window = 1024 * 1024, int pending = 16 * 1024 * 1024)
    {
        Streams = new StreamPair(window, new AggregatorOptions { MaxPendingBytes = pending });
        Client = new MessageChannel(Streams.Client, options);
        Primary = new MessageChannel(Streams.Primary, options);
    }

    public StreamPair Streams { get; }

    public MessageChannel Client { get; }

    public MessageChannel Primary { get; }

    /// <summary>A pair that takes little more than two chunks while nobody receives.</summary>
    public static MessagePair Narrow(MessageOptions? options = null) => new(options, window: 1000, pending: 64 * 1024);

    public async Task<List<byte[]>> ReceiveAllAsync()
    {
        var all = new List<byte[]>();
        while (await Primary.ReceiveMessageAsync().WithinAsync() is { } message)
        {
            all.Add(message);
        }

        return all;
    }

    public ValueTask DisposeAsync() => Streams.DisposeAsync();
}
