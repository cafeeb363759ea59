using System.Diagnostics;
using System.Net;
using System.Text.Json;
using Kwik.Testing;

namespace Kwik.Cli.Tests;

/// <summary>How a command ended.</summary>
internal sealed record CommandResult(int ExitCode, string Output, string Errors)
{
    /// <summary>Asserts that it failed the way every command fails: one line on standard error, nothing on standard output.</summary>
    public void AssertFailure(int exitCode, string mentions = "")
    {
        Assert.True(exitCode == ExitCode, $"Exit code {ExitCode}, not {exitCode}. {Errors}{Output}");
        Assert.Equal("", Output);
        string line = Assert.Single(Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.StartsWith("kwik: ", line, StringComparison.Ordinal);
        Assert.Contains(mentions, line, StringComparison.Ordinal);
        Assert.DoesNotContain("defect", line, StringComparison.Ordinal);
    }

    /// <summary>The same of a command that a signal has ended, which may say meanwhile that it takes its time.</summary>
    public void AssertInterrupted(int exitCode, string mentions) =>
        (this with { Errors = Errors.Replace("kwik: Still ending what is under way; once more, and it is left behind.\n", "", StringComparison.Ordinal) })
            .AssertFailure(exitCode, mentions);

    public void AssertSuccess() => Assert.True(ExitCode == 0, $"Exit code {ExitCode}. {Errors}{Output}");
}

/// <summary>The command in a process of its own, which does not outlive the test.</summary>
internal sealed class KwikProcess : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task<string?> _firstError;
    private readonly Task<string> _errors;

    private KwikProcess(Process process)
    {
        _process = process;
        _firstError = process.StandardError.ReadLineAsync();
        _errors = ReadErrorsAsync();
    }

    public static string Program { get; } =
        Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "kwik.exe" : "kwik");

    /// <summary>Starts the command in a directory.</summary>
    public static KwikProcess Start(string directory, IEnumerable<string> arguments, params (string Name, string Value)[] environment) =>
        Start(Program, directory, arguments, environment);

    /// <summary>Runs the command to its end.</summary>
    public static Task<CommandResult> RunAsync(string directory, params string[] arguments) => RunAsync(Start(directory, arguments));

    /// <summary>Lets a started command come to its end.</summary>
    public static async Task<CommandResult> RunAsync(KwikProcess process)
    {
        await using (process)
        {
            return await process.EndAsync();
        }
    }

    /// <summary>Runs the command from a line of shell, in which "$0" is the command.</summary>
    public static Task<CommandResult> RunInShellAsync(string directory, string line) => RunAsync(StartInShell(directory, line));

    /// <summary>Starts a line of shell, in which "$0" is the command.</summary>
    public static KwikProcess StartInShell(string directory, string line) => Start("/bin/bash", directory, ["-c", line, Program], []);

    /// <summary>
    /// Running processes that have this text among their arguments: of a test's directory, the servers that serve from there.
    /// The state is the kernel's letter for it, T for stopped.
    /// </summary>
    public static IEnumerable<(int Id, char State)> WithArgument(string text)
    {
        foreach (string process in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(process), out int id))
            {
                continue;
            }

            char state;
            try
            {
                if (!File.ReadAllText(Path.Combine(process, "cmdline")).Contains(text, StringComparison.Ordinal))
                {
                    continue;
                }

                string stat = File.ReadAllText(Path.Combine(process, "stat"));
                state = stat[stat.LastIndexOf(')') + 2];
            }
            catch (IOException)
            {
                // It has ended meanwhile.
                continue;
            }

            yield return (id, state);
        }
    }

    /// <summary>The first line of standard output.</summary>
    public async Task<string> ReadLineAsync() =>
        await _process.StandardOutput.ReadLineAsync().WithinAsync() ?? throw new InvalidOperationException(await _errors);

    /// <summary>The first line of standard error, as soon as it is there; what is there at the end has it too.</summary>
    public async Task<string> ReadErrorLineAsync() => await _firstError.WithinAsync() ?? throw new InvalidOperationException("It said nothing.");

    public void CloseInput() => _process.StandardInput.Close();

    /// <summary>Sends a signal, as a shell would.</summary>
    public async Task SignalAsync(string signal) => Assert.True(await TrySignalAsync(signal));

    /// <summary>The same; false when it has ended.</summary>
    public async Task<bool> TrySignalAsync(string signal)
    {
        using Process kill = Process.Start(new ProcessStartInfo("kill", ["-" + signal, $"{_process.Id}"]) { RedirectStandardError = true })!;
        await kill.WaitForExitAsync().WithinAsync();
        return kill.ExitCode == 0;
    }

    /// <summary>Waits until it ends; what it printed before is what is left to read.</summary>
    public async Task<CommandResult> EndAsync()
    {
        string output = await _process.StandardOutput.ReadToEndAsync().WithinAsync(TestTimeouts.Scenario);
        await _process.WaitForExitAsync().WithinAsync();
        return new(_process.ExitCode, output, await _errors.WithinAsync());
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        await _process.WaitForExitAsync().WithinAsync();
        await _errors.WithinAsync();
        _process.Dispose();
    }

    private async Task<string> ReadErrorsAsync() =>
        await _firstError is { } first ? $"{first}\n{await _process.StandardError.ReadToEndAsync()}" : "";

    private static KwikProcess Start(
        string program, string directory, IEnumerable<string> arguments, (string Name, string Value)[] environment)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = directory,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        return new(Process.Start(start)!);
    }
}

/// <summary>A running <c>kwik serve</c>.</summary>
internal sealed class ServeProcess : IAsyncDisposable
{
    private ServeProcess(KwikProcess process, IPEndPoint endPoint, string pin)
    {
        Process = process;
        EndPoint = endPoint;
        Pin = pin;
    }

    public KwikProcess Process { get; }

    public IPEndPoint EndPoint { get; }

    public string Pin { get; }

    public string Url(string path) => $"kwik://{EndPoint}/{path}";

    public static Task<ServeProcess> StartAsync(string root, params string[] arguments) =>
        StartAtAsync(new IPEndPoint(IPAddress.Loopback, 0), root, arguments);

    public static async Task<ServeProcess> StartAtAsync(IPEndPoint listen, string root, params string[] arguments)
    {
        KwikProcess process = KwikProcess.Start(
            root, ["serve", "--root", root, "--listen", $"{listen}", "--json", "--until-eof", "--cache", "none", .. arguments]);
        try
        {
            using JsonDocument ready = JsonDocument.Parse(await process.ReadLineAsync());
            return new(
                process,
                IPEndPoint.Parse(ready.RootElement.GetProperty("address").GetString()!),
                ready.RootElement.GetProperty("pin").GetString()!);
        }
        catch
        {
            await process.DisposeAsync();
            throw;
        }
    }

    public ValueTask DisposeAsync() => Process.DisposeAsync();
}
