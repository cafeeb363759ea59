using System.Buffers.Binary;

namespace Kwik.Data;

/// <summary>Type of a <c>StreamMetadataFrame</c>; the values are the field numbers of its oneof.</summary>
internal enum StreamFrameType
{
    /// <summary><c>SecondaryStreamOpen</c>: the first frame of an Internal stream.</summary>
    Open = 1,

    /// <summary><c>SecondaryStreamData</c>: payload follows.</summary>
    Data = 2,

    /// <summary><c>SecondaryStreamClose</c>: the last frame of an Internal stream.</summary>
    Close = 3,
}

/// <summary>
/// A decoded <c>StreamMetadataFrame</c>. Encoded and decoded by hand, in protobuf's own form, because every 64 KiB of
/// payload has one and generated classes allocate; a test holds the two against each other.
/// </summary>
internal readonly record struct StreamFrame
{
    /// <summary>Largest metadata that is accepted, bytes.</summary>
    public const int MaxMetadataSize = 1024;

    /// <summary>Largest payload of one frame, bytes.</summary>
    public const int MaxPayloadSize = 1024 * 1024;

    /// <summary>Offsets end here, as QUIC's do.</summary>
    public const long MaxOffset = (1L << 62) - 1;

    /// <summary>Room that any frame written by us takes, length prefix included.</summary>
    public const int MaxWrittenSize = 64;

    public StreamFrameType Type { get; private init; }

    /// <summary>Open: the public stream.</summary>
    public long StreamId { get; private init; }

    /// <summary>Open: first offset. Data: offset, or -1 when it continues the frame before. Close: final offset.</summary>
    public long Offset { get; private init; }

    /// <summary>Open: the range request that is answered, or -1 for bytes that nobody asked for.</summary>
    public long RequestId { get; private init; }

    /// <summary>Data: payload bytes that follow.</summary>
    public int DataLength { get; private init; }

    /// <summary>Data: CRC-32C of the payload, when <see cref="HasChecksum"/>.</summary>
    public uint Checksum { get; private init; }

    public bool HasChecksum { get; private init; }

    /// <summary>Close: why; None when everything was sent.</summary>
    public KwikError Error { get; private init; }

    /// <summary>Close, on Main: the bytes are those of an offer.</summary>
    public bool IsOffered { get; private init; }

    public static StreamFrame Open(long streamId, long offset, long requestId = -1) =>
        new() { Type = StreamFrameType.Open, StreamId = streamId, Offset = offset, RequestId = requestId };

    public static StreamFrame Data(int length, long offset = -1, uint? checksum = null) => new()
    {
        Type = StreamFrameType.Data,
        Offset = offset,
        DataLength = length,
        HasChecksum = checksum.HasValue,
        Checksum = checksum.GetValueOrDefault(),
    };

    public static StreamFrame Close(long finalOffset, KwikError error = KwikError.None, bool isOffered = false) =>
        new() { Type = StreamFrameType.Close, Offset = finalOffset, Error = error, IsOffered = isOffered };

    /// <summary>Writes the length prefix and the message; returns the bytes written, at most <see cref="MaxWrittenSize"/>.</summary>
    public int Write(Span<byte> destination)
    {
        // Body, message and frame are shorter than 128 bytes, so that each length prefix is one byte.
        Span<byte> body = destination[3..];
        int n = 0;
        switch (Type)
        {
            case StreamFrameType.Open:
                n += WriteNonZero(body[n..], 1, (ulong)StreamId);
                n += WriteNonZero(body[n..], 2, (ulong)Offset);
                n += RequestId < 0 ? 0 : WriteField(body[n..], 3, (ulong)RequestId);
                break;
            case StreamFrameType.Data:
                n += Offset < 0 ? 0 : WriteField(body[n..], 1, (ulong)Offset);
                n += WriteNonZero(body[n..], 2, (ulong)DataLength);
                if (HasChecksum)
                {
                    body[n++] = (3 << 3) | 5;
                    BinaryPrimitives.WriteUInt32LittleEndian(body[n..], Checksum);
                    n += sizeof(uint);
                }

                break;
            case StreamFrameType.Close:
                n += WriteNonZero(body[n..], 1, (ulong)Offset);
                n += WriteNonZero(body[n..], 2, (ulong)Error);
                n += WriteNonZero(body[n..], 4, IsOffered ? 1u : 0u);
                break;
            default:
                throw new InvalidOperationException("A frame is made by Open, Data or Close.");
        }

        destination[0] = (byte)(n + 2);
        destination[1] = (byte)(((int)Type << 3) | 2);
        destination[2] = (byte)n;
        return n + 3;
    }

    /// <summary>
    /// Decodes one message, without its length prefix. Unknown fields are skipped, as protobuf demands; the last value
    /// of a repeated field counts. False for anything that a correct peer does not send: no type, two types, bad
    /// protobuf, values out of range. Allocates nothing.
    /// </summary>
    public static bool TryDecode(ReadOnlySpan<byte> message, out StreamFrame frame)
    {
        frame = default;
        if (message.Length > MaxMetadataSize)
        {
            return false;
        }

        var fields = new ProtoFields(message);
        while (fields.Next())
        {
            if (fields.Number is < 1 or > 3)
            {
                continue;
            }

            if (fields.Kind != ProtoKind.Bytes || (frame.Type != 0 && frame.Type != (StreamFrameType)fields.Number)
                || !TryDecodeBody((StreamFrameType)fields.Number, fields.Bytes, frame, out frame))
            {
                return false;
            }
        }

        return fields.IsValid && frame.Type != 0;
    }

    private static bool TryDecodeBody(StreamFrameType type, ReadOnlySpan<byte> body, StreamFrame start, out StreamFrame frame)
    {
        // A oneof member that appears twice is merged, so a second body starts from the first.
        frame = start.Type == type ? start : type switch
        {
            StreamFrameType.Open => Open(0, 0),
            StreamFrameType.Data => Data(0),
            _ => Close(0),
        };

        var fields = new ProtoFields(body);
        while (fields.Next())
        {
            bool known = (type, fields.Number) switch
            {
                (StreamFrameType.Data, 3) => fields.Kind == ProtoKind.Fixed32,
                (StreamFrameType.Close, 3) => fields.Kind == ProtoKind.Bytes && fields.Bytes.Length <= 512,
                (StreamFrameType.Close, 4) => fields.Kind == ProtoKind.VarInt,
                (_, 1 or 2) or (StreamFrameType.Open, 3) => fields.Kind == ProtoKind.VarInt && fields.Value <= MaxOffset,
                _ => true,
            };
            if (!known)
            {
                return false;
            }

            frame = (type, fields.Number) switch
            {
                (StreamFrameType.Open, 1) => frame with { StreamId = (long)fields.Value },
                (StreamFrameType.Open, 3) => frame with { RequestId = (long)fields.Value },
                (StreamFrameType.Open, 2) or (_, 1) => frame with { Offset = (long)fields.Value },
                (StreamFrameType.Data, 2) => frame with { DataLength = (int)Math.Min(fields.Value, int.MaxValue) },
                (StreamFrameType.Data, 3) => frame with { HasChecksum = true, Checksum = (uint)fields.Value },
                (StreamFrameType.Close, 2) => frame with { Error = KwikErrors.FromWire(fields.Value) },
                (StreamFrameType.Close, 4) => frame with { IsOffered = fields.Value != 0 },
                _ => frame,
            };
        }

        return fields.IsValid
            && frame.DataLength <= MaxPayloadSize
            && (frame.Offset < 0 || frame.Offset <= MaxOffset - frame.DataLength);
    }

    private static int WriteNonZero(Span<byte> destination, int number, ulong value) =>
        value == 0 ? 0 : WriteField(destination, number, value);

    private static int WriteField(Span<byte> destination, int number, ulong value)
    {
        destination[0] = (byte)(number << 3);
        return 1 + VarInt.Write(destination[1..], value);
    }
}
