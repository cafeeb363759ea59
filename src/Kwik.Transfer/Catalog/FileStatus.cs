using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Transfer;

/// <summary>What Linux says of a file, and .NET does not.</summary>
[StructLayout(LayoutKind.Explicit, Size = 256)]
internal struct FileStatus
{
    // linux/stat.h and linux/fcntl.h: the same on every architecture, which is why it is statx and not stat.
    [FieldOffset(28)]
    private readonly ushort _mode;

    [FieldOffset(32)]
    private readonly ulong _inode;

    [FieldOffset(40)]
    private readonly long _length;

    [FieldOffset(112)]
    private readonly long _seconds;

    [FieldOffset(120)]
    private readonly uint _nanoseconds;

    [FieldOffset(136)]
    private readonly uint _major;

    [FieldOffset(140)]
    private readonly uint _minor;

    private const int CurrentDirectory = -100;
    private const int NoFollow = 0x100;
    private const int EmptyPath = 0x1000;
    private const uint BasicStatus = 0x7FF;
    private const int TypeMask = 0xF000;
    private const int RegularType = 0x8000;

    public readonly bool IsRegular => (_mode & TypeMask) == RegularType;

    public readonly FileStamp Stamp => new(
        _length, unchecked((_seconds * 1_000_000_000) + _nanoseconds), _inode, ((ulong)_major << 32) | _minor);

    /// <summary>Of what a path names, which may be a symbolic link; false when there is nothing, and on other systems than Linux.</summary>
    public static bool TryGet(string path, out FileStatus status)
    {
        status = default;
        return OperatingSystem.IsLinux()
            && StatX(CurrentDirectory, Encoding.UTF8.GetBytes(path + '\0'), NoFollow, BasicStatus, out status) == 0;
    }

    /// <summary>Of an open file; false on other systems than Linux.</summary>
    public static bool TryGet(SafeFileHandle file, out FileStatus status)
    {
        status = default;
        return OperatingSystem.IsLinux() && StatX(file, [0], EmptyPath, BasicStatus, out status) == 0;
    }

    /// <summary>
    /// Opens what a path names to be looked at, and for nothing else: neither a FIFO nor a device notices. Linux only.
    /// </summary>
    /// <exception cref="IOException">There is nothing, or this process may not look.</exception>
    public static SafeFileHandle OpenPlace(string path)
    {
        SafeFileHandle place = Open(Encoding.UTF8.GetBytes(path + '\0'), PathOnly | CloseOnExec);
        if (place.IsInvalid)
        {
            place.Dispose();
            throw new IOException($"'{path}' cannot be opened: {Marshal.GetLastPInvokeErrorMessage()}.");
        }

        return place;
    }

    // asm-generic/fcntl.h: the same on x64, arm64, arm, riscv and s390x.
    private const int PathOnly = 0x200000;
    private const int CloseOnExec = 0x80000;

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern SafeFileHandle Open(byte[] path, int flags);

    [DllImport("libc", EntryPoint = "statx")]
    private static extern int StatX(int directory, byte[] path, int flags, uint mask, out FileStatus status);

    [DllImport("libc", EntryPoint = "statx")]
    private static extern int StatX(SafeFileHandle file, byte[] path, int flags, uint mask, out FileStatus status);
}
