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

    /// <summary>Writes a text; a secret one is for the owner's eyes from its first moment on (mode 0600).</summary>
    public static void Write(string path, string text, bool secret)
    {
        // A file that is replaced would keep its mode.
        File.Delete(path);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (secret && !OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using var writer = new StreamWriter(path, options);
        writer.Write(text.TrimEnd());
        writer.Write('\n');
    }
}
