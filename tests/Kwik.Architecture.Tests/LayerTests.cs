namespace Kwik.Architecture.Tests;

/// <summary>ARCHITECTURE.md, "Layers": arrows point down.</summary>
public sealed class LayerTests
{
    // What each project may name in its project file. An assembly may use whatever can be reached by these arrows, because
    // the types of a lower layer appear in the API of the one above.
    private static readonly Dictionary<string, string[]> Arrows = new()
    {
        ["Kwik.Data"] = [],
        ["Kwik.Stream"] = ["Kwik.Data"],
        ["Kwik.Session"] = ["Kwik.Stream", "Kwik.Data"],
        ["Kwik.Transfer"] = ["Kwik.Session"],
        ["Kwik.Hosting"] = ["Kwik.Transfer", "Kwik.Session"],
        ["Kwik.Cli"] = ["Kwik.Hosting", "Kwik.Transfer", "Kwik.Relay"],
        ["Kwik.Relay"] = [],
    };

    // Packages that the lower layers may use besides the base class library. What hosts and commands use is their own affair.
    private static readonly Dictionary<string, string[]> Packages = new()
    {
        ["Kwik.Data"] = ["Google.Protobuf"],
        ["Kwik.Stream"] = [],
        ["Kwik.Session"] = ["Google.Protobuf", "Microsoft.Extensions.Logging.Abstractions"],
        ["Kwik.Relay"] = [],
    };

    [Fact]
    public void Projects_InSrc_AreTheOnesOfTheTable() =>
        Assert.Equal(Arrows.Keys.Order(), Repository.Projects.Keys.Order());

    [Fact]
    public void ProjectReferences_OfEveryProject_PointDown() => Violations.None(
        Repository.Projects.SelectMany(project => Upwards(project.Key, project.Value.Projects, Arrows[project.Key])),
        "A project references only what ARCHITECTURE.md draws below it:");

    [Fact]
    public void AssemblyReferences_OfEveryAssembly_PointDown()
    {
        Dictionary<string, string> projects = Repository.Projects.ToDictionary(pair => pair.Value.AssemblyName, pair => pair.Key);
        Violations.None(
            Repository.Assemblies.SelectMany(assembly => Upwards(
                assembly.Key,
                AssemblyMetadata.References(assembly.Value).Where(projects.ContainsKey).Select(name => projects[name]),
                Below(assembly.Key))),
            "An assembly uses only what ARCHITECTURE.md draws below it:");
    }

    [Fact]
    public void PackageReferences_OfTheLowerLayers_AreTheDocumentedOnes() => Violations.None(
        Packages.SelectMany(layer => Upwards(
            layer.Key,
            AssemblyMetadata.References(Repository.Assemblies[layer.Key]).Where(IsPackage),
            layer.Value)),
        "The lower layers use the base class library, and only these packages:");

    [Fact]
    public void Reference_PointingUp_IsReported()
    {
        Assert.Equal(
            ["Kwik.Data -> Kwik.Session"], Upwards("Kwik.Data", ["Kwik.Session"], Below("Kwik.Data")));
        Assert.Equal(
            ["Kwik.Session -> Kwik.Relay"], Upwards("Kwik.Session", ["Kwik.Data", "Kwik.Relay"], Below("Kwik.Session")));
        Assert.Empty(Upwards("Kwik.Cli", ["Kwik.Data", "Kwik.Relay"], Below("Kwik.Cli")));
    }

    [Fact]
    public void Arrows_FollowedFromAnywhere_LeadInNoCircle() =>
        Assert.All(Arrows.Keys, project => Assert.DoesNotContain(project, Below(project)));

    private static IEnumerable<string> Upwards(string project, IEnumerable<string> references, IReadOnlyCollection<string> allowed) =>
        references.Where(reference => !allowed.Contains(reference)).Select(reference => $"{project} -> {reference}");

    /// <summary>Everything that can be reached from a project.</summary>
    private static HashSet<string> Below(string project)
    {
        HashSet<string> below = [];
        var next = new Queue<string>(Arrows[project]);
        while (next.TryDequeue(out string? reached))
        {
            if (below.Add(reached))
            {
                Arrows[reached].ToList().ForEach(next.Enqueue);
            }
        }

        return below;
    }

    private static bool IsPackage(string reference) =>
        !reference.StartsWith("Kwik.", StringComparison.Ordinal)
        && reference != "System"
        && !reference.StartsWith("System.", StringComparison.Ordinal)
        && !reference.StartsWith("Microsoft.Win32.", StringComparison.Ordinal);
}
