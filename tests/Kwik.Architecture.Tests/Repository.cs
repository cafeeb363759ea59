using System.Reflection;

namespace Kwik.Architecture.Tests;

/// <summary>The checkout that this test was built from: the closest folder above the assembly that has Kwik.sln.</summary>
internal static class Repository
{
    /// <summary>Absolute path.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>Every project under src by its name, which is its folder's.</summary>
    public static IReadOnlyDictionary<string, ProjectFile> Projects { get; } = Directory
        .EnumerateDirectories(Path.Combine(Root, "src"))
        .Select(folder => Path.GetFileName(folder))
        .ToDictionary(name => name, name => ProjectFile.Load(Path.Combine(Root, "src", name, $"{name}.csproj")));

    /// <summary>The built assembly of every project under src.</summary>
    public static IReadOnlyDictionary<string, Assembly> Assemblies { get; } =
        Projects.ToDictionary(pair => pair.Key, pair => Assembly.Load(pair.Value.AssemblyName));

    /// <summary>The hand-written C# files of one project under src.</summary>
    public static IReadOnlyList<SourceFile> SourcesOf(string project)
    {
        string folder = Path.Combine(Root, "src", project);
        return
        [
            .. Directory.EnumerateFiles(folder, "*.cs", SearchOption.AllDirectories)
                .Where(file => Path.GetRelativePath(folder, file).Split(Path.DirectorySeparatorChar)[0] is not ("bin" or "obj"))
                .Order(StringComparer.Ordinal)
                .Select(file => new SourceFile(PathOf(file), File.ReadAllText(file))),
        ];
    }

    /// <summary>The hand-written C# files of every project under src.</summary>
    public static IReadOnlyList<SourceFile> Sources() => [.. Projects.Keys.SelectMany(SourcesOf)];

    /// <summary>A text file, by its path from the root.</summary>
    public static string Read(string path) => File.ReadAllText(Path.Combine(Root, path));

    private static string PathOf(string file) => Path.GetRelativePath(Root, file).Replace(Path.DirectorySeparatorChar, '/');

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Kwik.sln")))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"No folder above {AppContext.BaseDirectory} has Kwik.sln: run these tests in a checkout.");
    }
}
