using Kwik.Transfer;

namespace Kwik.Cli.Commands;

/// <summary>Writes the files that hold certificates and keys.</summary>
internal static class NewFile
{
    /// <summary>Refuses a file that exists, unless it may be replaced.</summary>
    /// <exception cref="TransferException">TargetExists.</exception>
    public static void Check(string path, bool replace)
    {
        if (!replace && Path.Exists(path))
        {
            throw new TransferException(TransferError.TargetExists, $"'{path}' exists already.");
        }
    }

    /// <summary>True when two paths are one file.</summary>
    public static bool IsSame(string path, string other) => Path.GetFullPath(path) == Path.GetFullPath(other);

    /// <summary>
    /// Writes texts, all or, where they cannot be written, none; what is replaced is there until the new one is whole. A secret one is for
    /// the owner's eyes from its first moment on (mode 0600).
    /// </summary>
    /// <exception cref="TransferException">TargetExists: it came into being meanwhile.</exception>
    public static void Write(bool replace, params ReadOnlySpan<(string Path, string Text, bool IsSecret)> files)
    {
        var written = new List<string>();
        try
        {
            foreach ((string path, string text, bool isSecret) in files)
            {
                string draft = $"{path}.{Path.GetRandomFileName()}";
                written.Add(draft);
                WriteDraft(draft, text, isSecret);
            }

            for (int i = 0; i < files.Length; i++)
            {
                Check(files[i].Path, replace);
                File.Move(written[i], files[i].Path, replace);
            }
        }
        finally
        {
            foreach (string draft in written.Where(File.Exists))
            {
                File.Delete(draft);
            }
        }
    }

    private static void WriteDraft(string path, string text, bool isSecret)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (isSecret && !OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using var file = new FileStream(path, options);
        using var writer = new StreamWriter(file);
        writer.Write(text.TrimEnd());
        writer.Write('\n');
        writer.Flush();
        file.Flush(flushToDisk: true);
    }
}
