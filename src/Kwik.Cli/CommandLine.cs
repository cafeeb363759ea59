using System.CommandLine;
using System.CommandLine.Parsing;
using Kwik.Cli.Commands;

namespace Kwik.Cli;

/// <summary>The whole command line: what there is, and the one way in which every command ends.</summary>
internal static class CommandLine
{
    // From Ctrl-C until the process goes anyway: closing a session takes up to 5 s, ending the servers of the demo as long.
    private static readonly TimeSpan TerminationTimeout = TimeSpan.FromSeconds(15);

    public static async Task<int> RunAsync(string[] args)
    {
        ParseResult parsed = Create().Parse(args);
        if (parsed.Errors.Count > 0)
        {
            string command = NameOf(parsed.CommandResult);
            return (int)Failure.Report(new UsageException($"{parsed.Errors[0].Message.TrimEnd('.')}; see '{command} --help'."));
        }

        try
        {
            // A server has a time of its own for its clients, and listens to signals itself.
            bool isServer = parsed.CommandResult.Command.Name == ServeCommand.Name;
            return await parsed.InvokeAsync(
                new() { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = isServer ? null : TerminationTimeout });
        }
        catch (Exception e)
        {
            return (int)Failure.Report(e);
        }
    }

    private static string NameOf(CommandResult command) =>
        command.Parent is CommandResult parent ? $"{NameOf(parent)} {command.Command.Name}" : "kwik";

    private static RootCommand Create() => new("Fetches files from several servers at once, over QUIC.")
    {
        DemoCommand.Create(),
        GetCommand.Create(),
        ServeCommand.Create(),
        ReportCommand.Create(),
        BenchCommand.Create(),
        CertCommand.Create(),
        KeyCommand.Create(),
        DoctorCommand.Create(),
    };
}
