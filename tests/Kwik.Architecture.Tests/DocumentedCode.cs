using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;
using Kwik.Testing;

namespace Kwik.Architecture.Tests;

/// <summary>
/// Compiles the C# of the pages with the compiler of the SDK, all blocks at once, against the assemblies of this test: those of
/// Kwik, what they use, and .NET.
/// </summary>
internal static partial class DocumentedCode
{
    /// <summary>A whole program with top-level statements, which has what a new console project has and nothing more.</summary>
    public const string Program = "csharp";

    /// <summary>Statements of an asynchronous method, or types, that see the usings and the names of <see cref="Surroundings"/>.</summary>
    public const string Fragment = "csharp fragment";

    /// <summary>There is nothing else that is C#.</summary>
    public static readonly string[] Infos = [Program, Fragment];

    private const string ImplicitUsings = """
        global using System;
        global using System.Collections.Generic;
        global using System.IO;
        global using System.Linq;
        global using System.Net.Http;
        global using System.Threading;
        global using System.Threading.Tasks;
        """;

    // CONTRIBUTING.md tells writers of them.
    private const string FragmentUsings = """
        using System.Net;
        using System.Security.Cryptography;
        using System.Security.Cryptography.X509Certificates;
        using Kwik.Data;
        using Kwik.Hosting;
        using Kwik.Sessions;
        using Kwik.Streams;
        using Kwik.Transfer;
        using Microsoft.Extensions.Configuration;
        using Microsoft.Extensions.DependencyInjection;
        using Microsoft.Extensions.Hosting;
        using Microsoft.Extensions.Logging;
        """;

    // Members, so that a fragment may have variables of the same name.
    private const string Surroundings = """
        static ClientSession session => null!;
        static PrimarySession primary => null!;
        static SecondarySession secondary => null!;
        static KwikListener listener => null!;
        static KwikStream stream => null!;
        static FileCatalog files => null!;
        static CancellationToken cancellationToken => default;
        """;

    /// <summary>Errors and warnings, with the page and the line that they are in; none when all is well.</summary>
    public static async Task<IReadOnlyList<string>> CompileAsync(IEnumerable<CodeBlock> blocks)
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory("kwik-docs-");
        try
        {
            var arguments = new List<string>
            {
                "-nologo", "-target:library", "-nullable:enable", "-langversion:latest", "-nostdlib+", "-warnaserror+",
                // A block may have no await, or show a function that nobody calls there.
                "-nowarn:CS1998,CS8321,CS1701,CS1702,CA1416", $"-out:\"{Path.Combine(folder.FullName, "pages.dll")}\"",
            };
            // What this process could load; the compiler takes implementations as well as references.
            string assemblies = (string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!;
            arguments.AddRange(assemblies.Split(Path.PathSeparator).Select(assembly => $"-reference:\"{assembly}\""));
            int number = 0;
            foreach (string source in blocks.Select((block, i) => Wrap(block, i)).Prepend(ImplicitUsings))
            {
                string file = Path.Combine(folder.FullName, $"{number++}.cs");
                await File.WriteAllTextAsync(file, source);
                arguments.Add($"\"{file}\"");
            }

            string response = Path.Combine(folder.FullName, "csc.rsp");
            await File.WriteAllLinesAsync(response, arguments);
            string output = await RunAsync("exec", await FindCompilerAsync(), "-noconfig", "@" + response);
            // The compiler takes a page for a file beside the one that names it.
            string pages = folder.FullName + Path.DirectorySeparatorChar;
            return [.. output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => line.Trim().Replace(pages, "", StringComparison.Ordinal))];
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    /// <summary>A namespace of its own for each, in which the statements are a method and the types types.</summary>
    private static string Wrap(CodeBlock block, int number)
    {
        string[] lines = block.Code.Split('\n');
        int statements = Array.FindIndex(lines, line => line.Length > 0 && !UsingOrComment().IsMatch(line));
        int types = Array.FindIndex(lines, Math.Max(statements, 0), line => TypeDeclaration().IsMatch(line));
        types = types < 0 ? lines.Length : types;
        bool isFragment = block.Info == Fragment;
        string result = lines.Take(types).Any(line => ReturnOfACode().IsMatch(line)) ? "Task<int>" : "Task";
        var source = new StringBuilder();
        source.AppendLine(CultureInfo.InvariantCulture, $"namespace Pages.Block{number}").AppendLine("{");
        source.AppendLine(isFragment ? FragmentUsings : "");
        Append(source, block, lines, 0, statements);
        source.AppendLine("#line hidden").AppendLine("static class Program").AppendLine("{");
        source.AppendLine(isFragment ? Surroundings : "");
        source.AppendLine(CultureInfo.InvariantCulture, $"static async {result} RunAsync(string[] args)").AppendLine("{");
        Append(source, block, lines, statements, types);
        source.AppendLine("#line hidden").AppendLine("}").AppendLine("}");
        Append(source, block, lines, types, lines.Length);
        return source.AppendLine("#line hidden").AppendLine("}").ToString();
    }

    private static void Append(StringBuilder source, CodeBlock block, string[] lines, int from, int to)
    {
        source.AppendLine(CultureInfo.InvariantCulture, $"#line {block.Line + from} \"{block.Page}\"");
        foreach (string line in lines[from..to])
        {
            source.AppendLine(line);
        }
    }

    // ROOT/sdk/VERSION/Roslyn/bincore/csc.dll of the SDK that global.json chooses.
    private static async Task<string> FindCompilerAsync()
    {
        string version = (await RunAsync("--version")).Trim();
        return Path.Combine(DotnetRoot, "sdk", version, "Roslyn", "bincore", "csc.dll");
    }

    // ROOT/shared/Microsoft.NETCore.App/VERSION
    private static string DotnetRoot { get; } =
        Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));

    private static async Task<string> RunAsync(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(Path.Combine(DotnetRoot, "dotnet"), arguments)
        {
            WorkingDirectory = Repository.Root,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WithinAsync(TestTimeouts.Scenario);
            return await output.WithinAsync() + await errors.WithinAsync();
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    [GeneratedRegex(@"^(using [\w.= <>]+;|//.*)\s*$")]
    private static partial Regex UsingOrComment();

    [GeneratedRegex(@"^(\[|((public|internal|sealed|static|abstract|file|partial|readonly) )*(class|record|struct|interface|enum) )")]
    private static partial Regex TypeDeclaration();

    // Of the program, not of a function in it: at most inside an if.
    [GeneratedRegex(@"^(    )?return (-?\d+|.+ \? \d+ : \d+);")]
    private static partial Regex ReturnOfACode();
}
