using System.Text;
using Spectre.Console;

namespace Kwik.Cli.Output;

/// <summary>Where escape sequences may go, and consoles that keep to it.</summary>
internal static class Terminal
{
    // In a file or a pipe there is no window to fit into.
    private const int WidthOfPipes = 120;
    private const int WidthOfPlainTerminals = 80;

    /// <summary>Standard output.</summary>
    public static IAnsiConsole Output() => Create(Console.Out, TakesEscapes(Console.IsOutputRedirected), Console.IsOutputRedirected);

    /// <summary>Standard error.</summary>
    public static IAnsiConsole Errors() => Create(Console.Error, ErrorsTakeEscapes, Console.IsErrorRedirected);

    /// <summary>Standard error is a terminal on which lines can be drawn anew.</summary>
    public static bool ErrorsTakeEscapes => TakesEscapes(Console.IsErrorRedirected);

    // Of NO_COLOR only colours are asked (no-color.org); who sets it mostly has something that understands no escape sequences at all.
    private static bool TakesEscapes(bool isRedirected) =>
        !isRedirected
        && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"))
        && (OperatingSystem.IsWindows() || Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb"));

    private static IAnsiConsole Create(TextWriter writer, bool takesEscapes, bool isRedirected) => AnsiConsole.Create(takesEscapes
        ? new() { Out = new AnsiConsoleOutput(writer) }
        : new()
        {
            Out = new Plain(writer, isRedirected ? WidthOfPipes : WidthOfPlainTerminals),
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
        });

    /// <summary>Somewhere that is not asked what it is: to ask a terminal for its width is to send it escape sequences.</summary>
    private sealed class Plain(TextWriter writer, int width) : IAnsiConsoleOutput
    {
        public TextWriter Writer => writer;

        public bool IsTerminal => false;

        public int Width => width;

        public int Height => 25;

        public void SetEncoding(Encoding encoding)
        {
        }
    }
}
