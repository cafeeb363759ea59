using Google.Protobuf;

namespace Kwik.Data;

/// <summary>The one way in which bytes from a peer become a generated message.</summary>
internal static class ProtoMessage
{
    /// <summary>The message; null for bytes that are none. Never throws, whatever the bytes are.</summary>
    public static T? TryParse<T>(MessageParser<T> parser, ReadOnlySpan<byte> bytes)
        where T : class, IMessage<T>
    {
        try
        {
            return parser.ParseFrom(bytes);
        }
        catch (InvalidProtocolBufferException)
        {
            return null;
        }
        catch (IndexOutOfRangeException)
        {
            // The generated parser adds a length just below 2^31 to its position without a check for overflow, and then
            // runs into the end of the span.
            return null;
        }
    }

    /// <summary>A message with its length before it, as a varint.</summary>
    /// <exception cref="KwikException"><see cref="KwikError.LimitExceeded"/>: it has more than <paramref name="maxSize"/> bytes.</exception>
    public static byte[] EncodeWithLength(IMessage message, int maxSize)
    {
        int size = message.CalculateSize();
        if (size > maxSize)
        {
            throw new KwikException(
                KwikError.LimitExceeded,
                KwikErrorSide.Local,
                $"A {message.Descriptor.Name} of {size} bytes is larger than the {maxSize} bytes that it may have.");
        }

        int prefix = VarInt.SizeOf((ulong)size);
        var bytes = new byte[prefix + size];
        VarInt.Write(bytes, (ulong)size);
        message.WriteTo(bytes.AsSpan(prefix));
        return bytes;
    }
}
