using System.Runtime.InteropServices;
using System.Text;

namespace Kwik.Transfer;

/// <summary>
/// Tells regular files from what must not be opened: opening a FIFO waits for its writer, reading a device may have
/// effects.
/// </summary>
internal static class FileKind
{
    // linux/stat.h and linux/fcntl.h: the same on every architecture, which is why it is statx and not stat.
    private const int CurrentDirectory = -100;
    private const int NoFollow = 0x100;
    private const uint TypeOnly = 1;
    private const int TypeMask = 0xF000;
    private const int Regular = 0x8000;

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

        if (OperatingSystem.IsLinux())
        {
            return StatX(CurrentDirectory, Encoding.UTF8.GetBytes(path + '\0'), NoFollow, TypeOnly, out Status status) == 0
                && (status.Mode & TypeMask) == Regular;
        }

        return (File.GetAttributes(path) & (FileAttributes.Device | FileAttributes.ReparsePoint)) == 0;
    }

    [DllImport("libc", EntryPoint = "statx")]
    private static extern int StatX(int directory, byte[] path, int flags, uint mask, out Status status);

    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Status
    {
        [FieldOffset(28)]
        public ushort Mode;
    }
}
