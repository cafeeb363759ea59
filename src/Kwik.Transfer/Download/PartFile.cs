using Microsoft.Win32.SafeHandles;

namespace Kwik.Transfer;

/// <summary>
/// The file that a target grows in, beside it; it becomes the target when it is whole, and else goes away. Not safe for
/// concurrent use.
/// </summary>
internal sealed class PartFile : IDisposable
{
    private const string Suffix = ".kwik-part";

    private readonly string _target;
    private readonly string _path;
    private readonly SafeFileHandle _file;
    private bool _committed;

    private PartFile(string target, string path, SafeFileHandle file)
    {
        _target = target;
        _path = path;
        _file = file;
    }

    /// <summary>Bytes written.</summary>
    public long Length { get; private set; }

    /// <summary>Refuses a target that could not be committed at the end.</summary>
    /// <exception cref="TransferException">TargetExists or Disk.</exception>
    public static void Check(string target, bool overwrite)
    {
        if (Directory.Exists(target) || Path.GetFileName(target).Length == 0)
        {
            throw new TransferException(TransferError.Disk, $"'{target}' is a directory; name the file to write.");
        }

        if (File.Exists(target) && !overwrite)
        {
            throw TargetExists(target);
        }
    }

    /// <summary>Makes the file, with room for <paramref name="length"/> bytes. A left-over of an earlier process is replaced.</summary>
    /// <exception cref="TransferException">Disk: there is no room, it may not be written, or another process writes it.</exception>
    public static PartFile Create(string target, long length)
    {
        string path = target + Suffix;
        try
        {
            SafeFileHandle file = File.OpenHandle(
                path, FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.Asynchronous, preallocationSize: length);
            return new(target, path, file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritable(path, e);
        }
    }

    /// <summary>Appends.</summary>
    /// <exception cref="TransferException">Disk.</exception>
    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        try
        {
            await RandomAccess.WriteAsync(_file, bytes, Length, cancellationToken);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritable(_path, e);
        }

        Length += bytes.Length;
    }

    /// <summary>Flushes to the disk and gives the file its name.</summary>
    /// <exception cref="TransferException">Disk, or TargetExists when it came into being meanwhile.</exception>
    public void Commit(bool overwrite)
    {
        try
        {
            RandomAccess.FlushToDisk(_file);
            _file.Dispose();
            File.Move(_path, _target, overwrite);
            _committed = true;
        }
        catch (IOException) when (!overwrite && File.Exists(_target))
        {
            throw TargetExists(_target);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw NotWritable(_target, e);
        }
    }

    /// <summary>Removes what was not committed.</summary>
    public void Dispose()
    {
        if (!_committed)
        {
            File.Delete(_path);
        }

        _file.Dispose();
    }

    private static TransferException TargetExists(string target) =>
        new(TransferError.TargetExists, $"'{target}' exists already.");

    private static TransferException NotWritable(string path, Exception e) =>
        new(TransferError.Disk, $"'{path}' cannot be written: {e.Message}", e);
}
