using System.Text.RegularExpressions;

namespace Kwik.Architecture.Tests;

/// <summary>A fenced block of a page.</summary>
/// <param name="Page">Path from the root.</param>
/// <param name="Line">Of its first line of code, from 1.</param>
/// <param name="Info">What follows the fence: language and more.</param>
/// <param name="Code">What is between the fences.</param>
internal sealed record CodeBlock(string Page, int Line, string Info, string Code);

/// <summary>A page of the documentation.</summary>
internal sealed partial record MarkdownPage(string Path, string Text)
{
    /// <summary>README.md and its neighbours, docs, and what the packages say of themselves.</summary>
    public static IReadOnlyList<MarkdownPage> All { get; } =
    [
        .. new[] { "", "docs", "src", "packaging", "samples", "bench" }
            .SelectMany(folder => Directory.EnumerateFiles(
                System.IO.Path.Combine(Repository.Root, folder), "*.md", folder == "" ? SearchOption.TopDirectoryOnly : SearchOption.AllDirectories))
            .Select(file => System.IO.Path.GetRelativePath(Repository.Root, file).Replace('\\', '/'))
            .Where(path => !path.Split('/').Any(part => part is "bin" or "obj"))
            .Order(StringComparer.Ordinal)
            .Select(path => new MarkdownPage(path, Repository.Read(path))),
    ];

    public IEnumerable<CodeBlock> Blocks => Fence().Matches(Text).Select(fence => new CodeBlock(
        Path, 1 + Text.AsSpan(0, fence.Groups["code"].Index).Count('\n'), fence.Groups["info"].Value, fence.Groups["code"].Value));

    /// <summary>The relative targets of its links, without what follows a #.</summary>
    public IEnumerable<string> Links => Link().Matches(Text)
        .Select(link => link.Groups[1].Value.Split('#')[0])
        .Where(target => target.Length > 0 && !target.Contains("://", StringComparison.Ordinal));

    /// <summary>The lines of its code, fenced or indented, that begin with the command; continued lines are one.</summary>
    public IEnumerable<(int Line, string Command)> CommandLines()
    {
        string[] lines = Text.Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            Match start = CommandLine().Match(lines[i]);
            bool isCode = lines[i].StartsWith("    ", StringComparison.Ordinal) || IsFenced(i);
            if (start.Success && isCode)
            {
                int first = i + 1;
                string command = start.Groups[1].Value;
                while (command.EndsWith('\\') && i + 1 < lines.Length)
                {
                    command = command[..^1] + lines[++i].Trim();
                }

                yield return (first, command);
            }
        }
    }

    private bool IsFenced(int line)
    {
        int number = line + 1;
        return Blocks.Any(block => block.Info is "sh" or "" && number >= block.Line && number < block.Line + block.Code.Count(c => c == '\n'));
    }

    [GeneratedRegex(@"^```(?<info>[^\n`]*)\n(?<code>.*?)^```[ ]*$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex Fence();

    [GeneratedRegex(@"\]\(([^)\s]+)\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"^\s*(?:\$ )?(?:\./)?kwik ((?:[a-z]|--).*)$")]
    private static partial Regex CommandLine();
}
