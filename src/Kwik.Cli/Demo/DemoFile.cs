using System.Security.Cryptography;

namespace Kwik.Cli.Demo;

/// <summary>
/// The file that the demo fetches: random bytes, so that nothing can compress them, and the same for the same seed.
/// </summary>
internal static class DemoFile
{
    private const int ChunkSize = 1024 * 1024;

    /// <summary>Writes it; returns its SHA-256 as 64 lower-case hexadecimal digits.</summary>
    public static async Task<string> WriteAsync(string path, long length, int seed, CancellationToken cancellationToken)
    {
        var random = new Random(seed);
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0);
        var chunk = new byte[ChunkSize];
        for (long left = length; left > 0; left -= chunk.Length)
        {
            Memory<byte> bytes = chunk.AsMemory(0, (int)Math.Min(left, chunk.Length));
            random.NextBytes(bytes.Span);
            sha256.AppendData(bytes.Span);
            await file.WriteAsync(bytes, cancellationToken);
        }

        return Convert.ToHexStringLower(sha256.GetHashAndReset());
    }
}
