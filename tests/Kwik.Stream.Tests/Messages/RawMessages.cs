using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>A channel whose peer is the test itself, which writes whatever headers and bytes it likes.</summary>
internal sealed class RawMessages(MessageOptions? options = null) : IAsyncDisposable
{
    private readonly StreamPair _pair = new();
    private MessageChannel? _channel;

    public KwikStream Peer => _pair.Client;

    public MessageChannel Channel => _channel ??= new(_pair.Primary, options);

    /// <summary>The header of a chunk of a plain message.</summary>
    public static MessageHeader Header(long size, int index = 0, ulong id = 0) => new()
    {
        MessageId = id,
        TotalSize = (ulong)size,
        ChunkIndex = (uint)index,
        ChunkCount = (uint)MessageFrame.ChunkCount(size),
        Flags = size > MessageFrame.ChunkSize ? (uint)MessageFlags.Fragmented : 0,
    };

    /// <summary>The header of the only chunk of a compressed message.</summary>
    public static MessageHeader Compressed(long size, long compressedSize) => new()
    {
        TotalSize = (ulong)size,
        ChunkCount = 1,
        Flags = (uint)MessageFlags.Compressed,
        CompressedSize = (ulong)compressedSize,
    };

    public static MessageHeader With(MessageHeader header, Action<MessageHeader> change)
    {
        change(header);
        return header;
    }

    public async Task SendAsync(MessageHeader header, byte[]? chunk = null)
    {
        var frame = new byte[1 + MessageFrame.MaxHeaderSize];
        await Peer.WriteAsync(frame.AsMemory(0, MessageFrame.Write(frame, header))).WithinAsync();
        await Peer.WriteAsync(chunk ?? []).WithinAsync();
    }

    /// <summary>The bytes of one chunk of a message that is all zeros.</summary>
    public Task SendChunkAsync(long size, int index = 0, ulong id = 0) =>
        SendAsync(Header(size, index, id), new byte[MessageFrame.ChunkLength(size, index)]);

    public Task<byte[]?> ReceiveAsync() => Channel.ReceiveMessageAsync().WithinAsync();

    public ValueTask DisposeAsync() => _pair.DisposeAsync();
}
