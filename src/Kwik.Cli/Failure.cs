using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using Kwik.Cli.Output;
using Kwik.Cli.Staging;
using Kwik.Data;
using Kwik.Transfer;
using Microsoft.Extensions.Options;

namespace Kwik.Cli;

/// <summary>The command line does not make sense; the message is one sentence that says what to change.</summary>
internal sealed class UsageException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>A fetch ended before its end, and left something to go on with.</summary>
internal sealed class UnfinishedException(Exception reason, long bytes) : Exception(null, reason)
{
    /// <summary>What is kept.</summary>
    public long Bytes => bytes;
}

/// <summary>Turns whatever a command threw into an exit code and one line for people. The only place that does.</summary>
internal static partial class Failure
{
    /// <summary>Prints the line on standard error.</summary>
    public static ExitCode Report(Exception e)
    {
        (ExitCode code, string message) = Describe(e);
        // Whoever reads no more knows why.
        if (code != ExitCode.BrokenPipe)
        {
            Report(message);
        }

        return code;
    }

    public static void Report(string message) => Console.Error.WriteLine($"kwik: {OneLine(message)}");

    /// <summary>The exit code, and what to say.</summary>
    public static (ExitCode Code, string Message) Describe(Exception e) => e switch
    {
        BrokenPipeException or TransferException { InnerException: BrokenPipeException } => (ExitCode.BrokenPipe, e.Message),
        UsageException => (ExitCode.Usage, e.Message),
        UnfinishedException unfinished => Describe(unfinished),
        OptionsValidationException options => (ExitCode.Usage, PropertyName().Replace(options.Failures.First(), "")),
        TransferException transfer => Describe(transfer),
        KwikException kwik => (CodeOf(kwik.Code), $"{kwik.Message}{Advice(kwik)}"),
        OperationCanceledException => (ExitCode.Other, "Cancelled."),
        ChildProcessException => (ExitCode.Other, e.Message),
        IOException or UnauthorizedAccessException => (ExitCode.Disk, e.Message),
        CryptographicException => (ExitCode.Usage, e.Message),
        _ => (ExitCode.Other, $"This is a defect of kwik: {e.GetType().Name}: {e.Message}"),
    };

    private static (ExitCode Code, string Message) Describe(UnfinishedException e)
    {
        (ExitCode code, string message) = Describe(e.InnerException!);
        return (
            code == ExitCode.Other ? ExitCode.Unfinished : code,
            $"{message.TrimEnd('.')}. {ByteSize.Format(e.Bytes)} are kept, and --resume goes on from there.");
    }

    private static (ExitCode Code, string Message) Describe(TransferException e) => e.Error switch
    {
        TransferError.NotFound => (ExitCode.NotFound, $"{e.Message.TrimEnd('.')}; its paths begin below its --root."),
        TransferError.Stalled => (ExitCode.TooSlow, e.Message),
        TransferError.Disk => (ExitCode.Disk, e.Message),
        TransferError.TargetExists => (ExitCode.TargetExists, $"{e.Message.TrimEnd('.')}; --force replaces it."),
        TransferError.Authentication => (ExitCode.Authentication, e.Message),
        TransferError.Verification => (ExitCode.Verification, e.Message),
        _ => (ExitCode.Other, e.Message),
    };

    /// <summary>What to look at, where the reason does not say it.</summary>
    private static string Advice(KwikException e) => e switch
    {
        { InnerException: AuthenticationException } =>
            " Compare --pin with the pin that the server printed; without --pin, the system or --ca must trust its certificate.",
        { InnerException: SocketException { SocketErrorCode: SocketError.AddressAlreadyInUse or SocketError.AddressNotAvailable } } =>
            " Something else may listen there: say --listen with another port, or port 0 for any.",
        { Code: KwikError.PathLost, InnerException: not null } =>
            " Is the server running, and are address and port those that it printed?",
        _ => "",
    };

    // Of the validation of options: what is bound to a property has an option for people.
    [GeneratedRegex(@"^Property \w+: ")]
    private static partial Regex PropertyName();

    private static ExitCode CodeOf(KwikError error) => error switch
    {
        KwikError.AuthenticationFailed => ExitCode.Authentication,
        KwikError.ContentMismatch => ExitCode.Verification,
        KwikError.NotFound => ExitCode.NotFound,
        _ => ExitCode.Other,
    };

    // What a server or a file name has put in may be orders for the terminal; what only parts its words does no harm.
    private static string OneLine(string message) =>
        PeerText.Printable(string.Join(' ', message.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)));
}
