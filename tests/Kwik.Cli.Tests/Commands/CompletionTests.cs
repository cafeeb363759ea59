namespace Kwik.Cli.Tests.Commands;

/// <summary>The shells themselves, with the scripts that the command prints.</summary>
public sealed class CompletionTests : IDisposable
{
    private readonly TemporaryDirectory _here = new();

    public void Dispose() => _here.Dispose();

    [Theory]
    [InlineData("kwik g", "get")]
    [InlineData("kwik get --lim", "--limit-rate")]
    [InlineData("kwik get --progress ", "auto json none plain")]
    [InlineData("kwik get --progress p", "plain")]
    [InlineData("kwik bench fail", "failover")]
    [InlineData("kwik completion ", "--help -? -h bash fish zsh")]
    public async Task Bash_AtTheEndOfALine_CompletesIt(string line, string expected)
    {
        string[] words = line.Split(' ');
        // As readline does.
        CommandResult result = await KwikProcess.RunInShellAsync(
            _here.Path,
            $"PATH=$(dirname \"$0\"):$PATH; eval \"$(kwik completion bash)\"; COMP_LINE='{line}'; COMP_POINT={line.Length}; "
            + $"COMP_WORDS=({string.Join(' ', words.Select(word => $"'{word}'"))}); COMP_CWORD={words.Length - 1}; "
            + "$(complete -p kwik | sed 's/.*-F \\([^ ]*\\) .*/\\1/') && echo \"${COMPREPLY[@]}\"; complete -p kwik >&2");

        result.AssertSuccess();
        Assert.Equal(expected, result.Output.Trim());
        Assert.Contains("-o default", result.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("kwik get --lim", "--limit-rate")]
    [InlineData("kwik get --progress ", "auto,json,none,plain")]
    [InlineData("kwik g", "get")]
    public async Task Fish_AtTheEndOfALine_CompletesIt(string line, string expected)
    {
        Assert.SkipUnless(Path.Exists("/usr/bin/fish"), "needs fish");

        CommandResult result = await KwikProcess.RunInShellAsync(
            _here.Path,
            $"export HOME=$PWD PATH=$(dirname \"$0\"):$PATH; kwik completion fish > script; fish -c \"source script; complete -C '{line}'\"");

        result.AssertSuccess();
        string[] replies = [.. result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(reply => reply.Split('\t')[0])];
        Assert.All(expected.Split(','), reply => Assert.Contains(reply, replies));
    }

    [Theory]
    [InlineData("kwik get --lim", "kwik get --limit-rate")]
    [InlineData("kwik comple", "kwik completion")]
    public async Task Zsh_AtTheEndOfALine_CompletesIt(string line, string expected)
    {
        Assert.SkipUnless(Path.Exists("/usr/bin/zsh"), "needs zsh");
        // A line editor in a terminal of its own, to which a tabulator is sent, and then a key that tells what the line is.
        File.WriteAllText(_here["script"], $$"""
            zmodload zsh/zpty
            export PATH="{{Path.GetDirectoryName(KwikProcess.Program)}}:$PATH"
            zpty shell zsh -f -i
            zpty -w shell 'autoload -Uz compinit; compinit -u -d dump; eval "$(kwik completion zsh)"; tell() { print -r -- "$BUFFER" > told; exit }; zle -N tell; bindkey "^X" tell; print ready > ready'
            until [[ -s ready ]]; do zpty -r -t shell ignored; done
            zpty -n -w shell $'{{line}}\t\x18'
            until [[ -s told ]]; do zpty -r -t shell ignored; done
            zpty -d shell
            """);

        CommandResult result = await KwikProcess.RunInShellAsync(_here.Path, "timeout 20 zsh -f script; cat told");

        Assert.Equal(expected, result.Output.Trim());
    }

    [Fact]
    public async Task Completion_OfAShellThatIsNotKnown_Is2() =>
        (await KwikProcess.RunAsync(_here.Path, "completion", "tcsh")).AssertFailure(2, "'bash' 'zsh' 'fish'");
}
