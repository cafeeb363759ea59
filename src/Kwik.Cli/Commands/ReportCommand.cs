using System.CommandLine;
using Kwik.Cli.Report;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik report</c>: makes one page of the qlog of a session.</summary>
internal static class ReportCommand
{
    private static readonly Argument<FileInfo> Input = new("run") { Description = "The qlog of a session, as --qlog writes it (.sqlog)." };

    private static readonly Option<string?> Output = new("--output", "-o")
    {
        Description = "The page to write; default: beside the qlog, as .html.",
    };

    private static readonly Option<bool> Force = CommonOptions.Force();

    public static Command Create()
    {
        var command = new Command("report", "Make one HTML page of the qlog of a session.") { Input, Output, Force };
        command.SetAction(Run);
        return command;
    }

    /// <summary>Makes the page of a qlog.</summary>
    /// <exception cref="InvalidDataException">It is none, or broken.</exception>
    public static void WritePage(string record, string page, bool replace)
    {
        RunRecord run;
        using (FileStream stream = File.OpenRead(record))
        {
            run = QlogReader.Read(stream);
        }

        NewFile.Write(replace, (page, ReportPage.Write(run), false));
    }

    private static int Run(ParseResult parsed)
    {
        string record = parsed.GetRequiredValue(Input).FullName;
        string page = parsed.GetValue(Output) ?? Path.ChangeExtension(record, ".html");
        if (Path.GetFullPath(page) == record)
        {
            throw new UsageException("The page and the qlog go into two files.");
        }

        bool replace = parsed.GetValue(Force);
        NewFile.Check(page, replace);
        try
        {
            WritePage(record, page, replace);
        }
        catch (InvalidDataException e)
        {
            throw new UsageException($"'{record}' cannot be read. {e.Message}", e);
        }

        Console.Error.WriteLine($"wrote {page}");
        return (int)ExitCode.Ok;
    }
}
