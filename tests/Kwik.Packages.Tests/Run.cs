using System.Diagnostics;
using System.Runtime.InteropServices;
using Kwik.Testing;

namespace Kwik.Packages.Tests;

/// <summary>A program that was run to its end.</summary>
internal sealed record Run(int ExitCode, string Output)
{
    // Several builds on a machine that has other work.
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    /// <summary>The dotnet of this process: ROOT/shared/Microsoft.NETCore.App/VERSION.</summary>
    public static string DotnetRoot { get; } =
        Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", ".."));

    /// <summary>
    /// Runs dotnet with what a user's shell would have: no variable of ours and none of MSBuild's. Output and errors are one text.
    /// </summary>
    public static Task<Run> DotnetAsync(string folder, params string[] arguments) =>
        StartAsync(Path.Combine(DotnetRoot, "dotnet"), folder, arguments);

    public static Task<Run> StartAsync(string program, string folder, params string[] arguments) =>
        StartAsync(StartInfo(program, folder, arguments));

    public static async Task<Run> StartAsync(ProcessStartInfo start)
    {
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        try
        {
            await process.WaitForExitAsync().WithinAsync(Limit, $"{start.FileName} {string.Join(' ', start.ArgumentList)}");
            return new(process.ExitCode, await output.WithinAsync() + await errors.WithinAsync());
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    public static ProcessStartInfo StartInfo(string program, string folder, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            WorkingDirectory = folder,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach (string name in start.Environment.Keys.Where(IsOurs).ToArray())
        {
            start.Environment.Remove(name);
        }

        start.Environment["DOTNET_ROOT"] = DotnetRoot;
        start.Environment["DOTNET_NOLOGO"] = "1";
        start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        // No process of a build outlives its test.
        start.Environment["MSBUILDDISABLENODEREUSE"] = "1";
        start.Environment["UseSharedCompilation"] = "false";
        return start;
    }

    public Run AssertSuccess(string what)
    {
        Assert.True(ExitCode == 0, $"{what} ended with {ExitCode}.{Explain()}\n{Output}");
        return this;
    }

    // The one thing that the tests need of the world outside.
    private string Explain() =>
        Output.Contains("error NU1301", StringComparison.Ordinal) || Output.Contains("error NU1101", StringComparison.Ordinal)
            ? " It needs packages that Kwik depends on, such as Google.Protobuf, from the NuGet source that is configured on "
                + "this machine, and did not get them."
            : "";

    private static bool IsOurs(string name) =>
        name.StartsWith("KWIK_", StringComparison.Ordinal) || name.StartsWith("MSBuild", StringComparison.OrdinalIgnoreCase)
        || name is "LD_LIBRARY_PATH";
}
