using Microsoft.Win32.SafeHandles;

namespace Kwik.Transfer;

/// <summary>
/// By what a change of a file is noticed, or that another one has its name. Only Linux tells inode and device; elsewhere a
/// file that replaces another is noticed by its length and time alone.
/// </summary>
/// <param name="Length">Bytes.</param>
/// <param name="LastWrite">Nanoseconds since 1970, UTC, in steps of the file system's clock: 4 ms are usual, 2 s exist.</param>
/// <param name="Inode">0 where the system does not tell.</param>
/// <param name="Device">0 where the system does not tell.</param>
internal readonly record struct FileStamp(long Length, long LastWrite, ulong Inode, ulong Device)
{
    public DateTime LastWriteUtc => DateTime.UnixEpoch.AddTicks(LastWrite / TimeSpan.NanosecondsPerTick);

    /// <summary>Of a file without a symbolic link at its end.</summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    public static FileStamp Of(string path)
    {
        if (FileStatus.TryGet(path, out FileStatus status))
        {
            return status.Stamp;
        }

        var file = new FileInfo(path);
        return Portable(file.Length, file.LastWriteTimeUtc);
    }

    public static FileStamp Of(SafeFileHandle file) => FileStatus.TryGet(file, out FileStatus status)
        ? status.Stamp
        : Portable(RandomAccess.GetLength(file), File.GetLastWriteTimeUtc(file));

    private static FileStamp Portable(long length, DateTime lastWriteUtc) =>
        new(length, (lastWriteUtc - DateTime.UnixEpoch).Ticks * TimeSpan.NanosecondsPerTick, 0, 0);
}
