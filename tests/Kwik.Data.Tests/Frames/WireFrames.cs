using FsCheck;
using FsCheck.Fluent;
using Google.Protobuf;
using Kwik.Data.Wire;

namespace Kwik.Data.Tests;

/// <summary>Frames as the generated protobuf classes see them: the reference for the hand-written codec.</summary>
internal static class WireFrames
{
    /// <summary>Frames of all three types with values that are allowed on the wire.</summary>
    public static Gen<StreamFrame> Frames { get; } = Gen.OneOf(
        from stream in Values.Offset
        from offset in Values.Offset
        from request in Values.Offset
        from pushed in Gen.Choose(0, 1)
        select StreamFrame.Open(stream, offset, pushed == 1 ? -1 : request),
        from length in Values.PayloadLength
        from offset in Values.Offset
        from continued in Gen.Choose(0, 1)
        from checksum in Values.UInt32
        from unchecked_ in Gen.Choose(0, 1)
        select StreamFrame.Data(
            length,
            continued == 1 ? -1 : Math.Min(offset, StreamFrame.MaxOffset - length),
            unchecked_ == 1 ? null : checksum),
        from offset in Values.Offset
        from error in Gen.Elements(Enum.GetValues<KwikError>())
        from offered in Gen.Choose(0, 1)
        select StreamFrame.Close(offset, error, offered == 1));

    /// <summary>One of each form, for truncation and flipped bits.</summary>
    public static StreamFrame[] Corpus { get; } =
    [
        StreamFrame.Open(0, 0),
        StreamFrame.Open(4, 1 << 20, 7),
        StreamFrame.Open(StreamFrame.MaxOffset, StreamFrame.MaxOffset, StreamFrame.MaxOffset),
        StreamFrame.Data(0),
        StreamFrame.Data(64 * 1024),
        StreamFrame.Data(64 * 1024, offset: 0, checksum: 0xdeadbeef),
        StreamFrame.Data(StreamFrame.MaxPayloadSize, StreamFrame.MaxOffset - StreamFrame.MaxPayloadSize, 0),
        StreamFrame.Close(0),
        StreamFrame.Close(StreamFrame.MaxOffset, KwikError.PathLost),
        StreamFrame.Close(5, isOffered: true),
    ];

    public static StreamMetadataFrame ToMessage(StreamFrame frame)
    {
        var message = new StreamMetadataFrame();
        switch (frame.Type)
        {
            case StreamFrameType.Open:
                message.SecondaryStreamOpen = new()
                {
                    TargetKwikStreamId = (ulong)frame.StreamId,
                    InitialOffset = (ulong)frame.Offset,
                };
                if (frame.RequestId >= 0)
                {
                    message.SecondaryStreamOpen.RequestId = (ulong)frame.RequestId;
                }

                break;
            case StreamFrameType.Data:
                message.SecondaryStreamData = new() { DataLength = (uint)frame.DataLength };
                if (frame.Offset >= 0)
                {
                    message.SecondaryStreamData.Offset = (ulong)frame.Offset;
                }

                if (frame.HasChecksum)
                {
                    message.SecondaryStreamData.Crc32C = frame.Checksum;
                }

                break;
            default:
                message.SecondaryStreamClose = new()
                {
                    FinalOffset = (ulong)frame.Offset,
                    ErrorCode = (ulong)frame.Error,
                    Offered = frame.IsOffered,
                };
                break;
        }

        return message;
    }

    /// <summary>Only for messages whose values are in range.</summary>
    public static StreamFrame FromMessage(StreamMetadataFrame message) => message.TypeCase switch
    {
        StreamMetadataFrame.TypeOneofCase.SecondaryStreamOpen => StreamFrame.Open(
            (long)message.SecondaryStreamOpen.TargetKwikStreamId,
            (long)message.SecondaryStreamOpen.InitialOffset,
            message.SecondaryStreamOpen.HasRequestId ? (long)message.SecondaryStreamOpen.RequestId : -1),
        StreamMetadataFrame.TypeOneofCase.SecondaryStreamData => StreamFrame.Data(
            (int)message.SecondaryStreamData.DataLength,
            message.SecondaryStreamData.HasOffset ? (long)message.SecondaryStreamData.Offset : -1,
            message.SecondaryStreamData.HasCrc32C ? message.SecondaryStreamData.Crc32C : null),
        StreamMetadataFrame.TypeOneofCase.SecondaryStreamClose => StreamFrame.Close(
            (long)message.SecondaryStreamClose.FinalOffset,
            KwikErrors.FromWire(message.SecondaryStreamClose.ErrorCode),
            message.SecondaryStreamClose.Offered),
        _ => default,
    };

    /// <summary>The frame without its length prefix.</summary>
    public static byte[] MessageOf(StreamFrame frame)
    {
        var bytes = new byte[StreamFrame.MaxWrittenSize];
        int written = frame.Write(bytes);
        int prefix = VarInt.Read(bytes, out ulong length);
        Assert.Equal(written, prefix + (int)length);
        return bytes[prefix..written];
    }

    /// <summary>What the generated parser makes of these bytes; null when it refuses them.</summary>
    public static StreamMetadataFrame? Parse(ReadOnlySpan<byte> message)
    {
        try
        {
            return StreamMetadataFrame.Parser.ParseFrom(message);
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }
    }
}
