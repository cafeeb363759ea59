using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;

namespace Kwik.Cli.Commands;

/// <summary>What <c>--help</c> prints, and what a command line that has a mistake in it was meant to be.</summary>
internal static partial class Help
{
    /// <summary>Gives every command of the program examples.</summary>
    public static void Install(RootCommand root)
    {
        HelpOption option = root.Options.OfType<HelpOption>().Single();
        option.Description = "Show this.";
        // They are for other systems, and look like paths in a completion.
        option.Aliases.Remove("/?");
        option.Aliases.Remove("/h");
        option.Action = new WithExamples((HelpAction)option.Action!);
        root.Options.OfType<VersionOption>().Single().Description = "Show the version.";
    }

    /// <summary>A command and all below it.</summary>
    public static IEnumerable<Command> AllCommands(Command command) => command.Subcommands.SelectMany(AllCommands).Prepend(command);

    /// <summary>How a command is called, without the program's own name.</summary>
    public static string NameOf(Command command) => command is RootCommand
        ? ""
        : $"{NameOf(command.Parents.OfType<Command>().First())} {command.Name}".TrimStart();

    /// <summary>What is wrong with a command line, one sentence, with what was probably meant.</summary>
    public static string Explain(ParseResult parsed)
    {
        Command command = parsed.CommandResult.Command;
        string name = $"kwik {NameOf(command)}".TrimEnd();
        string[] known = [.. KnownTo(command)];
        // What looks like an option and is none may have become the value of something else.
        Token? unknown = parsed.Tokens.FirstOrDefault(
            token => token.Type == TokenType.Argument && token.Value.StartsWith("--", StringComparison.Ordinal));
        string? word = unknown?.Value ?? (parsed.UnmatchedTokens.Count > 0 ? parsed.UnmatchedTokens[0] : null);
        if (word is null)
        {
            return $"{Reword(parsed.Errors[0].Message).TrimEnd('.')}; see '{name} --help'.";
        }

        string kind = word.StartsWith('-') ? "option" : command.Subcommands.Count > 0 ? "command" : "argument";
        string? nearest = known.Where(candidate => candidate.StartsWith('-') == word.StartsWith('-')).MinBy(candidate => Difference(candidate, word));
        return nearest is not null && Difference(nearest, word) <= Math.Max(1, word.Length / 3)
            ? $"'{name}' has no {kind} '{word}'; did you mean '{nearest}'?"
            : $"'{name}' has no {kind} '{word}'; see '{name} --help'.";
    }

    private static IEnumerable<string> KnownTo(Command command) =>
        command.Subcommands.Where(sub => !sub.Hidden).Select(sub => sub.Name).Concat(command.Options.Select(option => option.Name)).Append("--help");

    private static string Reword(string message)
    {
        Match match = BadValue().Match(message);
        string choices = string.Join(", ", match.Groups["choices"].Value.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return !match.Success ? message
            : $"'{match.Groups["value"]}' is no value for {match.Groups["option"]}{(choices.Length > 0 ? $", which is one of {choices}" : "")}";
    }

    // What is the beginning of a word is meant to be it.
    private static int Difference(string candidate, string word) =>
        word.TrimStart('-').Length > 0 && candidate.StartsWith(word, StringComparison.Ordinal) ? 1 : Distance(candidate, word);

    /// <summary>Letters to add, leave out, change or swap with their neighbours, to make one word of the other.</summary>
    private static int Distance(string a, string b)
    {
        var steps = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            for (int j = 0; j <= b.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    steps[i, j] = i + j;
                    continue;
                }

                int change = steps[i - 1, j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
                steps[i, j] = Math.Min(change, Math.Min(steps[i - 1, j], steps[i, j - 1]) + 1);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    steps[i, j] = Math.Min(steps[i, j], steps[i - 2, j - 2] + 1);
                }
            }
        }

        return steps[a.Length, b.Length];
    }

    // Values that have names are written as people write them.
    [GeneratedRegex(@"(?<=\[default: )[A-Z][A-Za-z|]*(?=\])")]
    private static partial Regex DefaultName();

    // Of System.CommandLine, which tells people the name of a type.
    [GeneratedRegex(@"^Cannot parse argument '(?<value>.*)' for (option|command) '(?<option>.*)' as expected type '[^']*'\.(\s*Did you mean one of the following\?(?<choices>.*))?$", RegexOptions.Singleline)]
    private static partial Regex BadValue();

    private sealed class WithExamples(HelpAction inner) : SynchronousCommandLineAction
    {
        public override bool ClearsParseErrors => true;

        public override int Invoke(ParseResult parseResult)
        {
            TextWriter output = parseResult.InvocationConfiguration.Output;
            using var text = new StringWriter();
            parseResult.InvocationConfiguration.Output = text;
            int exitCode = inner.Invoke(parseResult);
            parseResult.InvocationConfiguration.Output = output;
            output.WriteLine(DefaultName().Replace(text.ToString(), match => match.Value.ToLowerInvariant()).Trim());
            if (Examples.All.TryGetValue(NameOf(parseResult.CommandResult.Command), out (string Line, string Does)[]? examples))
            {
                output.WriteLine();
                output.WriteLine("Examples:");
                foreach ((string line, string does) in examples)
                {
                    output.WriteLine($"  {line}");
                    output.WriteLine($"      {does}");
                }
            }

            return exitCode;
        }
    }
}
