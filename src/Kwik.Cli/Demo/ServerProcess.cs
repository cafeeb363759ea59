using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Kwik.Cli.Output;
using Kwik.Data;

namespace Kwik.Cli.Demo;

/// <summary>
/// This program once more, as a server, in a process of its own. It ends when it is disposed of, and also when this process
/// ends in whatever way, because its standard input ends then.
/// </summary>
internal sealed class ServerProcess : IAsyncDisposable
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

    /// <summary>Starts <c>kwik serve</c> with these arguments, on a port that the system chooses, and waits until it listens.</summary>
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

        foreach (string argument in (string[])["serve", "--listen", "127.0.0.1:0", "--json", "--until-eof", .. arguments])
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
}
