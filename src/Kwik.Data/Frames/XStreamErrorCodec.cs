using Google.Protobuf;
using Kwik.Data.Wire;

namespace Kwik.Data;

/// <summary>One frame of the error substream; see proto/xstream.proto.</summary>
internal readonly record struct XStreamErrorFrame(
    XStreamErrorKind Kind, ulong Code, string Message, byte[] Details, ulong Sequence, ulong KwikError);

/// <summary>Frames of the error substream as bytes: varint length, then an <see cref="XStreamError"/>.</summary>
internal static class XStreamErrorCodec
{
    /// <summary>Largest frame, bytes, without its length prefix; checked before anything is allocated.</summary>
    public const int MaxFrameSize = 64 * 1024;

    /// <summary>What the application says, with the length prefix.</summary>
    /// <exception cref="KwikException">LimitExceeded: it is larger than <see cref="MaxFrameSize"/>.</exception>
    public static byte[] Said(bool isFault, ulong code, string message, ReadOnlySpan<byte> details, ulong sequence) => Encode(new XStreamError
    {
        Kind = isFault ? XStreamErrorKind.XstreamFault : XStreamErrorKind.XstreamNotification,
        Code = code,
        Message = message,
        Details = ByteString.CopyFrom(details),
        Sequence = sequence,
    });

    /// <summary>That the sender's end of the stream has failed.</summary>
    public static byte[] Failed(KwikError code) =>
        Encode(new XStreamError { Kind = XStreamErrorKind.XstreamFault, KwikError = (ulong)code });

    /// <summary>That Main has ended, or that the stream is closed.</summary>
    public static byte[] Ended(bool isMainOnly) =>
        Encode(new XStreamError { Kind = isMainOnly ? XStreamErrorKind.XstreamMainEnded : XStreamErrorKind.XstreamNoError });

    /// <summary>Decodes a frame without its length prefix; null for bytes that are none.</summary>
    public static XStreamErrorFrame? TryDecode(ReadOnlySpan<byte> message) =>
        ProtoMessage.TryParse(XStreamError.Parser, message) is { } frame
            ? new(frame.Kind, frame.Code, frame.Message, frame.Details.ToByteArray(), frame.Sequence, frame.KwikError)
            : null;

    /// <summary>A frame with its length prefix.</summary>
    public static byte[] Encode(XStreamError frame) => ProtoMessage.EncodeWithLength(frame, MaxFrameSize);
}
