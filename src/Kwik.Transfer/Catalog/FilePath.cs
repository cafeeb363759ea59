using System.Diagnostics.CodeAnalysis;

namespace Kwik.Transfer;

/// <summary>From what a client asks for to a file below one directory, or to nothing.</summary>
internal static class FilePath
{
    /// <summary>Longest path that is looked at, characters.</summary>
    public const int MaxLength = 1024;

    // As in the Linux kernel; a loop of links ends here.
    private const int MaxLinks = 40;

    // Those of this system, and everywhere what Windows takes for a separator: a directory means the same wherever it is served.
    private static readonly char[] Invalid = [.. Path.GetInvalidFileNameChars(), '\\'];

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

    /// <summary>True when the names on the way from a directory to a file below it are such as a client may ask for.</summary>
    public static bool IsServable(string root, string file)
    {
        string path = file[root.Length..].Trim(Path.DirectorySeparatorChar);
        return path.Length <= MaxLength && path.Split(Path.DirectorySeparatorChar).All(IsName);
    }

    private static bool IsName(string component) =>
        component is not ("" or "." or "..") && component.IndexOfAny(Invalid) < 0 && !component.Any(char.IsControl)
        && IsWellFormed(component) && !IsWindowsName(component);

    // Half a surrogate pair has no bytes of its own: it would name whatever the system makes of it.
    private static bool IsWellFormed(string component)
    {
        for (int i = 0; i < component.Length; i += char.IsHighSurrogate(component[i]) ? 2 : 1)
        {
            if (char.IsLowSurrogate(component[i]) || (char.IsHighSurrogate(component[i]) && !char.IsSurrogatePair(component, i)))
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>
    /// True for a device of Windows, with or without something behind a dot, and for a stream of a file. Refused on every system, so
    /// that moving a directory to another one opens no door.
    /// </summary>
    private static bool IsWindowsName(string component)
    {
        if (component.Contains(":$", StringComparison.Ordinal))
        {
            return true;
        }

        string stem = component[..(component.IndexOfAny(['.', ':']) is >= 0 and int end ? end : component.Length)].TrimEnd(' ').ToUpperInvariant();
        return stem is "CON" or "PRN" or "AUX" or "NUL" or "CONIN$" or "CONOUT$" or "CLOCK$"
            or ['C', 'O', 'M', >= '0' and <= '9' or '\u00b9' or '\u00b2' or '\u00b3']
            or ['L', 'P', 'T', >= '0' and <= '9' or '\u00b9' or '\u00b2' or '\u00b3'];
    }

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
