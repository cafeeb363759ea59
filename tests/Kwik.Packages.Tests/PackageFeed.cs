using System.Text.Json;

namespace Kwik.Packages.Tests;

/// <summary>
/// A folder of packages: those of this checkout, packed from what was built, and beside them what they depend on, from the folder
/// that the build restored them to. So nothing is asked of a network, and no other Kwik of the same version can come in.
/// </summary>
public sealed class PackageFeed : IAsyncLifetime
{
    /// <summary>Set, this environment variable names a folder with packages of eng/pack, which are tested instead.</summary>
    private const string FolderVariable = "KWIK_PACKAGES";

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kwik-packages-");

    /// <summary>The packages, the version of which is <see cref="Version"/>.</summary>
    public static IReadOnlyList<string> Ids { get; } =
        ["Kwik.Data", "Kwik.Stream", "Kwik.Session", "Kwik.Transfer", "Kwik.Hosting", "Kwik.Native.linux-x64", "kwik"];

    /// <summary>The checkout that this test was built from.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The folder with the packages.</summary>
    public string Path => System.IO.Path.Combine(_directory.FullName, "feed");

    /// <summary>For projects and tools that use the packages: outside of the checkout, with a NuGet.config for this feed alone.</summary>
    public string Outside => System.IO.Path.Combine(_directory.FullName, "outside");

    /// <summary>Of all packages.</summary>
    public string Version { get; private set; } = "";

    public string PackageOf(string id) => System.IO.Path.Combine(Path, $"{id}.{Version}.nupkg");

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Path);
        Directory.CreateDirectory(Outside);
        if (!HasNativeLibrary)
        {
            return;
        }

        await PackAsync();
        // Kwik.Data.VERSION.nupkg
        Version = System.IO.Path.GetFileName(Directory.GetFiles(Path, "Kwik.Data.*.nupkg").Single())["Kwik.Data.".Length..^".nupkg".Length];
        CopyDependencies();
        await File.WriteAllTextAsync(
            System.IO.Path.Combine(Outside, "NuGet.config"),
            $"""
            <configuration>
              <config><add key="globalPackagesFolder" value="../cache" /></config>
              <packageSources><clear /><add key="feed" value="{Path}" /></packageSources>
              <fallbackPackageFolders><clear /></fallbackPackageFolders>
              <packageSourceMapping><clear /></packageSourceMapping>
            </configuration>
            """);
    }

    public ValueTask DisposeAsync()
    {
        _directory.Delete(recursive: true);
        return ValueTask.CompletedTask;
    }

    /// <summary>Skips a test where there is nothing to pack.</summary>
    public static void SkipWithoutNativeLibrary() => Assert.SkipUnless(
        HasNativeLibrary, "The native library is not built here, because this system is not Linux or brings its own: eng/pack.");

    private static bool HasNativeLibrary =>
        OperatingSystem.IsLinux() && File.Exists(System.IO.Path.Combine(Root, "artifacts", "native", "libmsquic.so.2"));

    private async Task PackAsync()
    {
        if (Environment.GetEnvironmentVariable(FolderVariable) is { Length: > 0 } folder)
        {
            foreach (string package in Directory.GetFiles(folder, "*.*nupkg"))
            {
                File.Copy(package, System.IO.Path.Combine(Path, System.IO.Path.GetFileName(package)));
            }

            return;
        }

        // bin/CONFIGURATION/net10.0
        string configuration = new DirectoryInfo(AppContext.BaseDirectory).Parent!.Name;
        Run run = await Run.DotnetAsync(
            Root, "pack", "packaging/Packages.slnf", "--no-build", "-c", configuration, "-o", Path, "-nologo", "-v", "quiet");
        run.AssertSuccess("dotnet pack");
    }

    // What the command and everything below it was built with is more than any consumer needs.
    private void CopyDependencies()
    {
        using JsonDocument assets = JsonDocument.Parse(
            File.ReadAllText(System.IO.Path.Combine(Root, "src", "Kwik.Cli", "obj", "project.assets.json")));
        string[] folders = [.. assets.RootElement.GetProperty("packageFolders").EnumerateObject().Select(folder => folder.Name)];
        foreach (JsonProperty library in assets.RootElement.GetProperty("libraries").EnumerateObject())
        {
            if (library.Value.GetProperty("type").GetString() == "package")
            {
                string path = library.Value.GetProperty("path").GetString()!;
                string name = path.Replace('/', '.') + ".nupkg";
                string? file = folders.Select(folder => System.IO.Path.Combine(folder, path, name)).FirstOrDefault(File.Exists);
                Assert.True(file is not null, $"The folders of packages that the build used have no {name} any more: build again.");
                File.Copy(file, System.IO.Path.Combine(Path, name));
            }
        }
    }

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(System.IO.Path.Combine(folder.FullName, "Kwik.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"No folder above {AppContext.BaseDirectory} has Kwik.sln.");
    }
}
