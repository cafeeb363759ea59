namespace Kwik.Transfer;

/// <summary>
/// Tells regular files from what must not be opened: opening a FIFO waits for its writer, reading a device may have
/// effects.
/// </summary>
internal static class FileKind
{
    /// <summary>
    /// True for a file that exists, is regular, and is no symbolic link. On other Unix systems than Linux a FIFO passes for
    /// a file: .NET does not tell.
    /// </summary>
    public static bool IsRegular(string path)
    {
        if (!File.Exists(path))
        {
            return false;
        }

        return OperatingSystem.IsLinux()
            ? FileStatus.TryGet(path, out FileStatus status) && status.IsRegular
            : (File.GetAttributes(path) & (FileAttributes.Device | FileAttributes.ReparsePoint)) == 0;
    }
}
