using Kwik.Streams;

namespace Kwik.Session.Tests;

/// <summary>Reads streams with plain awaits; the base class's own loops leave the simulation's thread.</summary>
internal static class StreamReading
{
    public static async Task<byte[]> ReadAllAsync(this KwikStream stream)
    {
        var all = new MemoryStream();
        var buffer = new byte[32 * 1024];
        while (await stream.ReadAsync(buffer) is > 0 and int read)
        {
            all.Write(buffer, 0, read);
        }

        return all.ToArray();
    }
}
