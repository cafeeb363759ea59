using System.Diagnostics;
using System.Globalization;

namespace Kwik.RawQuic;

/// <summary>This program once more, as the server.</summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private readonly Process _process;

    private ServerProcess(Process process, string address) => (_process, Address) = (process, address);

    /// <summary>What <see cref="RawClient.ConnectAsync"/> wants.</summary>
    public string Address { get; }

    /// <summary>Processor time of both processes so far, all threads: the native library's too; to 10 ms.</summary>
    public TimeSpan ProcessorTime
    {
        get
        {
            _process.Refresh();
            using Process self = Process.GetCurrentProcess();
            return _process.TotalProcessorTime + self.TotalProcessorTime;
        }
    }

    public static async Task<ServerProcess> StartAsync()
    {
        Process process = Start(["server"]);
        return new(process, await process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("The server did not start."));
    }

    /// <summary>Starts this program with other arguments and, if given, another library.</summary>
    public static Process Start(IEnumerable<string> arguments, (string Name, string Value)? variable = null)
    {
        // Environment.ProcessPath is the host "dotnet" when the program was started as "dotnet Kwik.RawQuic.dll".
        string[] self = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet" ? [Environment.GetCommandLineArgs()[0]] : [];
        var start = new ProcessStartInfo(Environment.ProcessPath!, [.. self, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        if (variable is (string name, string value))
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    /// <summary>Bytes that the server has in memory.</summary>
    public async Task<long> ResidentBytesAsync()
    {
        await _process.StandardInput.WriteLineAsync("memory");
        await _process.StandardInput.FlushAsync();
        return long.Parse(
            await _process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("The server has ended."),
            CultureInfo.InvariantCulture);
    }

    /// <summary>The end of its input ends the server.</summary>
    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        await _process.WaitForExitAsync();
        _process.Dispose();
    }
}
