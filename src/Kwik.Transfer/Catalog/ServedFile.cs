using Kwik.Data;
using Kwik.Sessions;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Transfer;

/// <summary>A file that is read for clients; one that is no longer as it was catalogued fails every read.</summary>
internal sealed class ServedFile : IContent
{
    private readonly string _path;
    private readonly FileStamp _stamp;
    private readonly FileTrees _trees;
    private readonly SafeFileHandle _file;

    private ServedFile(string path, FileStamp stamp, FileTrees trees, SafeFileHandle file)
    {
        _path = path;
        _stamp = stamp;
        _trees = trees;
        _file = file;
    }

    public long Length => _stamp.Length;

    /// <summary>Opens a file that is as <paramref name="stamp"/> says.</summary>
    /// <exception cref="IOException">It is not, or cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">This process may not read it.</exception>
    public static ServedFile Open(string path, FileStamp stamp, FileTrees trees)
    {
        SafeFileHandle file = OpenRegular(path);
        var served = new ServedFile(path, stamp, trees, file);
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

    public async ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken)
    {
        ThrowIfChanged();
        // Asked for each time and not kept, so that the memory of all trees stays within its limit.
        try
        {
            return (await _trees.GetAsync(_path, _stamp).WaitAsync(cancellationToken)).GetLeafHashes(firstLeaf);
        }
        catch (Exception e) when (e is ObjectDisposedException or OperationCanceledException && !cancellationToken.IsCancellationRequested)
        {
            throw new IOException($"The tree of '{_path}' cannot be had any more: its catalog was closed.", e);
        }
    }

    public ValueTask DisposeAsync()
    {
        _file.Dispose();
        return ValueTask.CompletedTask;
    }

    /// <summary>
    /// Opens a regular file, and that one which is at this very place: between the look at the path and this call somebody may have
    /// put a link or a FIFO on the way. Elsewhere than on Linux that somebody is trusted.
    /// </summary>
    private static SafeFileHandle OpenRegular(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            return OpenShared(path);
        }

        using SafeFileHandle place = FileStatus.OpenPlace(path);
        string opened = $"/proc/self/fd/{place.DangerousGetHandle()}";
        if (new FileInfo(opened).LinkTarget != path || !FileStatus.TryGet(place, out FileStatus status) || !status.IsRegular)
        {
            throw new IOException($"'{path}' is no longer the regular file that it was.");
        }

        return OpenShared(opened);
    }

    // Shared with everybody: a server does not keep others from writing, it notices.
    private static SafeFileHandle OpenShared(string path) => File.OpenHandle(
        path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, FileOptions.Asynchronous);

    private void ThrowIfChanged()
    {
        if (FileStamp.Of(_file) != _stamp)
        {
            throw new IOException($"The file '{_path}' was changed after it was catalogued.");
        }
    }
}
