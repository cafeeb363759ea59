using System.Buffers.Binary;

namespace Kwik.Provider.Tests;

/// <summary>
/// Bytes that tell where they belong: every eight of them are a mix of a seed and their position, so that content which is
/// moved, repeated, lost or of another stream does not pass for right.
/// </summary>
internal static class Content
{
    private const int WordSize = sizeof(ulong);

    public static byte[] Bytes(long seed, int length)
    {
        var bytes = new byte[length];
        Fill(bytes, seed, 0);
        return bytes;
    }

    /// <summary>Writes what stands at <paramref name="offset"/> and after it.</summary>
    public static void Fill(Span<byte> destination, long seed, long offset)
    {
        Span<byte> word = stackalloc byte[WordSize];
        for (int done = 0; done < destination.Length;)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(word, Mix(seed, (offset + done) / WordSize));
            ReadOnlySpan<byte> rest = word[(int)((offset + done) % WordSize)..];
            rest = rest[..Math.Min(rest.Length, destination.Length - done)];
            rest.CopyTo(destination[done..]);
            done += rest.Length;
        }
    }

    /// <summary>Fails with the position of the first byte that is not what stands at its offset.</summary>
    public static void AssertAt(ReadOnlySpan<byte> actual, long seed, long offset)
    {
        var expected = new byte[actual.Length];
        Fill(expected, seed, offset);
        int same = actual.CommonPrefixLength(expected);
        Assert.True(
            same == actual.Length,
            $"Seed {seed}: the byte at offset {offset + same} is wrong ({actual.Length} bytes were read at {offset}).");
    }

    // The finalizer of SplitMix64: every bit of the input moves every bit of the output.
    private static ulong Mix(long seed, long index)
    {
        ulong z = unchecked(((ulong)seed * 0x9E3779B97F4A7C15) + (ulong)index + 1);
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EB);
        return z ^ (z >> 31);
    }
}
