using System.CommandLine;

namespace Kwik.Cli.Commands;

/// <summary>
/// <c>kwik completion</c>: scripts with which shells complete command lines. They ask the program itself, with the directive <c>[suggest]</c>
/// of System.CommandLine, and offer file names where it knows nothing.
/// </summary>
internal static class CompletionCommand
{
    private const string Bash = """
        # bash completion for kwik: eval "$(kwik completion bash)"
        _kwik() {
            local line="${COMP_LINE:0:COMP_POINT}" word="${COMP_WORDS[COMP_CWORD]}" reply
            line="${line#*[[:space:]]}"
            COMPREPLY=()
            while IFS= read -r reply; do
                if [[ -n $reply && $reply == "$word"* ]]; then COMPREPLY+=("$reply"); fi
            done < <("${COMP_WORDS[0]}" "[suggest:${#line}]" "$line" 2>/dev/null)
        }
        complete -o default -F _kwik kwik
        """;

    private const string Zsh = """
        #compdef kwik
        # zsh completion for kwik: eval "$(kwik completion zsh)", or as _kwik in a directory of fpath
        _kwik() {
            local line="${LBUFFER#*[[:space:]]}"
            local -a replies
            replies=("${(@f)$("${words[1]}" "[suggest:${#line}]" "$line" 2>/dev/null)}")
            replies=(${replies:#})
            if (( $#replies )); then compadd -a replies; else _files; fi
        }
        if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _kwik "$@"; else compdef _kwik kwik; fi
        """;

    private const string Fish = """
        # fish completion for kwik: kwik completion fish | source
        function __kwik_complete
            set -l line (string replace -r '^\s*\S+\s+' '' -- (commandline -cp))
            set -l program (string match -r '^\s*\S+' -- (commandline -cp) | string trim)
            $program "[suggest:"(string length -- $line)"]" $line 2>/dev/null
        end
        complete -c kwik -a '(__kwik_complete)'
        """;

    private static readonly Argument<string> Shell = new("shell")
    {
        Description = "The shell that the script is for: bash, zsh or fish.",
        HelpName = "bash|zsh|fish",
    };

    static CompletionCommand() => Shell.AcceptOnlyFromAmong("bash", "zsh", "fish");

    public static Command Create()
    {
        var command = new Command("completion", "Print a script with which a shell completes command lines of kwik.") { Shell };
        command.SetAction(parsed =>
        {
            Console.Out.WriteLine(parsed.GetRequiredValue(Shell) switch { "bash" => Bash, "zsh" => Zsh, _ => Fish });
            return (int)ExitCode.Ok;
        });
        return command;
    }
}
