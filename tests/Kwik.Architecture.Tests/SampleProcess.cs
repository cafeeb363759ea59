using System.Diagnostics;
using System.Runtime.InteropServices;
using Kwik.Testing;

namespace Kwik.Architecture.Tests;

/// <summary>A sample that runs as a program of its own. Every wait is bounded; disposal ends it.</summary>
internal sealed class SampleProcess : IDisposable
{
    private readonly Process _process;
    private readonly Task<string> _errors;

    private SampleProcess(Process process)
    {
        _process = process;
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>Starts a sample in this folder.</summary>
    public static SampleProcess Start(string folder, string sample, params string[] arguments)
    {
        // The sample was built like this test, and runs on the same .NET: ROOT/shared/Microsoft.NETCore.App/VERSION.
        string built = Path.GetRelativePath(
            Path.Combine(Repository.Root, "tests", "Kwik.Architecture.Tests"), AppContext.BaseDirectory);
        string program = Path.Combine(Repository.Root, "samples", sample, built, $"{sample}.dll");
        string dotnet = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet"));
        return new(Process.Start(new ProcessStartInfo(dotnet, [program, .. arguments])
        {
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!);
    }

    /// <summary>The next line that it writes to its output.</summary>
    public async Task<string> ReadLineAsync() =>
        await _process.StandardOutput.ReadLineAsync().WithinAsync(TestTimeouts.Operation)
        ?? throw new InvalidOperationException($"The sample has ended. {await _errors}");

    /// <summary>Types a line.</summary>
    public async Task TypeAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line).WithinAsync(TestTimeouts.Operation);
        await _process.StandardInput.FlushAsync().WithinAsync(TestTimeouts.Operation);
    }

    /// <summary>Waits until it ends by itself; returns its exit code, and what it wrote to either output since it was read.</summary>
    public async Task<(int Code, string Output)> EndAsync()
    {
        Task<string> output = _process.StandardOutput.ReadToEndAsync();
        await _process.WaitForExitAsync().WithinAsync(TestTimeouts.Scenario);
        return (_process.ExitCode, await output + await _errors);
    }

    public void Dispose()
    {
        _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }
}
