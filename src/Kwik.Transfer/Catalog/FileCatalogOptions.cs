using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Kwik.Transfer;

/// <summary>What a catalog keeps of the files that it has read, and where.</summary>
public sealed record FileCatalogOptions
{
    private const long MiB = 1024 * 1024;

    /// <summary>
    /// The directory that keeps the trees of files for the next start, made when it is needed and readable by this user only.
    /// Null or empty: none, every start reads every file again. It may not lie in the directory that is served. Default:
    /// <see cref="DefaultCacheDirectory"/>, unless that lies there.
    /// </summary>
    /// <remarks>
    /// A kept tree counts for a file of the same path, length, time of last write, inode and device. Who can write to this
    /// directory decides what this server says its files contain: one that others may write to is not used.
    /// </remarks>
    public string? CacheDirectory { get; init; } = DefaultCacheDirectory;

    /// <summary>Bytes of that directory; what was used least lately goes first. 1 MiB to 1 TiB, default 1 GiB: trees for 8 TiB.</summary>
    public long MaxCacheBytes { get; init; } = 1024 * MiB;

    /// <summary>
    /// Memory for trees, bytes; the one used last stays in any case. A tree that has to go is read from the cache directory, or
    /// computed, when it is wanted again. 1 MiB to 64 GiB, default 64 MiB: trees for 512 GiB.
    /// </summary>
    public long MaxTreeMemory { get; init; } = 64 * MiB;

    /// <summary>Longest file that is served, bytes, 0 or more; null, the default: no limit. A longer one is not found.</summary>
    public long? MaxFileBytes { get; init; }

    /// <summary>
    /// What the names of served files end with, <c>.iso</c> or <c>.tar.gz</c>, upper or lower case; empty, the default: anything.
    /// Where a symbolic link is followed, the name that it leads to counts.
    /// </summary>
    public IReadOnlyList<string> AllowedExtensions { get; init; } = [];

    /// <summary>Where the catalog logs; default: nowhere.</summary>
    public ILoggerFactory LoggerFactory { get; init; } = NullLoggerFactory.Instance;

    /// <summary>The clock; default: the system's.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>
    /// <c>kwik/trees</c> below the user's directory for caches: XDG_CACHE_HOME, or <c>.cache</c> in the home directory, or
    /// LocalApplicationData. Null for a user who has none.
    /// </summary>
    public static string? DefaultCacheDirectory
    {
        get
        {
            string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile, Environment.SpecialFolderOption.DoNotVerify);
            string? caches =
                Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { } given && Path.IsPathFullyQualified(given) ? given
                : !OperatingSystem.IsLinux() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                : home.Length > 0 ? Path.Combine(home, ".cache")
                : null;
            return string.IsNullOrEmpty(caches) ? null : Path.Combine(caches, "kwik", "trees");
        }
    }

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(MaxFileBytes ?? 0, nameof(MaxFileBytes));
        ArgumentNullException.ThrowIfNull(AllowedExtensions);
        foreach (string extension in AllowedExtensions)
        {
            if (extension is not ['.', _, ..] || extension.AsSpan().ContainsAny('/', '\\', '*'))
            {
                throw new ArgumentException($"'{extension}' is no extension; write it as '.iso'.", nameof(AllowedExtensions));
            }
        }

        ArgumentOutOfRangeException.ThrowIfLessThan(MaxCacheBytes, MiB);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxCacheBytes, 1024 * 1024 * MiB);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxTreeMemory, MiB);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(MaxTreeMemory, 64 * 1024 * MiB);
    }

    /// <summary>True when a file of this name may be served, if it is not too long.</summary>
    internal bool Allows(string name) =>
        AllowedExtensions.Count == 0
        || AllowedExtensions.Any(extension => name.EndsWith(extension, StringComparison.OrdinalIgnoreCase));
}
