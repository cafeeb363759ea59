namespace Kwik.Cli.Commands;

/// <summary><c>kwik</c> alone: what gets a newcomer to a first transfer.</summary>
internal static class WelcomeScreen
{
    public const string Text = """
        Kwik fetches files from several servers at once, over QUIC.

        See what it does, on this machine alone:

            kwik demo

        A first transfer of your own. In one terminal:

            echo hello > hello.txt
            kwik serve --root .

        In another one:

            kwik get kwik://127.0.0.1:4433/hello.txt -o copy.txt --insecure

        From another machine, listen there (--listen '*:4433'), and instead of --insecure say
        --pin with what the server has printed: that is how its clients know it.

            kwik --help         all commands
            kwik get --help     one command, with examples
            kwik doctor         what this machine has, and what to change
        """;

    public static int Show()
    {
        Console.Out.WriteLine(Text);
        return (int)ExitCode.Ok;
    }
}
