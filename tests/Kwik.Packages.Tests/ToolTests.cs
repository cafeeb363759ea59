using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;
using Kwik.Testing;

namespace Kwik.Packages.Tests;

/// <summary>The command, installed as a .NET tool from a folder.</summary>
public sealed class ToolTests(PackageFeed feed)
{
    [Fact]
    public async Task Tool_InstalledFromTheFolder_ServesAndFetches()
    {
        PackageFeed.SkipWithoutNativeLibrary();
        string folder = Directory.CreateDirectory(Path.Combine(feed.Outside, "tool")).FullName;
        Run install = await Run.DotnetAsync(
            folder, "tool", "install", "kwik", "--version", feed.Version, "--tool-path", "tools", "--add-source", feed.Path);
        install.AssertSuccess("dotnet tool install");
        string kwik = Path.Combine(folder, "tools", "kwik");

        Run version = await Run.StartAsync(kwik, folder, "--version");
        Assert.Equal(feed.Version, version.AssertSuccess("kwik --version").Output.Trim().Split('+')[0]);
        Run doctor = await Run.StartAsync(kwik, folder, "doctor", "--json");
        AssertLibrary(doctor.AssertSuccess("kwik doctor").Output, folder);
        await FetchAsync(kwik, folder);
    }

    // A system's own library comes first; else it is the one in the package of the tool.
    private static void AssertLibrary(string json, string folder)
    {
        using JsonDocument report = JsonDocument.Parse(json);
        JsonElement library = report.RootElement.GetProperty("library");
        string path = library.GetProperty("path").GetString()!;
        if (library.GetProperty("origin").GetString() == "bundled")
        {
            Assert.StartsWith(Path.Combine(folder, "tools"), path, StringComparison.Ordinal);
        }
        else
        {
            Assert.Equal("system", library.GetProperty("origin").GetString());
            Assert.DoesNotContain(folder, path, StringComparison.Ordinal);
        }
    }

    private static async Task FetchAsync(string kwik, string folder)
    {
        byte[] bytes = RandomNumberGenerator.GetBytes(3_000_000);
        Directory.CreateDirectory(Path.Combine(folder, "files"));
        await File.WriteAllBytesAsync(Path.Combine(folder, "files", "some.bin"), bytes);
        using Process server = Process.Start(Run.StartInfo(
            kwik, folder, "serve", "--root", "files", "--listen", "127.0.0.1:0", "--cache", "none", "--json", "--until-eof"))!;
        Task<string> errors = server.StandardError.ReadToEndAsync();
        try
        {
            string? ready = await server.StandardOutput.ReadLineAsync().WithinAsync(TestTimeouts.Operation);
            Assert.True(ready is not null, "kwik serve ended before it listened.");
            using JsonDocument report = JsonDocument.Parse(ready);
            string address = report.RootElement.GetProperty("address").GetString()!;
            string pin = report.RootElement.GetProperty("pin").GetString()!;

            Run get = await Run.StartAsync(kwik, folder, "get", $"kwik://{address}/some.bin", "-o", "copy.bin", "--pin", pin, "--progress", "none");

            get.AssertSuccess("kwik get");
            Assert.Equal(bytes, await File.ReadAllBytesAsync(Path.Combine(folder, "copy.bin")));
            server.StandardInput.Close();
            await server.WaitForExitAsync().WithinAsync(TestTimeouts.Operation);
            Assert.Equal((0, ""), (server.ExitCode, await errors.WithinAsync()));
        }
        finally
        {
            if (!server.HasExited)
            {
                server.Kill(entireProcessTree: true);
            }
        }
    }
}
