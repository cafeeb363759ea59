using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using Kwik.Cli.Commands;
using Kwik.Cli.Output;

namespace Kwik.Cli.Tests.Commands;

/// <summary>The whole tree of commands, and that its help and docs/cli.md say the same.</summary>
public sealed partial class HelpTests : IDisposable
{
    private static readonly RootCommand Root = CommandLine.Create();

    private readonly TemporaryDirectory _here = new();

    public static TheoryData<string> CommandNames => [.. Shown().Select(Help.NameOf)];

    public void Dispose() => _here.Dispose();

    [Theory]
    [MemberData(nameof(CommandNames))]
    public async Task Help_OfEveryCommand_DescribesEverythingAndHasExamples(string name)
    {
        Command command = Shown().Single(command => Help.NameOf(command) == name);

        CommandResult result = await KwikProcess.RunAsync(_here.Path, [.. name.Split(' ', StringSplitOptions.RemoveEmptyEntries), "--help"]);

        result.AssertSuccess();
        Assert.Equal("", result.Errors);
        Assert.DoesNotContain("\u001b", result.Output, StringComparison.Ordinal);
        Assert.Contains(command.Description!, result.Output, StringComparison.Ordinal);
        Assert.All(command.Options, option => Assert.True(option.Description?.Length > 4, $"{option.Name} has no description"));
        Assert.All(command.Arguments, argument => Assert.True(argument.Description?.Length > 4, $"{argument.Name} has no description"));
        Assert.All(command.Options, option => Assert.Contains(option.Name, result.Output, StringComparison.Ordinal));
        Assert.InRange(Examples.All[name].Length, 2, 4);
        Assert.All(Examples.All[name], example => Assert.Contains(example.Line, result.Output, StringComparison.Ordinal));
    }

    [Fact]
    public void Examples_AllOfThem_AreOfCommandsAndCanBeParsed()
    {
        Assert.All(Examples.All.Keys, name => Assert.Contains(name, Shown().Select(Help.NameOf)));
        foreach ((string name, (string Line, string Does)[] examples) in Examples.All)
        {
            Assert.All(examples, example => AssertParses(name, example.Line));
        }
    }

    [Fact]
    public void Document_ExamplesOfIt_CanBeParsed()
    {
        string[] lines = [.. Document.Split('\n').Where(line => line.StartsWith("    kwik ", StringComparison.Ordinal))];

        Assert.NotEmpty(lines);
        Assert.All(lines, line => AssertParses("", line.Trim()));
    }

    [Fact]
    public void Document_EveryCommandAndOption_IsInIt()
    {
        foreach (Command command in Shown().Where(command => command is not RootCommand))
        {
            string section = SectionOf(command);
            Assert.All(
                command.Options.Where(option => !IsEverywhere(option)),
                option => Assert.True(
                    section.Contains(option.Name, StringComparison.Ordinal), $"docs/cli.md has no {option.Name} of {Help.NameOf(command)}"));
        }
    }

    [Fact]
    public void Document_EveryOptionOfIt_Exists()
    {
        HashSet<string> known = [.. Help.AllCommands(Root).SelectMany(command => command.Options).Select(option => option.Name)];

        Assert.All(OptionName().Matches(Document).Select(match => match.Value), name => Assert.Contains(name, known));
    }

    [Fact]
    public void Document_EveryCommandOfIt_Exists()
    {
        string[] headings = [.. Heading().Matches(Document).Select(match => match.Groups[1].Value.Trim())];

        Assert.NotEmpty(headings);
        Assert.All(headings, name => Assert.Contains(name, Shown().Select(Help.NameOf)));
    }

    [Fact]
    public void Document_ExitCodes_AreThoseThatThereAre()
    {
        int[] documented = [.. ExitCodeRow().Matches(Document).Select(match => int.Parse(match.Groups[1].Value, null))];

        Assert.Equal(Enum.GetValues<ExitCode>().Select(code => (int)code), documented);
    }

    [Fact]
    public void Document_JsonKeys_AreThoseThatThereAre()
    {
        HashSet<string> keys = [];
        Collect(typeof(FetchJson), typeof(ProgressJson), typeof(DemoJson), typeof(ServeJson), typeof(DoctorJson), typeof(CertJson), typeof(KeyJson), typeof(AggregateJson), typeof(FailoverJson), typeof(RawJson), typeof(SingleJson), typeof(LatencyJson));
        string[] rows = [.. Document.Split('\n').Where(line => line.StartsWith("| `", StringComparison.Ordinal) && !line.StartsWith("| `-", StringComparison.Ordinal))];

        Assert.All(keys, key => Assert.Contains($"`{key}`", Document, StringComparison.Ordinal));
        Assert.All(
            rows.SelectMany(row => Quoted().Matches(row.Split('|')[1])).Select(match => match.Groups[1].Value),
            key => Assert.Contains(key, keys));

        void Collect(params Type[] types)
        {
            foreach (Type type in types)
            {
                if (JsonObjects.Default.GetTypeInfo(type) is not { Kind: JsonTypeInfoKind.Object } info)
                {
                    continue;
                }

                foreach (JsonPropertyInfo property in info.Properties.Where(property => keys.Add(property.Name)))
                {
                    Type inner = property.PropertyType.IsGenericType ? property.PropertyType.GetGenericArguments()[0] : property.PropertyType;
                    Collect(inner);
                }
            }
        }
    }

    [Theory]
    [InlineData("did you mean 'serve'?", "sevre")]
    [InlineData("did you mean '--output'?", "get", "kwik://h/a", "--ouput", "x")]
    [InlineData("did you mean '--output'?", "get", "--ouput", "x")]
    [InlineData("did you mean '--limit-rate'?", "get", "kwik://h/a", "--limit", "1MB/s")]
    [InlineData("did you mean 'aggregate'?", "bench", "agregate")]
    [InlineData("has no command 'entirely-different'; see 'kwik --help'", "entirely-different")]
    [InlineData("'much' is no value for --max-paths", "get", "kwik://h/a", "--max-paths", "much")]
    [InlineData("one of auto, json, none, plain", "get", "kwik://h/a", "--progress", "loud")]
    [InlineData("see 'kwik get --help'", "get")]
    // What does not print, or orders a terminal about, is no part of a line on standard error; what only parts words is a space.
    [InlineData("'kwik' has no command 'a b c\uFFFD[2J\uFFFDd\uFFFD'", "a\nb\t\u2028c\u001b[2J\u202ed\U000E0041")]
    public async Task Command_WithAMistake_SaysWhatWasMeant(string says, params string[] arguments) =>
        (await KwikProcess.RunAsync(_here.Path, arguments)).AssertFailure(2, says);

    [Theory]
    [InlineData("'7' is no value for --progress, which is one of auto, json, none, plain; see 'kwik get --help'", "get", "kwik://h/a", "--progress", "7")]
    [InlineData("'0' is no value for --progress", "demo", "--progress", "0")]
    [InlineData("'-1' is no value for --progress", "demo", "--progress=-1")]
    [InlineData("'9' is no value for --role, which is one of primary, secondary", "serve", "--root", ".", "--role", "9")]
    [InlineData("'primary,secondary' is no value for --role", "serve", "--root", ".", "--role", "primary,secondary")]
    [InlineData("'9' is no value for --kind, which is one of blackhole, kill, stop", "bench", "failover", "--kind", "kill", "--kind", "9")]
    [InlineData("'1' is no value for kind, which is one of kwik, offered, plain", "bench", "server", "1")]
    public async Task Command_WithANumberOrAListWhereOneNameBelongs_NamesTheNames(string says, params string[] arguments) =>
        (await KwikProcess.RunAsync(_here.Path, arguments)).AssertFailure(2, says);

    public static TheoryData<string, string> ValuesWithNames =>
        [.. Values().Where(value => EnumOf(value.Type) is not null).Select(value => (Help.NameOf(value.Command), value.Symbol.Name))];

    // Whatever options there will be: the names, in letters of either case, and nothing else that an enum could be made of.
    [Theory]
    [MemberData(nameof(ValuesWithNames))]
    public void NamedValue_OfAnyCommand_IsOneOfTheNames(string command, string symbol)
    {
        (Command Command, Symbol Symbol, Type Type) value = Values().Single(value => Help.NameOf(value.Command) == command && value.Symbol.Name == symbol);
        string[] names = Enum.GetNames(EnumOf(value.Type)!);

        Assert.All(names.Concat(names.Select(name => name.ToLowerInvariant())), name => Assert.Empty(Complaints(name)));
        Assert.All(
            Enum.GetValues(EnumOf(value.Type)!).Cast<object>().Select(one => $"{(int)one}").Concat([$"{names[0]},{names[0]}", $" {names[0]}", "9", ""]),
            other => Assert.Contains(Complaints(other), message => message.StartsWith($"'{other}' is no value for {symbol}, which is one of ", StringComparison.Ordinal)));

        IEnumerable<string> Complaints(string text) => Root
            .Parse([.. command.Split(' '), .. value.Symbol is Option ? [symbol, text] : new[] { text }]).Errors.Select(error => error.Message)
            .Where(message => message.Contains(symbol, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Kwik_Alone_ShowsAFirstTransferThatWorks()
    {
        CommandResult result = await KwikProcess.RunAsync(_here.Path);

        result.AssertSuccess();
        Assert.Equal("", result.Errors);
        string[] lines = [.. result.Output.Split('\n').Where(line => line.StartsWith("    ", StringComparison.Ordinal)).Select(line => line.Trim())];
        Assert.All(lines.Where(line => line.StartsWith("kwik", StringComparison.Ordinal)), line => AssertParses("", line.Split("   ")[0]));
        // The same lines, at a port that is free.
        string make = lines.Single(line => line.StartsWith("echo", StringComparison.Ordinal));
        string serve = lines.Single(line => line.StartsWith("kwik serve", StringComparison.Ordinal))["kwik serve ".Length..];
        string get = lines.Single(line => line.StartsWith("kwik get kwik:", StringComparison.Ordinal))["kwik ".Length..];
        await KwikProcess.RunInShellAsync(_here.Path, make);
        await using KwikProcess server = KwikProcess.Start(
            _here.Path, ["serve", .. serve.Split(' '), "--listen", "127.0.0.1:0", "--json", "--cache", "none", "--until-eof"]);
        using var ready = System.Text.Json.JsonDocument.Parse(await server.ReadLineAsync());
        get = get.Replace("127.0.0.1:4433", ready.RootElement.GetProperty("address").GetString(), StringComparison.Ordinal);
        (await KwikProcess.RunAsync(_here.Path, get.Split(' '))).AssertSuccess();
        Assert.Equal("hello\n", File.ReadAllText(_here["copy.txt"]));
    }

    [Fact]
    public async Task Kwik_Version_IsPrinted()
    {
        CommandResult result = await KwikProcess.RunAsync(_here.Path, "--version");

        result.AssertSuccess();
        Assert.Matches(@"^\d+\.\d+\.\d+", result.Output);
    }

    private static string Document { get; } = File.ReadAllText(Path.Combine(RepositoryRoot(), "docs", "cli.md"));

    private static IEnumerable<(Command Command, Symbol Symbol, Type Type)> Values() => Help.AllCommands(Root).SelectMany(command => command.Options
        .Select(option => (command, (Symbol)option, option.ValueType))
        .Concat(command.Arguments.Select(argument => (command, (Symbol)argument, argument.ValueType))));

    private static Type? EnumOf(Type type) =>
        new[] { type, type.GetElementType(), Nullable.GetUnderlyingType(type) }.FirstOrDefault(candidate => candidate is { IsEnum: true });

    private static IEnumerable<Command> Shown() => Help.AllCommands(Root).Where(command => !command.Hidden);

    private static bool IsEverywhere(Option option) => option.Name is "--help" or "--version";

    private static string SectionOf(Command command)
    {
        string name = Help.NameOf(command);
        string[] sections = HeadingLine().Split(Document);
        // What all measurements have is said of bench.
        string parent = command.Parents.OfType<Command>().First() is RootCommand ? "" : SectionOf(command.Parents.OfType<Command>().First());
        return parent + sections.First(
            section => section.StartsWith($"`kwik {name}`", StringComparison.Ordinal) || section.StartsWith($"`kwik {name} ", StringComparison.Ordinal));
    }

    private static void AssertParses(string name, string line)
    {
        string command = line.Split(" | ")[0].Split(" > ")[0].Split(" # ")[0].Replace("eval \"$(", "", StringComparison.Ordinal).TrimEnd('"', ')').Replace('\'', '"');
        string[] words = [.. CommandLineParser.SplitCommandLine(command)];
        Assert.Equal("kwik", words[0]);
        ParseResult parsed = Root.Parse(words[1..]);
        Assert.True(parsed.Errors.Count == 0, $"{line}: {(parsed.Errors.Count > 0 ? parsed.Errors[0].Message : "")}");
        Assert.StartsWith(name, Help.NameOf(parsed.CommandResult.Command), StringComparison.Ordinal);
    }

    private static string RepositoryRoot()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "Kwik.sln")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        return directory ?? throw new InvalidOperationException("Not below the repository.");
    }

    [GeneratedRegex(@"(?<![\w-])--[a-z][a-z-]+")]
    private static partial Regex OptionName();

    [GeneratedRegex(@"^##+ `kwik ([a-z ]+)", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex("`([a-z0-9_]+)`")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"^##+ ", RegexOptions.Multiline)]
    private static partial Regex HeadingLine();

    [GeneratedRegex(@"^\| (\d+) \|", RegexOptions.Multiline)]
    private static partial Regex ExitCodeRow();
}
