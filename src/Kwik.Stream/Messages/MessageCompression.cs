using System.Buffers;
using System.IO.Compression;

namespace Kwik.Streams;

/// <summary>
/// Brotli with a window of at most 256 KiB: a decoder allocates the window that the sender announces, whatever the size of
/// the message, and 16 MiB otherwise.
/// </summary>
internal static class MessageCompression
{
    /// <summary>Largest window, as a power of two of bytes. Also the smallest that the fast levels of Brotli write.</summary>
    public const int MaxWindowBits = 18;

    // Several hundred MB a second, and most of the gain.
    private const int Quality = 1;

    // Tried first: what does not shrink here, an archive or a picture, is not compressed to its end to find that out.
    private const int SampleSize = 64 * 1024;

    /// <summary>The message compressed; null when that would save less than a sixteenth of it, or of its first 64 KiB.</summary>
    public static byte[]? TryCompress(ReadOnlySpan<byte> message)
    {
        if (message.Length > SampleSize && TryShrink(message[..SampleSize]) is null)
        {
            return null;
        }

        return TryShrink(message);
    }

    /// <summary>
    /// Decompresses into the whole of <paramref name="message"/>. False when the bytes are no Brotli stream, one of another
    /// length, followed by others, or with a larger window.
    /// </summary>
    public static bool TryDecompress(ReadOnlySpan<byte> compressed, Span<byte> message)
    {
        if (WindowBits(compressed[0]) > MaxWindowBits)
        {
            return false;
        }

        var decoder = default(BrotliDecoder);
        try
        {
            OperationStatus status = decoder.Decompress(compressed, message, out int consumed, out int written);
            return status == OperationStatus.Done && consumed == compressed.Length && written == message.Length;
        }
        finally
        {
            decoder.Dispose();
        }
    }

    private static byte[]? TryShrink(ReadOnlySpan<byte> bytes)
    {
        byte[] rented = ArrayPool<byte>.Shared.Rent(bytes.Length);
        try
        {
            Span<byte> room = rented.AsSpan(0, bytes.Length - (bytes.Length / 16) - 1);
            return BrotliEncoder.TryCompress(bytes, room, out int written, Quality, MaxWindowBits) ? rented[..written] : null;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    // RFC 7932, section 9.1.
    private static int WindowBits(byte first)
    {
        int low = (first >> 1) & 7;
        int high = (first >> 4) & 7;
        return (first & 1, low, high) switch
        {
            (0, _, _) => 16,
            (_, > 0, _) => 17 + low,
            (_, _, 0) => 17,
            (_, _, 1) => int.MaxValue,
            _ => 8 + high,
        };
    }
}
