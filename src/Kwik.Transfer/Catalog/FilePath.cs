using System.Diagnostics.CodeAnalysis;

namespace Kwik.Transfer;

/// <summary>From what a client asks for to a file below one directory, or to nothing.</summary>
internal static class FilePath
{
    /// <summary>Longest path that is looked at, characters.</summary>
    public const int MaxLength = 1024;

    // As in the Linux kernel; a loop of links ends here.
    private const int MaxLinks = 40;

    private static readonly char[] Invalid = Path.GetInvalidFileNameChars();

    /// <summary>
    /// Finds a regular file. <paramref name="path"/> is relative, '/'-separated, and has no empty, '.' or '..' component.
    /// Symbolic links are followed, as long as they stay below <paramref name="root"/>.
    /// </summary>
    /// <param name="root">A directory without symbolic links on its way: see <see cref="Canonicalize"/>.</param>
    /// <param name="path">What was asked for; not trusted.</param>
    /// <param name="file">The file, with no symbolic link on its way.</param>
    public static bool TryFind(string root, string path, [NotNullWhen(true)] out string? file)
    {
        file = null;
        if (path.Length is 0 or > MaxLength || !path.Split('/').All(IsName))
        {
            return false;
        }

        if (Canonicalize(Path.Combine(root, path)) is not { } found || !IsBelow(root, found) || !FileKind.IsRegular(found))
        {
            return false;
        }

        file = found;
        return true;
    }

    /// <summary>
    /// The absolute path to the same place without symbolic links; null when there are too many, or they cannot be read.
    /// What does not exist is no link.
    /// </summary>
    public static string? Canonicalize(string path)
    {
        string pending = Path.GetFullPath(path);
        for (int links = 0; links <= MaxLinks; links++)
        {
            if (!TryFollowFirstLink(pending, out string? target))
            {
                return null;
            }

            if (target is null)
            {
                return Path.TrimEndingDirectorySeparator(pending);
            }

            pending = target;
        }

        return null;
    }

    /// <summary>True when a path leads below a directory; both are as <see cref="Canonicalize"/> gives them.</summary>
    public static bool IsBelow(string root, string file) =>
        file.StartsWith(Path.EndsInDirectorySeparator(root) ? root : root + Path.DirectorySeparatorChar, StringComparison.Ordinal);

    private static bool IsName(string component) => component is not ("" or "." or "..") && component.IndexOfAny(Invalid) < 0;

    /// <summary>Replaces the first link on the way by what it names; <paramref name="target"/> is null when there is none.</summary>
    private static bool TryFollowFirstLink(string path, out string? target)
    {
        target = null;
        string place = Path.GetPathRoot(path)!;
        string[] components = path[place.Length..].Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries);
        for (int i = 0; i < components.Length; i++)
        {
            string parent = place;
            place = Path.Combine(parent, components[i]);
            try
            {
                if (new FileInfo(place).LinkTarget is { } link)
                {
                    target = Path.GetFullPath(Path.Combine([link, .. components[(i + 1)..]]), parent);
                    return true;
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }

        return true;
    }
}
