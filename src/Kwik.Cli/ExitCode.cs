namespace Kwik.Cli;

/// <summary>How the command ends; documented in docs/cli.md.</summary>
internal enum ExitCode
{
    Ok = 0,

    /// <summary>None of the others.</summary>
    Other = 1,

    /// <summary>The command line does not make sense.</summary>
    Usage = 2,

    /// <summary>The server has no such file.</summary>
    NotFound = 3,

    /// <summary>No byte arrived for too long, or a benchmark's bar was missed.</summary>
    TooSlow = 5,

    /// <summary>Ended before its end, for none of the other reasons; --resume goes on.</summary>
    Unfinished = 7,

    /// <summary>A local file cannot be read or written.</summary>
    Disk = 9,

    /// <summary>The target exists, without --force.</summary>
    TargetExists = 13,

    /// <summary>One side did not accept the other's certificate, pin or token.</summary>
    Authentication = 24,

    /// <summary>The bytes are not the ones that were vouched for.</summary>
    Verification = 32,

    /// <summary>Nobody reads standard output any more: what a shell reports of a program that SIGPIPE ended, which is SIGPIPE and 128.</summary>
    BrokenPipe = 141,
}
