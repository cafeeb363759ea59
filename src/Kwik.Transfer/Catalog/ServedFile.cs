using Kwik.Data;
using Kwik.Sessions;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Transfer;

/// <summary>By what a change of a file is noticed.</summary>
internal readonly record struct FileStamp(long Length, DateTime LastWriteUtc)
{
    public static FileStamp Of(string path)
    {
        var file = new FileInfo(path);
        return new(file.Length, file.LastWriteTimeUtc);
    }

    public static FileStamp Of(SafeFileHandle file) => new(RandomAccess.GetLength(file), File.GetLastWriteTimeUtc(file));
}

/// <summary>A file that is read for clients; one that is no longer as it was catalogued fails every read.</summary>
internal sealed class ServedFile : IContent
{
    private readonly string _path;
    private readonly FileStamp _stamp;
    private readonly ContentTree? _tree;
    private readonly SafeFileHandle _file;

    private ServedFile(string path, FileStamp stamp, ContentTree? tree, SafeFileHandle file)
    {
        _path = path;
        _stamp = stamp;
        _tree = tree;
        _file = file;
    }

    public long Length => _stamp.Length;

    /// <summary>Opens a file that is as <paramref name="stamp"/> says; without its tree it can be read only.</summary>
    /// <exception cref="IOException">It is not, or cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">This process may not read it.</exception>
    public static ServedFile Open(string path, FileStamp stamp, ContentTree? tree)
    {
        // Shared with everybody: a server does not keep others from writing, it notices.
        SafeFileHandle file = File.OpenHandle(
            path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.Asynchronous);
        var served = new ServedFile(path, stamp, tree, file);
        try
        {
            served.ThrowIfChanged();
            return served;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public async ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int read = await RandomAccess.ReadAsync(_file, buffer, offset, cancellationToken);
        // After the read: what was read before the check was there before any change that the check can miss.
        ThrowIfChanged();
        return read;
    }

    public ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken) => _tree is not null
        ? ValueTask.FromResult(_tree.GetLeafHashes(firstLeaf))
        : throw new InvalidOperationException($"The file '{_path}' was opened to compute its tree.");

    public ValueTask DisposeAsync()
    {
        _file.Dispose();
        return ValueTask.CompletedTask;
    }

    private void ThrowIfChanged()
    {
        if (FileStamp.Of(_file) != _stamp)
        {
            throw new IOException($"The file '{_path}' was changed after it was catalogued.");
        }
    }
}
