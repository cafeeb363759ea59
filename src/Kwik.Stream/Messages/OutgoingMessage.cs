using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Streams;

/// <summary>A message on its way out, chunk by chunk. For whoever has the turn.</summary>
internal sealed class OutgoingMessage
{
    private readonly ReadOnlyMemory<byte> _bytes;
    private readonly MessageHeader _header;

    private OutgoingMessage(ReadOnlyMemory<byte> bytes, MessageHeader header)
    {
        _bytes = bytes;
        _header = header;
    }

    /// <summary>True from the moment when its first chunk was handed over.</summary>
    public bool HasBegun => _header.ChunkIndex > 0;

    /// <summary>True from the moment when its last chunk was handed over.</summary>
    public bool IsWhole => _header.ChunkIndex == _header.ChunkCount;

    /// <summary>Bytes of the chunk that comes next.</summary>
    public int NextLength => MessageFrame.ChunkLength(_bytes.Length, _header.ChunkIndex);

    /// <summary>The message, compressed if the options want that and it becomes smaller.</summary>
    public static OutgoingMessage Create(ReadOnlyMemory<byte> message, MessageOptions options)
    {
        bool tried = options.Compress && message.Length >= options.CompressionThreshold;
        byte[]? compressed = tried ? MessageCompression.TryCompress(message.Span) : null;
        ReadOnlyMemory<byte> bytes = compressed ?? message;
        long chunks = MessageFrame.ChunkCount(bytes.Length);
        var header = new MessageHeader
        {
            TotalSize = (ulong)message.Length,
            ChunkCount = (uint)chunks,
            Flags = (uint)((compressed is null ? 0 : MessageFlags.Compressed) | (chunks > 1 ? MessageFlags.Fragmented : 0)),
        };
        if (compressed is not null)
        {
            header.CompressedSize = (ulong)compressed.Length;
        }

        return new OutgoingMessage(bytes, header);
    }

    /// <summary>The message begins: it has this number.</summary>
    public void Begin(ulong id) => _header.MessageId = id;

    /// <summary>Writes the next chunk with its header into <paramref name="frame"/>, and counts it as handed over.</summary>
    public ReadOnlyMemory<byte> TakeChunk(Memory<byte> frame)
    {
        int length = NextLength;
        int header = MessageFrame.Write(frame.Span, _header);
        _bytes.Slice((int)_header.ChunkIndex * MessageFrame.ChunkSize, length).CopyTo(frame[header..]);
        _header.ChunkIndex++;
        return frame[..(header + length)];
    }

    /// <summary>Writes what tells the peer that the rest will not come.</summary>
    public ReadOnlyMemory<byte> Abandon(Memory<byte> frame)
    {
        _header.Flags |= (uint)MessageFlags.Abandoned;
        return frame[..MessageFrame.Write(frame.Span, _header)];
    }
}
