using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Kwik.Cli.Staging;

/// <summary>A process of ours does not start, or has ended before its time: the fault of where we run. The message says which and why.</summary>
internal sealed class ChildProcessException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>
/// This program once more, in a process of its own. It ends when it is disposed of, and also when this process ends in whatever
/// way, because its standard input ends then.
/// </summary>
internal partial class ChildProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(5);

    private readonly Process _process;
    private readonly Task<string> _errors;

    protected ChildProcess(Process process)
    {
        _process = process;
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>Processor time that it has used, all threads together; to 10 ms.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>The most memory that it has had resident at any time so far, in bytes.</summary>
    public long PeakMemory
    {
        get
        {
            _process.Refresh();
            return _process.PeakWorkingSet64;
        }
    }

    /// <summary>
    /// Starts <c>kwik</c> with these arguments and <c>--json</c>, and waits for the line that says that it is ready. They name a
    /// command that ends with its standard input.
    /// </summary>
    /// <exception cref="ChildProcessException">It cannot be started, ended instead, or does neither in a minute.</exception>
    public static Task<ChildProcess> StartAsync(IEnumerable<string> arguments, CancellationToken cancellationToken) =>
        StartAsync(arguments, (process, _) => new ChildProcess(process), cancellationToken);

    /// <summary>Sends it a line, and returns the line that it answers with.</summary>
    /// <exception cref="ChildProcessException">It ended instead; the message says why.</exception>
    public async Task<string> AskAsync(string line, CancellationToken cancellationToken)
    {
        try
        {
            await _process.StandardInput.WriteLineAsync(line.AsMemory(), cancellationToken);
            await _process.StandardInput.FlushAsync(cancellationToken);
        }
        catch (IOException)
        {
            // Nobody reads it any more, and the end is read below.
        }

        return await _process.StandardOutput.ReadLineAsync(cancellationToken) ?? throw new ChildProcessException($"A process ended. {await _errors}");
    }

    /// <summary>Ends it the hard way, as a power cut would.</summary>
    public void Kill() => _process.Kill();

    /// <summary>Stops it as a debugger would: it is there, holds its port, and does nothing.</summary>
    /// <exception cref="PlatformNotSupportedException">The system has no such thing.</exception>
    public void Suspend() => Signal(OperatingSystem.IsMacOS() ? 17 : 19);

    /// <summary>Lets it go on after <see cref="Suspend"/>.</summary>
    public void Resume() => Signal(OperatingSystem.IsMacOS() ? 19 : 18);

    /// <summary>Asks it to end, and ends it when it does not. May be called after <see cref="Kill"/>.</summary>
    public async ValueTask DisposeAsync()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has ended, and did not read its last line.
        }

        try
        {
            await _process.WaitForExitAsync().WaitAsync(StopTimeout, TimeProvider.System);
        }
        catch (TimeoutException)
        {
            _process.Kill();
            await _process.WaitForExitAsync();
        }

        await _errors;
        _process.Dispose();
    }

    /// <summary>The same, where the line says more.</summary>
    /// <param name="arguments">Of the command line.</param>
    /// <param name="create">Makes the object, of the process and its first line.</param>
    /// <param name="cancellationToken">Gives it up, and ends the process.</param>
    protected static async Task<T> StartAsync<T>(
        IEnumerable<string> arguments, Func<Process, string, T> create, CancellationToken cancellationToken)
    {
        string program = Environment.ProcessPath
            ?? throw new ChildProcessException("The file of this program is not there any more, so that it cannot be started once more.");
        var start = new ProcessStartInfo(program)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            // A runtime that is killed would leave the files of its debugging interface behind.
            Environment = { ["DOTNET_EnableDiagnostics"] = "0" },
        };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
        {
            start.ArgumentList.Add(typeof(ChildProcess).Assembly.Location);
        }

        foreach (string argument in arguments.Append("--json"))
        {
            start.ArgumentList.Add(argument);
        }

        Process process = Start(start);
        try
        {
            string? line = await process.StandardOutput.ReadLineAsync(cancellationToken).AsTask()
                .WaitAsync(StartTimeout, TimeProvider.System, cancellationToken);
            if (line is null)
            {
                throw new ChildProcessException($"A server did not start. {await process.StandardError.ReadToEndAsync(cancellationToken)}");
            }

            return create(process, line);
        }
        catch (Exception e)
        {
            process.Kill();
            process.Dispose();
            if (e is TimeoutException)
            {
                throw new ChildProcessException($"A server was not ready {StartTimeout.TotalSeconds:0} s after its start.", e);
            }

            throw;
        }
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new ChildProcessException($"'{start.FileName}' cannot be started: {Marshal.GetPInvokeErrorMessage(e.NativeErrorCode)}.", e);
        }
    }

    private void Signal(int signal)
    {
        if (OperatingSystem.IsWindows())
        {
            throw new PlatformNotSupportedException("Processes cannot be stopped on this system.");
        }

        if (!_process.HasExited && NativeKill(_process.Id, signal) != 0 && !_process.HasExited)
        {
            throw new ChildProcessException($"Signal {signal} was not sent: {Marshal.GetLastPInvokeErrorMessage()}.");
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int NativeKill(int process, int signal);
}
