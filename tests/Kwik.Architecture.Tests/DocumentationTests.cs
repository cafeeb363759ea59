using System.CommandLine;
using System.Reflection;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Kwik.Architecture.Tests;

/// <summary>What the pages show works: CONTRIBUTING.md, "Pages".</summary>
public sealed partial class DocumentationTests
{
    // What a reader puts in the place of these; the second form is a pin as any other.
    private const string Pin = "sha256/Qnq1LkZrOj0mcnEThtFPrXtTGEIcZ0Sgw7JnJ7wjPlc=";

    private static IEnumerable<CodeBlock> Blocks => MarkdownPage.All.SelectMany(page => page.Blocks);

    [Fact]
    public async Task CSharpBlocks_OfAllPages_Compile()
    {
        CodeBlock[] blocks = [.. Blocks.Where(block => DocumentedCode.Infos.Contains(block.Info))];
        Assert.Contains(blocks, block => block is { Page: "README.md", Info: DocumentedCode.Program });

        Violations.None(await DocumentedCode.CompileAsync(blocks), "The C# of the pages compiles:");
    }

    [Fact]
    public async Task CSharpBlock_ThatDoesNotCompile_IsReportedAtItsLine()
    {
        CodeBlock[] blocks =
        [
            new("a.md", 7, DocumentedCode.Program, "using System.Net;\nConsole.WriteLine(IPAddress.Loopback);\nreturn 0;\n"),
            new("b.md", 3, DocumentedCode.Fragment, "await using KwikStream mine = await session.OpenStreamSync();\nawait mine.WriteAsync(nothing);\n"),
            new("c.md", 5, DocumentedCode.Program, "await session.OpenStreamSync();\n"),
            new("d.md", 5, DocumentedCode.Fragment, "sealed class Own : IProgress<int>\n{\n    public void Report(int value)\n    {\n    }\n}\n"),
        ];

        string[] errors = [.. await DocumentedCode.CompileAsync(blocks)];

        Assert.Equal(["b.md(4,", "c.md(5,"], errors.Select(error => error[..7]).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void CodeBlocks_OfAllPages_AreOfAKnownKind()
    {
        string[] kinds = [.. DocumentedCode.Infos, "json", "jsonc", "sh", "xml", "ini", "text", "proto", "dockerfile", "yaml", ""];

        Violations.None(
            Blocks.Where(block => !kinds.Contains(block.Info)).Select(block => $"{block.Page}({block.Line}): {block.Info}"),
            "A fence says what it is, so that it can be checked:");
    }

    [Fact]
    public void JsonBlocks_OfAllPages_Parse() => Violations.None(
        Blocks.Where(block => block.Info is "json" or "jsonc").SelectMany(JsonFaults), "The JSON of the pages parses:");

    [Fact]
    public void JsonBlock_WithAComment_IsJsonc()
    {
        var block = new CodeBlock("a.md", 1, "json", "{ \"a\": 1 } // one");

        Assert.Single(JsonFaults(block));
        Assert.Empty(JsonFaults(block with { Info = "jsonc" }));
        Assert.Single(JsonFaults(block with { Info = "jsonc", Code = "{ \"a\": }" }));
    }

    [Fact]
    public void CommandLines_OfAllPages_AreUnderstoodByTheCommand()
    {
        RootCommand command = Command();
        (string Page, int Line, string Text)[] lines =
            [.. MarkdownPage.All.SelectMany(page => page.CommandLines().Select(line => (page.Path, line.Line, line.Command)))];

        Assert.Contains(lines, line => line.Page == "README.md");
        Violations.None(
            lines.SelectMany(line => Misunderstood(command, line.Text).Select(error => $"{line.Page}({line.Line}): {error}")),
            "What the pages type is what the command understands:");
    }

    [Fact]
    public void CommandLine_OfAPage_IsFoundAndJudged()
    {
        var page = new MarkdownPage(
            "a.md", "Text kwik get x.\n\n    kwik get kwik://h/f \\\n        -o 'my file' # why\n\n```sh\nkwik get kwik://h/f --no-such\n```\n\n```text\nkwik nothing\n```\n");

        Assert.Equal([(3, "get kwik://h/f -o 'my file' # why"), (7, "get kwik://h/f --no-such")], page.CommandLines());
        Assert.Equal(["get", "kwik://h/f", "-o", "my file"], Split("get kwik://h/f -o 'my file' # why"));
        Assert.Empty(Misunderstood(Command(), "get kwik://h/f -o 'my file' --pin sha256/PIN # why"));
        Assert.NotEmpty(Misunderstood(Command(), "get kwik://h/f --no-such"));
    }

    [Fact]
    public void Links_OfAllPages_LeadSomewhere() => Violations.None(
        MarkdownPage.All.SelectMany(page => page.Links
            .Where(link => !Path.Exists(Path.Combine(Repository.Root, Path.GetDirectoryName(page.Path)!, link)))
            .Select(link => $"{page.Path}: {link}")),
        "Every relative link names a file or a folder:");

    private static IEnumerable<string> JsonFaults(CodeBlock block)
    {
        bool withComments = block.Info == "jsonc";
        string? fault = null;
        try
        {
            using JsonDocument document = JsonDocument.Parse(block.Code, new()
            {
                CommentHandling = withComments ? JsonCommentHandling.Skip : JsonCommentHandling.Disallow,
                AllowTrailingCommas = withComments,
            });
        }
        catch (JsonException e)
        {
            fault = e.Message;
        }

        return fault is null ? [] : [$"{block.Page}({block.Line}): {fault}"];
    }

    // The command's own grammar, which nobody else needs to see.
    private static RootCommand Command() => (RootCommand)Repository.Assemblies["Kwik.Cli"]
        .GetType("Kwik.Cli.CommandLine", throwOnError: true)!
        .GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic | BindingFlags.Public)!
        .Invoke(null, null)!;

    private static IEnumerable<string> Misunderstood(RootCommand command, string line)
    {
        string typed = Placeholder().Replace(line, Pin);
        return command.Parse(Split(typed)).Errors.Select(error => $"kwik {line}: {error.Message}");
    }

    /// <summary>As a shell would, up to the first comment, pipe or redirection.</summary>
    private static string[] Split(string line) =>
    [
        .. Word().Matches(line)
            .Select(word => word.Value)
            .TakeWhile(word => word is not ("#" or "|" or "&" or "&&" or ";") && !word.StartsWith('#') && !word.StartsWith('>'))
            .Select(word => word.Replace("'", "", StringComparison.Ordinal).Replace("\"", "", StringComparison.Ordinal)),
    ];

    [GeneratedRegex(@"sha256/(PIN|BASE64|\.\.\.)")]
    private static partial Regex Placeholder();

    [GeneratedRegex("""(?:'[^']*'|"[^"]*"|[^\s'"])+""")]
    private static partial Regex Word();
}
