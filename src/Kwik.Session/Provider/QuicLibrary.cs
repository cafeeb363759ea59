namespace Kwik.Sessions;

/// <summary>Where the native QUIC library was found.</summary>
public enum QuicLibraryOrigin
{
    /// <summary>The path in the environment variable <see cref="QuicProvider.PathVariable"/>.</summary>
    Environment,

    /// <summary>The system's own: installed by its packages, or part of the operating system.</summary>
    System,

    /// <summary>The one that was built with Kwik and lies with the application.</summary>
    Bundled,
}

/// <summary>The native QUIC library under System.Net.Quic in this process.</summary>
/// <param name="Origin">Where it was found.</param>
/// <param name="Path">The file; null where the operating system brings the library and chooses it itself.</param>
/// <param name="Version">The version that it reports; null where <paramref name="Path"/> is null.</param>
/// <param name="Name">
/// What the library calls its build: the Git hash of an official MsQuic, a name and version for others; null when it says
/// nothing.
/// </param>
public sealed record QuicLibrary(QuicLibraryOrigin Origin, string? Path, Version? Version, string? Name);
