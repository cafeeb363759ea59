using System.Xml.Linq;

namespace Kwik.Architecture.Tests;

/// <summary>What a project file says about its relations to others.</summary>
/// <param name="AssemblyName">Of what it builds.</param>
/// <param name="Projects">Names of the projects that it references.</param>
/// <param name="Friends">Assemblies that see its internals.</param>
internal sealed record ProjectFile(string AssemblyName, IReadOnlyList<string> Projects, IReadOnlyList<string> Friends)
{
    public static ProjectFile Load(string path)
    {
        XDocument document = XDocument.Load(path);
        return new(
            document.Descendants("AssemblyName").SingleOrDefault()?.Value ?? Path.GetFileNameWithoutExtension(path),
            [.. Includes(document, "ProjectReference").Select(reference => Path.GetFileNameWithoutExtension(reference))],
            [.. Includes(document, "InternalsVisibleTo")]);
    }

    private static IEnumerable<string> Includes(XDocument document, string item) =>
        document.Descendants(item).Select(element => element.Attribute("Include")!.Value);
}
