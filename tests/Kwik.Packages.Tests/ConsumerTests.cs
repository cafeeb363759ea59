using System.Diagnostics;
using System.Text.RegularExpressions;

namespace Kwik.Packages.Tests;

/// <summary>A project of somebody else, which has the packages and nothing of the checkout.</summary>
public sealed partial class ConsumerTests(PackageFeed feed)
{
    [Fact]
    public async Task Consumer_OfThePackages_BuildsAndRunsTheExampleOfTheReadme()
    {
        PackageFeed.SkipWithoutNativeLibrary();
        string folder = await CreateAsync("consumer");

        (await Run.DotnetAsync(folder, "build", "-nologo", "-v", "quiet", "-o", "out")).AssertSuccess("dotnet build");
        Run run = await Run.DotnetAsync(folder, Path.Combine("out", "consumer.dll"));

        AssertExample(run);
        // The library is an asset, which the host finds through this file.
        Assert.Contains(
            "runtimes/linux-x64/native/libmsquic-kwik.so.2", await File.ReadAllTextAsync(Path.Combine(folder, "out", "consumer.deps.json")),
            StringComparison.Ordinal);
        Assert.False(File.Exists(Path.Combine(folder, "out", "runtimes", "linux-x64", "native", "libmsquic.so.2")));
    }

    [Fact]
    public async Task Consumer_PublishedForLinux_RunsTheExampleOfTheReadme()
    {
        PackageFeed.SkipWithoutNativeLibrary();
        string folder = await CreateAsync("published");

        Run publish = await Run.DotnetAsync(
            folder, "publish", "-nologo", "-v", "quiet", "-r", "linux-x64", "--self-contained", "false", "-o", "out");
        publish.AssertSuccess("dotnet publish");
        Run run = await Run.StartAsync(Path.Combine(folder, "out", "published"), folder);

        AssertExample(run);
        Assert.True(File.Exists(Path.Combine(folder, "out", "libmsquic-kwik.so.2")));
    }

    [Fact]
    public async Task Library_OfTheSystemOrTheEnvironment_ComesBeforeThePackages()
    {
        PackageFeed.SkipWithoutNativeLibrary();
        string folder = await CreateAsync("chooser", "Console.WriteLine(Kwik.Sessions.QuicProvider.EnsureLoaded());");
        (await Run.DotnetAsync(folder, "build", "-nologo", "-v", "quiet", "-o", "out")).AssertSuccess("dotnet build");
        string other = Path.Combine(Directory.CreateDirectory(Path.Combine(folder, "system")).FullName, "libmsquic.so.2");
        File.Copy(Path.Combine(PackageFeed.Root, "artifacts", "native", "libmsquic.so.2"), other);

        Assert.DoesNotContain(other, await ChooseAsync(folder, "KWIK_NOTHING", ""), StringComparison.Ordinal);
        // As the system's own, which the dynamic linker finds.
        Assert.Contains($"Origin = System, Path = {other},", await ChooseAsync(folder, "LD_LIBRARY_PATH", Path.GetDirectoryName(other)!), StringComparison.Ordinal);
        Assert.Contains($"Origin = Environment, Path = {other},", await ChooseAsync(folder, "KWIK_MSQUIC", other), StringComparison.Ordinal);
    }

    private static async Task<string> ChooseAsync(string folder, string variable, string value)
    {
        ProcessStartInfo start = Run.StartInfo(Path.Combine(Run.DotnetRoot, "dotnet"), folder, Path.Combine("out", "chooser.dll"));
        start.Environment[variable] = value;
        return (await Run.StartAsync(start)).AssertSuccess("The program").Output;
    }

    private static void AssertExample(Run run)
    {
        Match lines = ExampleOutput().Match(run.AssertSuccess("The example of README.md").Output);
        Assert.True(lines.Success, run.Output);
        // More where something was asked of both, because one was slow.
        Assert.InRange(long.Parse(lines.Groups[1].Value) + long.Parse(lines.Groups[2].Value), 16 << 20, 32 << 20);
    }

    /// <summary>Makes a project, by default with the program of README.md.</summary>
    private async Task<string> CreateAsync(string name, string? program = null)
    {
        string folder = Directory.CreateDirectory(Path.Combine(feed.Outside, name)).FullName;
        string readme = await File.ReadAllTextAsync(Path.Combine(PackageFeed.Root, "README.md"));
        await File.WriteAllTextAsync(Path.Combine(folder, "Program.cs"), program ?? CSharpBlock().Match(readme).Groups[1].Value);
        // So that nothing above the folder has a say.
        await File.WriteAllTextAsync(Path.Combine(folder, "Directory.Build.props"), "<Project />");
        await File.WriteAllTextAsync(Path.Combine(folder, "Directory.Build.targets"), "<Project />");
        await File.WriteAllTextAsync(Path.Combine(folder, "Directory.Packages.props"), "<Project />");
        IEnumerable<string> references = PackageFeed.Ids
            .Where(id => id != "kwik")
            .Select(id => $"""<PackageReference Include="{id}" Version="{feed.Version}" />""");
        await File.WriteAllTextAsync(
            Path.Combine(folder, $"{name}.csproj"),
            $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <Nullable>enable</Nullable>
                <ImplicitUsings>enable</ImplicitUsings>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
                <NuGetAudit>false</NuGetAudit>
              </PropertyGroup>
              <ItemGroup>{string.Concat(references)}</ItemGroup>
            </Project>
            """);
        return folder;
    }

    [GeneratedRegex(@"^```csharp\n(.*?)^```$", RegexOptions.Multiline | RegexOptions.Singleline)]
    private static partial Regex CSharpBlock();

    // Each server had a share; together they are the file.
    [GeneratedRegex(@"^Primary: ([1-9]\d*) bytes\nSecondary: ([1-9]\d*) bytes\nThe copy is equal\.\n", RegexOptions.Multiline)]
    private static partial Regex ExampleOutput();
}
