using System.Net.Quic;
using System.Runtime.InteropServices;
using Kwik.Data;

namespace Kwik.Sessions;

/// <summary>
/// Chooses the native library that System.Net.Quic runs on, and loads it. Everything in Kwik that uses QUIC calls
/// <see cref="EnsureLoaded"/> first; a program that uses System.Net.Quic itself beside Kwik does the same.
/// </summary>
/// <remarks>
/// On Linux the choice is: the path in <see cref="PathVariable"/> if that is set; else the system's own
/// <c>libmsquic.so.2</c> if it loads and is at least <see cref="MinimumVersion"/>; else the one that lies with the
/// application: at <see cref="BundledPath"/>, or wherever the host finds the asset of the package Kwik.Native.linux-x64. To
/// load it is enough: the dynamic linker answers the later request of System.Net.Quic, which is by name, with the library of
/// that name that is loaded already. On other systems nothing is loaded here and System.Net.Quic finds its library itself.
/// </remarks>
public static class QuicProvider
{
    /// <summary>The environment variable with the path of the library to use: <c>KWIK_MSQUIC</c>.</summary>
    public const string PathVariable = "KWIK_MSQUIC";

    /// <summary>Where the bundled library lies, below the directory of the application.</summary>
    public const string BundledPath = "runtimes/linux-x64/native/" + LibraryName;

    /// <summary>Length of the key of stateless resets, bytes: 32, as MsQuic has it.</summary>
    public const int StatelessResetKeyLength = 32;

    private const string LibraryName = "libmsquic.so.2";

    // The asset of the package. Under the name that System.Net.Quic asks for, the host would offer it before the system's.
    private const string PackagedName = "libmsquic-kwik.so.2";

    private const uint StatelessResetKeyParameter = 0x0100000B;

    // Success and failure are both final: System.Net.Quic looks for its library once in the life of a process.
    private static readonly Lazy<QuicLibrary> Loaded = new(Load);

    /// <summary>The oldest system library that is used: 2.4, the first that validates certificates asynchronously.</summary>
    public static Version MinimumVersion { get; } = new(2, 4);

    /// <summary>
    /// Loads the library if this has not happened yet, and says which one it is. Safe from any thread; every call gives the
    /// same result. To be called before anything touches System.Net.Quic, which would choose for itself.
    /// </summary>
    /// <exception cref="KwikException">
    /// <see cref="KwikError.Internal"/>, <see cref="KwikErrorSide.Local"/>: no library could be had, or System.Net.Quic does
    /// not accept it; the message says what to do.
    /// </exception>
    public static QuicLibrary EnsureLoaded() => Loaded.Value;

    /// <summary>
    /// Gives the library the key of its stateless resets (RFC 9000, 10.3) in place of the random one that it starts with. A
    /// server that is started again with the key it had before ends the connections of its former life at their first packet;
    /// otherwise each client waits for its own timeout. The key is the whole process' and must be as secret as a private
    /// key: who has it can end connections whose packets he sees. To be called when a listener or a connection is open, and
    /// before what is accepted is to be protected; later calls replace the key.
    /// </summary>
    /// <param name="key">Exactly <see cref="StatelessResetKeyLength"/> bytes.</param>
    /// <returns>False when the library does not take it, and on other systems than Linux: the random key stays.</returns>
    /// <exception cref="ArgumentException">The key has another length.</exception>
    /// <exception cref="KwikException">As <see cref="EnsureLoaded"/>.</exception>
    public static bool TrySetStatelessResetKey(ReadOnlySpan<byte> key)
    {
        if (key.Length != StatelessResetKeyLength)
        {
            throw new ArgumentException($"The key has {StatelessResetKeyLength} bytes, not {key.Length}.", nameof(key));
        }

        EnsureLoaded();
        return OperatingSystem.IsLinux()
            && NativeLibrary.TryLoad(LibraryName, typeof(QuicConnection).Assembly, null, out nint handle)
            && NativeQuicLibrary.TrySetGlobal(handle, StatelessResetKeyParameter, key);
    }

    private static QuicLibrary Load()
    {
        QuicLibrary library = OperatingSystem.IsLinux()
            ? Choose(Environment.GetEnvironmentVariable(PathVariable), AppContext.BaseDirectory)
            : new(QuicLibraryOrigin.System, Path: null, Version: null, Name: null);
        return QuicConnection.IsSupported
            ? library
            : throw Unusable(library.Path is null
                ? "QUIC is not supported on this system; see the requirements of System.Net.Quic."
                : $"System.Net.Quic does not accept '{library.Path}': it needs IPv6 in the kernel, and must not have been "
                    + $"used before {nameof(QuicProvider)}.{nameof(EnsureLoaded)}.");
    }

    /// <summary>The choice on Linux, apart from the process for the tests' sake.</summary>
    internal static QuicLibrary Choose(string? environmentPath, string applicationDirectory)
    {
        if (!string.IsNullOrEmpty(environmentPath))
        {
            return LoadFile(QuicLibraryOrigin.Environment, Path.GetFullPath(environmentPath))
                ?? throw Unusable($"{PathVariable} names '{environmentPath}', which is not a file.");
        }

        string bundled = Path.Combine(applicationDirectory, BundledPath);
        return LoadSystem()
            ?? LoadFile(QuicLibraryOrigin.Bundled, bundled)
            ?? LoadPackaged(bundled);
    }

    private static QuicLibrary? LoadSystem()
    {
        if (!NativeLibrary.TryLoad(LibraryName, out nint handle))
        {
            return null;
        }

        if (NativeQuicLibrary.TryInspect(handle, out Version? version, out string? name, out string? path)
            && version >= MinimumVersion)
        {
            return new(QuicLibraryOrigin.System, path, version, name);
        }

        // Too old, or something else under this name. It has to go, or it would answer for the one that is loaded next.
        NativeLibrary.Free(handle);
        return null;
    }

    private static QuicLibrary? LoadFile(QuicLibraryOrigin origin, string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        try
        {
            return Use(origin, NativeLibrary.Load(path), path);
        }
        catch (Exception e) when (e is DllNotFoundException or BadImageFormatException)
        {
            throw Unusable($"'{path}' does not load as a QUIC library: {e.Message}", e);
        }
    }

    // The host knows from deps.json where the assets of packages are: beside the application or below it, in the cache of
    // packages, or where a single file was unpacked.
    private static QuicLibrary LoadPackaged(string bundled)
    {
        try
        {
            nint handle = NativeLibrary.Load(PackagedName, typeof(QuicProvider).Assembly, null);
            return Use(QuicLibraryOrigin.Bundled, handle, PackagedName);
        }
        catch (DllNotFoundException e)
        {
            throw Unusable(
                $"No QUIC library: the system has no {LibraryName} of version {MinimumVersion} or later, and there is none at "
                    + $"'{bundled}'. Reference the package Kwik.Native.linux-x64, which needs libgnutls.so.30, install the "
                    + $"system's package libmsquic, or set {PathVariable} to the path of one; in a clone of the repository, "
                    + "'./kwik doctor' builds it.",
                e);
        }
    }

    /// <summary>Checks a loaded library; <paramref name="path"/> is what it was loaded by.</summary>
    private static QuicLibrary Use(QuicLibraryOrigin origin, nint handle, string path)
    {
        if (!NativeQuicLibrary.TryInspect(handle, out Version? version, out string? name, out string? mapped))
        {
            throw Unusable($"'{path}' loads, but is not an MsQuic library of version 2.");
        }

        // The very call of System.Net.Quic: a library with another SONAME, or an asset of the host with the same one, would
        // leave it with something else than what we report.
        if (!NativeLibrary.TryLoad(LibraryName, typeof(QuicConnection).Assembly, null, out nint found) || found != handle)
        {
            throw Unusable($"'{path}' loads, but its name is not {LibraryName} or another library has that name, so that System.Net.Quic does not find it.");
        }

        return new(origin, Path.IsPathRooted(path) ? path : mapped, version, name);
    }

    private static KwikException Unusable(string message, Exception? cause = null) =>
        new(KwikError.Internal, KwikErrorSide.Local, message, cause);
}
