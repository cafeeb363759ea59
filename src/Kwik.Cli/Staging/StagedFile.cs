using System.Security.Cryptography;

namespace Kwik.Cli.Staging;

/// <summary>
/// A file that the servers of a stage serve, alone in a temporary directory, which goes away with it: random bytes, so that
/// nothing can compress them, and the same for the same length.
/// </summary>
internal sealed class StagedFile : IDisposable
{
    /// <summary>Its path as a client asks for it.</summary>
    public const string Name = "staged.bin";

    private const int Seed = 20_260_101;
    private const int ChunkSize = 1024 * 1024;

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kwik-files-");

    private StagedFile(long length) => Length = length;

    /// <summary>The directory to serve.</summary>
    public string Root => _directory.FullName;

    /// <summary>Bytes.</summary>
    public long Length { get; }

    /// <summary>SHA-256 as 64 lower-case hexadecimal digits.</summary>
    public string Sha256 { get; private set; } = "";

    /// <summary>Writes it.</summary>
    public static async Task<StagedFile> CreateAsync(long length, CancellationToken cancellationToken)
    {
        var staged = new StagedFile(length);
        try
        {
            await staged.WriteAsync(cancellationToken);
            return staged;
        }
        catch
        {
            staged.Dispose();
            throw;
        }
    }

    /// <summary>Removes the directory.</summary>
    public void Dispose() => _directory.Delete(recursive: true);

    private async Task WriteAsync(CancellationToken cancellationToken)
    {
        var random = new Random(Seed);
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var file = new FileStream(
            Path.Combine(Root, Name), FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0);
        var chunk = new byte[ChunkSize];
        for (long left = Length; left > 0; left -= chunk.Length)
        {
            Memory<byte> bytes = chunk.AsMemory(0, (int)Math.Min(left, chunk.Length));
            random.NextBytes(bytes.Span);
            sha256.AppendData(bytes.Span);
            await file.WriteAsync(bytes, cancellationToken);
        }

        Sha256 = Convert.ToHexStringLower(sha256.GetHashAndReset());
    }
}
