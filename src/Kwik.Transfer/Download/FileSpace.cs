using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Kwik.Transfer;

/// <summary>Gives an open file its length, and the room for it where the system can: .NET can only when it makes a file.</summary>
internal static class FileSpace
{
    // asm-generic/errno.h, the same for x64 and Arm64.
    private const int Interrupted = 4;
    private const int FileTooLarge = 27;
    private const int NoSpace = 28;
    private const int OverQuota = 122;

    /// <summary>Makes a file as long as this.</summary>
    /// <exception cref="IOException">There is no room, or a limit of this process or user is lower.</exception>
    public static void Reserve(SafeFileHandle file, long length)
    {
        if (length > 0 && OperatingSystem.IsLinux() && Environment.Is64BitProcess)
        {
            int error;
            do
            {
                error = Allocate(file, 0, 0, length) == 0 ? 0 : Marshal.GetLastPInvokeError();
            }
            while (error == Interrupted);

            if (error is FileTooLarge or NoSpace or OverQuota)
            {
                throw new IOException($"There is no room for {length} bytes: {Marshal.GetPInvokeErrorMessage(error)}.");
            }

            // Any other error: this file system cannot reserve, and says when it is full.
        }

        RandomAccess.SetLength(file, length);
    }

    [DllImport("libc", EntryPoint = "fallocate", SetLastError = true)]
    private static extern int Allocate(SafeFileHandle file, int mode, long offset, long length);
}
