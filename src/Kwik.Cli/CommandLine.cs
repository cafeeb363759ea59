using System.CommandLine;
using Kwik.Cli.Commands;
using Kwik.Cli.Output;

namespace Kwik.Cli;

/// <summary>The whole command line: what there is, and the one way in which every command ends.</summary>
internal static class CommandLine
{
    public static async Task<int> RunAsync(string[] args)
    {
        StandardStreams.Use();
        ParseResult parsed = Create().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            return (int)Failure.Report(new UsageException(Help.Explain(parsed)));
        }

        try
        {
            // A server has a time of its own for its clients, and listens to signals itself.
            if (parsed.CommandResult.Command.Name == ServeCommand.Name)
            {
                return await parsed.InvokeAsync(new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null });
            }

            Interruption.Begin();
            Task<int> command = parsed.InvokeAsync(
                new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, Interruption.Token);
            return await await Task.WhenAny(command, Interruption.Overdue);
        }
        catch (Exception e)
        {
            return (int)Failure.Report(e);
        }
    }

    /// <summary>All commands.</summary>
    public static RootCommand Create()
    {
        var root = new RootCommand("Fetches files from several servers at once, over QUIC.")
        {
            DemoCommand.Create(),
            GetCommand.Create(),
            ServeCommand.Create(),
            ReportCommand.Create(),
            BenchCommand.Create(),
            CertCommand.Create(),
            KeyCommand.Create(),
            DoctorCommand.Create(),
            CompletionCommand.Create(),
        };
        root.SetAction(_ => WelcomeScreen.Show());
        NamedValues.Install(root);
        Help.Install(root);
        return root;
    }
}
