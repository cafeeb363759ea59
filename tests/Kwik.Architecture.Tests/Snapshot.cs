namespace Kwik.Architecture.Tests;

/// <summary>A text file of the repository that a test compares with what the code is now.</summary>
internal static class Snapshot
{
    /// <summary>Set to 1, this environment variable rewrites the files instead of comparing.</summary>
    public const string AcceptVariable = "KWIK_ACCEPT_API";

    /// <summary>Compares, or rewrites; fails with what was added and removed.</summary>
    /// <param name="path">From the root of the repository.</param>
    /// <param name="lines">What the file is to contain.</param>
    public static void Verify(string path, IReadOnlyList<string> lines)
    {
        string file = Path.Combine(Repository.Root, path);
        if (Environment.GetEnvironmentVariable(AcceptVariable) == "1")
        {
            Directory.CreateDirectory(Path.GetDirectoryName(file)!);
            File.WriteAllText(file, string.Concat(lines.Select(line => line + '\n')));
        }

        string[] accepted = File.Exists(file) ? File.ReadAllLines(file) : [];
        string[] changes = [.. Changes(accepted, lines)];
        Assert.True(
            changes.Length == 0 && accepted.SequenceEqual(lines),
            $"{path} is not what the code is now. If the change is meant, run the test again with {AcceptVariable}=1, and commit "
                + $"the file with the change.\n{string.Join('\n', changes)}");
    }

    /// <summary>What is in one of them only, in the order of the files: "-" before what was, "+" before what is new.</summary>
    public static IEnumerable<string> Changes(IEnumerable<string> before, IEnumerable<string> after)
    {
        string[] old = [.. WithHeaders(before)], current = [.. WithHeaders(after)];
        return old.Except(current).Select(line => "- " + line).Concat(current.Except(old).Select(line => "+ " + line));
    }

    // A member alone says little: it is named with its type.
    private static IEnumerable<string> WithHeaders(IEnumerable<string> lines)
    {
        string header = "";
        foreach (string line in lines)
        {
            bool isMember = line.StartsWith(' ');
            header = isMember ? header : line;
            yield return isMember ? $"{header.Split(" : ")[0]}: {line.Trim()}" : line;
        }
    }
}
