using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json;
using Kwik.Cli.Output;
using Kwik.Data;

namespace Kwik.Cli.Staging;

/// <summary>
/// This program once more, as a server, in a process of its own. It ends when it is disposed of, and also when this process
/// ends in whatever way, because its standard input ends then.
/// </summary>
internal sealed partial class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan StartTimeout = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(5);

    private readonly Process _process;
    private readonly Task<string> _errors;

    private ServerProcess(Process process)
    {
        _process = process;
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>Where it listens.</summary>
    public required IPEndPoint EndPoint { get; init; }

    /// <summary>The key of its certificate.</summary>
    public required KeyHash Pin { get; init; }

    /// <summary>
    /// Starts <c>kwik</c> with these arguments and <c>--json</c>, and waits for the line that says where it listens. They name
    /// a command that ends with its standard input.
    /// </summary>
    /// <exception cref="IOException">It ended instead; the message says why.</exception>
    /// <exception cref="TimeoutException">It does neither.</exception>
    public static async Task<ServerProcess> StartAsync(IEnumerable<string> arguments, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            // A runtime that is killed would leave the files of its debugging interface behind.
            Environment = { ["DOTNET_EnableDiagnostics"] = "0" },
        };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            start.ArgumentList.Add(typeof(ServerProcess).Assembly.Location);
        }

        foreach (string argument in arguments.Append("--json"))
        {
            start.ArgumentList.Add(argument);
        }

        Process process = Process.Start(start)!;
        try
        {
            string? line = await process.StandardOutput.ReadLineAsync(cancellationToken).AsTask()
                .WaitAsync(StartTimeout, TimeProvider.System, cancellationToken);
            if (line is null)
            {
                throw new IOException($"A server did not start. {await process.StandardError.ReadToEndAsync(cancellationToken)}");
            }

            ServeJson ready = JsonSerializer.Deserialize(line, JsonObjects.Default.ServeJson)!;
            return new(process) { EndPoint = IPEndPoint.Parse(ready.Address), Pin = KeyHash.Parse(ready.Pin) };
        }
        catch
        {
            process.Kill();
            process.Dispose();
            throw;
        }
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
        _process.StandardInput.Close();
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

    private void Signal(int signal)
    {
        if (OperatingSystem.IsWindows())
        {
            throw new PlatformNotSupportedException("Processes cannot be stopped on this system.");
        }

        if (!_process.HasExited && NativeKill(_process.Id, signal) != 0 && !_process.HasExited)
        {
            throw new IOException($"Signal {signal} was not sent: {Marshal.GetLastPInvokeErrorMessage()}.");
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int NativeKill(int process, int signal);
}
