using Kwik.Data.Wire;

namespace Kwik.Data;

/// <summary>Control frames as bytes: varint length, then a <see cref="ControlFrame"/>.</summary>
internal static class ControlCodec
{
    /// <summary>Largest frame, bytes, without its length prefix; checked before anything is allocated.</summary>
    public const int MaxFrameSize = 64 * 1024;

    /// <summary>Largest frame while the peer is not authenticated, bytes.</summary>
    public const int MaxUnauthenticatedFrameSize = 4 * 1024;

    /// <summary>The frame with its length prefix.</summary>
    /// <exception cref="KwikException">It is larger than <see cref="MaxFrameSize"/>.</exception>
    public static byte[] Encode(ControlFrame frame) => ProtoMessage.EncodeWithLength(frame, MaxFrameSize);

    /// <summary>
    /// Decodes a frame without its length prefix; null for bytes that are no ControlFrame, or more than
    /// <see cref="MaxFrameSize"/>.
    /// </summary>
    public static ControlFrame? TryDecode(ReadOnlySpan<byte> message) =>
        message.Length > MaxFrameSize ? null : ProtoMessage.TryParse(ControlFrame.Parser, message);
}
