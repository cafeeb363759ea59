namespace Kwik.Cli.Tests;

/// <summary>A directory that goes away with its test.</summary>
public sealed class TemporaryDirectory : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kwik-test-");

    public string Path => _directory.FullName;

    /// <summary>Everything in it, relative, sorted.</summary>
    public IEnumerable<string> Entries => Directory
        .EnumerateFileSystemEntries(Path, "*", SearchOption.AllDirectories)
        .Select(entry => System.IO.Path.GetRelativePath(Path, entry))
        .Order(StringComparer.Ordinal);

    public string this[string relative] => System.IO.Path.Combine(Path, relative);

    /// <summary>Writes a file of random bytes, the same for the same length, and returns them.</summary>
    public byte[] WriteRandom(string relative, int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(this[relative])!);
        File.WriteAllBytes(this[relative], bytes);
        return bytes;
    }

    public void Dispose() => _directory.Delete(recursive: true);
}
