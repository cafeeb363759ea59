using Kwik.Streams;

namespace Kwik.Testing;

/// <summary>
/// Reading more than one piece, with plain awaits only: the base library's own methods leave the simulation's thread.
/// </summary>
internal static class StreamReading
{
    /// <summary>Reads until the end.</summary>
    public static async Task<byte[]> ReadToEndAsync(this ITransportStream stream)
    {
        var all = new MemoryStream();
        byte[] piece = new byte[32 * 1024];
        while (await stream.ReadAsync(piece) is int read and > 0)
        {
            all.Write(piece, 0, read);
        }

        return all.ToArray();
    }

    /// <summary>Reads that many bytes.</summary>
    /// <exception cref="EndOfStreamException">The stream ended before.</exception>
    public static async Task<byte[]> ReadExactlyAsync(this ITransportStream stream, int count)
    {
        byte[] all = new byte[count];
        for (int have = 0; have < count;)
        {
            int read = await stream.ReadAsync(all.AsMemory(have));
            have += read > 0 ? read : throw new EndOfStreamException($"The stream ended after {have} of {count} bytes.");
        }

        return all;
    }

    /// <summary>Reads until the end, as <see cref="ReadToEndAsync(ITransportStream)"/> does, from any stream.</summary>
    public static async Task<byte[]> ReadToEndAsync(this Stream stream)
    {
        var all = new MemoryStream();
        byte[] piece = new byte[32 * 1024];
        while (await stream.ReadAsync(piece) is int read and > 0)
        {
            all.Write(piece, 0, read);
        }

        return all.ToArray();
    }

    /// <summary>Fills the buffer from any stream.</summary>
    /// <exception cref="EndOfStreamException">The stream ended before.</exception>
    public static async Task FillAsync(this Stream stream, Memory<byte> buffer)
    {
        for (int have = 0; have < buffer.Length;)
        {
            int read = await stream.ReadAsync(buffer[have..]);
            have += read > 0 ? read : throw new EndOfStreamException($"The stream ended after {have} of {buffer.Length} bytes.");
        }
    }
}
