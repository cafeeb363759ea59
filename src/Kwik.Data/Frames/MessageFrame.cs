using Google.Protobuf;
using Kwik.Data.Wire;

namespace Kwik.Data;

/// <summary>Flags of a message header; the bits on the wire.</summary>
[Flags]
internal enum MessageFlags : uint
{
    None = 0,

    /// <summary>The chunks together are one Brotli stream.</summary>
    Compressed = 1,

    /// <summary>The message has more than one chunk.</summary>
    Fragmented = 2,

    /// <summary>Reserved; no peer of version 1 sends it.</summary>
    Encrypted = 4,

    /// <summary>The rest will not come. In the place of a chunk, without bytes.</summary>
    Abandoned = 8,
}

/// <summary>What stands before each chunk: varint length, then a <see cref="MessageHeader"/>. docs/protocol.md, "Messages".</summary>
internal static class MessageFrame
{
    /// <summary>Bytes of every chunk of a message but the last, which has what is left.</summary>
    public const int ChunkSize = 64 * 1024;

    /// <summary>Largest header without its length, bytes. The length takes one byte.</summary>
    public const int MaxHeaderSize = 64;

    /// <summary>Largest frame: length, header, chunk.</summary>
    public const int MaxSize = 1 + MaxHeaderSize + ChunkSize;

    /// <summary>Chunks of a message that has so many bytes on the wire.</summary>
    public static long ChunkCount(long size) => Math.Max(1, (size + ChunkSize - 1) / ChunkSize);

    /// <summary>Bytes of one chunk of it.</summary>
    public static int ChunkLength(long size, long index) => (int)Math.Min(ChunkSize, size - (index * ChunkSize));

    /// <summary>Writes length and header at the start of <paramref name="destination"/>; returns the bytes written.</summary>
    public static int Write(Span<byte> destination, MessageHeader header)
    {
        int size = header.CalculateSize();
        int prefix = VarInt.Write(destination, (ulong)size);
        header.WriteTo(destination.Slice(prefix, size));
        return prefix + size;
    }

    /// <summary>Decodes a header without its length; null for bytes that are none.</summary>
    public static MessageHeader? TryParse(ReadOnlySpan<byte> header) => ProtoMessage.TryParse(MessageHeader.Parser, header);
}
