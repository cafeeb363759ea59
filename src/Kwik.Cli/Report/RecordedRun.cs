using Kwik.Cli.Commands;
using Kwik.Sessions;

namespace Kwik.Cli.Report;

/// <summary>
/// The qlog of one session of a command, kept in a directory where that was asked for, and the page that is made of it at the
/// end, also of a run that failed.
/// </summary>
internal sealed class RecordedRun : IDisposable
{
    private readonly string? _directory;
    private readonly string? _page;
    private readonly bool _replace;
    private string? _record;
    private Exception? _failure;
    private bool _finished;

    private RecordedRun(string? directory, string? page, bool replace) => (_directory, _page, _replace) = (directory, page, replace);

    public QlogOptions Options => new() { Open = Open };

    /// <summary>Null when neither was asked for.</summary>
    /// <exception cref="Transfer.TransferException">TargetExists: the page, and it may not be replaced.</exception>
    public static RecordedRun? Prepare(string? directory, string? page, bool replace)
    {
        if (page is not null)
        {
            NewFile.Check(page, replace);
        }

        if (directory is not null)
        {
            Directory.CreateDirectory(directory);
        }

        return directory is null && page is null ? null : new RecordedRun(directory, page, replace);
    }

    /// <summary>Makes the page; after the session has ended.</summary>
    public void Finish()
    {
        _finished = true;
        try
        {
            if (_failure is not null)
            {
                throw new IOException($"The qlog could not be written. {_failure.Message}", _failure);
            }

            if (_page is not null && _record is not null)
            {
                ReportCommand.WritePage(_record, _page, _replace);
            }
        }
        finally
        {
            if (_directory is null && _record is not null)
            {
                File.Delete(_record);
            }
        }
    }

    /// <summary>After a failure, which is told in place of what goes wrong here.</summary>
    public void Dispose()
    {
        if (_finished)
        {
            return;
        }

        try
        {
            Finish();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            Failure.Report($"Note: {e.Message}");
        }
    }

    private FileStream Open(string name)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.Read, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        try
        {
            string record = Path.Combine(_directory ?? Path.GetTempPath(), _directory is null ? $"kwik-{Path.GetRandomFileName()}" : name);
            var stream = new FileStream(record, options);
            _record = record;
            return stream;
        }
        catch (Exception e)
        {
            _failure = e;
            throw;
        }
    }
}
