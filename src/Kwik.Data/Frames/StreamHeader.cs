namespace Kwik.Data;

/// <summary>What a QUIC stream is for. The byte on the wire; docs/protocol.md, "Streams".</summary>
internal enum StreamType : byte
{
    /// <summary>Data of a public stream; opened by the client or the primary.</summary>
    Main = 0,

    /// <summary>The error substream of a public stream; opened by the opener of Main.</summary>
    Error = 1,

    /// <summary>Control frames; the first stream of a client on every connection.</summary>
    Control = 2,

    /// <summary>Bytes that a server places into a public stream; never seen by the application.</summary>
    Internal = 3,
}

/// <summary>The 17 bytes that begin every QUIC stream: 16 bytes id, 1 byte type.</summary>
internal readonly record struct StreamHeader(UInt128 Id, StreamType Type)
{
    public const int Size = 17;

    public void Write(Span<byte> destination)
    {
        System.Buffers.Binary.BinaryPrimitives.WriteUInt128BigEndian(destination, Id);
        destination[16] = (byte)Type;
    }

    /// <summary>Reads exactly <see cref="Size"/> bytes; false for a type that version 1 does not have.</summary>
    public static bool TryRead(ReadOnlySpan<byte> source, out StreamHeader header)
    {
        header = new(System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(source), (StreamType)source[16]);
        return header.Type <= StreamType.Internal;
    }

    /// <summary>A header with a random id.</summary>
    public static StreamHeader Create(StreamType type)
    {
        Span<byte> id = stackalloc byte[16];
        System.Security.Cryptography.RandomNumberGenerator.Fill(id);
        return new(System.Buffers.Binary.BinaryPrimitives.ReadUInt128BigEndian(id), type);
    }
}
