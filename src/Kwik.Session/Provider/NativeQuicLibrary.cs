using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Kwik.Sessions;

/// <summary>Asks a loaded library of the MsQuic 2 ABI who it is.</summary>
internal static unsafe class NativeQuicLibrary
{
    private const uint ApiVersion = 2;
    private const uint VersionParameter = 0x01000004;
    private const uint GitHashParameter = 0x01000008;
    private const int GitHashSize = 64;

    // The function table is a structure of pointers.
    private const int SetParamIndex = 3;
    private const int GetParamIndex = 4;

    /// <summary>
    /// Reads version, name and file of a library; false when it does not speak the ABI. Opens and closes it on the way, as
    /// System.Net.Quic does at start: it is left as it was.
    /// </summary>
    public static bool TryInspect(nint handle, [NotNullWhen(true)] out Version? version, out string? name, out string? path)
    {
        version = null;
        name = null;
        path = null;
        if (!NativeLibrary.TryGetExport(handle, "MsQuicOpenVersion", out nint openAddress)
            || !NativeLibrary.TryGetExport(handle, "MsQuicClose", out nint closeAddress))
        {
            return false;
        }

        var open = (delegate* unmanaged[Cdecl]<uint, void***, int>)openAddress;
        var close = (delegate* unmanaged[Cdecl]<void**, void>)closeAddress;
        void** table = null;
        if (Failed(open(ApiVersion, &table)))
        {
            return false;
        }

        try
        {
            var getParam = (delegate* unmanaged[Cdecl]<void*, uint, uint*, void*, int>)table[GetParamIndex];
            uint* numbers = stackalloc uint[4];
            uint size = 4 * sizeof(uint);
            if (Failed(getParam(null, VersionParameter, &size, numbers)))
            {
                return false;
            }

            version = new Version((int)numbers[0], (int)numbers[1], (int)numbers[2], (int)numbers[3]);
            name = ReadName(getParam);
        }
        finally
        {
            close(table);
        }

        path = FindFile(openAddress);
        return true;
    }

    /// <summary>Sets a parameter of the whole library; false when it does not take it.</summary>
    public static bool TrySetGlobal(nint handle, uint parameter, ReadOnlySpan<byte> value)
    {
        var open = (delegate* unmanaged[Cdecl]<uint, void***, int>)NativeLibrary.GetExport(handle, "MsQuicOpenVersion");
        var close = (delegate* unmanaged[Cdecl]<void**, void>)NativeLibrary.GetExport(handle, "MsQuicClose");
        void** table = null;
        if (Failed(open(ApiVersion, &table)))
        {
            return false;
        }

        try
        {
            var setParam = (delegate* unmanaged[Cdecl]<void*, uint, uint, void*, int>)table[SetParamIndex];
            fixed (byte* bytes = value)
            {
                return !Failed(setParam(null, parameter, (uint)value.Length, bytes));
            }
        }
        finally
        {
            close(table);
        }
    }

    private static string? ReadName(delegate* unmanaged[Cdecl]<void*, uint, uint*, void*, int> getParam)
    {
        byte* text = stackalloc byte[GitHashSize + 1];
        new Span<byte>(text, GitHashSize + 1).Clear();
        uint size = GitHashSize;
        return Failed(getParam(null, GitHashParameter, &size, text)) || *text == 0
            ? null
            : Marshal.PtrToStringUTF8((nint)text);
    }

    /// <summary>The file that is mapped where <paramref name="address"/> points; null when the kernel does not say.</summary>
    private static string? FindFile(nint address)
    {
        foreach (string line in File.ReadLines("/proc/self/maps"))
        {
            // "from-to rwxp offset device inode     path", hexadecimal, the path absent for anonymous memory.
            int dash = line.IndexOf('-', StringComparison.Ordinal);
            int blank = line.IndexOf(' ', StringComparison.Ordinal);
            int slash = line.IndexOf('/', StringComparison.Ordinal);
            if (slash >= 0
                && (ulong)address >= ulong.Parse(line.AsSpan(0, dash), NumberStyles.HexNumber, CultureInfo.InvariantCulture)
                && (ulong)address < ulong.Parse(line.AsSpan(dash + 1, blank - dash - 1), NumberStyles.HexNumber, CultureInfo.InvariantCulture))
            {
                return line[slash..];
            }
        }

        return null;
    }

    // On Linux an MsQuic status is an errno, positive for failures.
    private static bool Failed(int status) => status > 0;
}
