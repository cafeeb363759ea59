using System.Diagnostics;
using System.Globalization;
using System.Net;
using Kwik.Data;

namespace Kwik.Benchmarks;

/// <summary>
/// This program once more, as the server of a comparison: plain System.Net.Quic on one port, Kwik on another. Its first line
/// is "PLAIN-PORT KWIK-PORT PIN"; the end of its input ends it.
/// </summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private readonly Process _process;

    private ServerProcess(Process process, string[] parts)
    {
        _process = process;
        Plain = Loopback(parts[0]);
        Kwik = Loopback(parts[1]);
        Pin = KeyHash.Parse(parts[2]);
    }

    public IPEndPoint Plain { get; }

    public IPEndPoint Kwik { get; }

    public KeyHash Pin { get; }

    /// <summary>Processor time that it has used, all threads together; to 10 ms.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <param name="mode">The argument that starts this program as that server.</param>
    public static async Task<ServerProcess> StartAsync(string mode)
    {
        // Environment.ProcessPath is the host "dotnet" when the program was started as "dotnet Kwik.Benchmarks.dll".
        string[] self = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : [];
        Process process = Process.Start(new ProcessStartInfo(Environment.ProcessPath!, [.. self, mode])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        string line = await process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("The server did not start.");
        return new(process, line.Split(' '));
    }

    /// <summary>Sends it a line, and returns the line that it answers with.</summary>
    public async Task<string> AskAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line);
        await _process.StandardInput.FlushAsync();
        return await _process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("The server has ended.");
    }

    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }

    private static IPEndPoint Loopback(string port) => new(IPAddress.Loopback, int.Parse(port, CultureInfo.InvariantCulture));
}
