using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

internal static class Reading
{
    /// <summary>Reads to the end, at most <paramref name="chunk"/> bytes a call.</summary>
    public static async Task<byte[]> ReadAllAsync(this KwikStream stream, int chunk = 100_000)
    {
        using var all = new MemoryStream();
        var buffer = new byte[chunk];
        for (int read; (read = await stream.ReadAsync(buffer).WithinAsync()) > 0;)
        {
            all.Write(buffer, 0, read);
        }

        return all.ToArray();
    }

    /// <summary>The next bytes, exactly <paramref name="count"/> of them.</summary>
    public static async Task<byte[]> ReadAsync(this KwikStream stream, int count)
    {
        var buffer = new byte[count];
        await stream.ReadExactlyAsync(buffer).WithinAsync();
        return buffer;
    }

    /// <summary>The fault that a read ends with.</summary>
    public static async Task<KwikException> ReadFaultAsync(this KwikStream stream) =>
        await Assert.ThrowsAnyAsync<KwikException>(() => stream.ReadAllAsync());
}
