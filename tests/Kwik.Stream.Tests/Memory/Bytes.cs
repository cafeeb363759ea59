namespace Kwik.Streams.Tests;

/// <summary>Test payload.</summary>
internal static class Bytes
{
    public static byte[] Random(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
