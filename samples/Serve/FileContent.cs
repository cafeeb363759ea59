using Microsoft.Win32.SafeHandles;

namespace Kwik.Samples.Serve;

/// <summary>
/// A file that nobody changes meanwhile. Kwik.Transfer serves whole directories, keeps their trees, and notices changes.
/// </summary>
internal sealed class FileContent : SingleContent
{
    private readonly SafeFileHandle _file;

    private FileContent(SafeFileHandle file)
        : base(RandomAccess.GetLength(file)) => _file = file;

    public static FileContent Open(string path) =>
        new(File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.Asynchronous));

    public override ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
        RandomAccess.ReadAsync(_file, buffer, offset, cancellationToken);

    public override ValueTask DisposeAsync()
    {
        _file.Dispose();
        return base.DisposeAsync();
    }
}
