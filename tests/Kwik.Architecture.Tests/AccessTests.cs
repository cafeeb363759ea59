using System.Reflection;
using System.Runtime.CompilerServices;

namespace Kwik.Architecture.Tests;

/// <summary>Who sees the internals of whom: the layers of the transport each other's, and the tests and benchmarks.</summary>
public sealed class AccessTests
{
    // If file transfer, hosting or the command needs something, applications need it too: make it public.
    private static readonly string[] PublicApiOnly = ["Kwik.Transfer", "Kwik.Hosting", "Kwik.Cli", "kwik"];

    private static readonly string[] Friends = ["Kwik.Stream", "Kwik.Session", "Kwik.Testing", "Kwik.Benchmarks", "Kwik.Load"];

    [Fact]
    public void InternalsVisibleTo_InEveryProject_GoesToLayersBelowTransferAndToTests() => Violations.None(
        Repository.Projects.SelectMany(project => Intruders(project.Key, project.Value.Friends)),
        "These would see internals:");

    [Fact]
    public void InternalsVisibleTo_InEveryAssembly_GoesToLayersBelowTransferAndToTests() => Violations.None(
        Repository.Assemblies.SelectMany(assembly => Intruders(assembly.Key, FriendsOf(assembly.Value))),
        "These would see internals:");

    [Fact]
    public void InternalsVisibleTo_OfData_IsFound() =>
        Assert.Contains("Kwik.Session", FriendsOf(Repository.Assemblies["Kwik.Data"]));

    [Theory]
    [InlineData("Kwik.Transfer")]
    [InlineData("Kwik.Hosting")]
    [InlineData("kwik")]
    [InlineData("Somebody.Else")]
    public void InternalsVisibleTo_SomebodyElse_IsReported(string friend) =>
        Assert.Equal([$"Kwik.Session -> {friend}"], Intruders("Kwik.Session", ["Kwik.Session.Tests", "Kwik.Testing", friend]));

    private static IEnumerable<string> Intruders(string project, IEnumerable<string> friends) => friends
        .Where(friend => PublicApiOnly.Contains(friend) || !(Friends.Contains(friend) || IsTests(friend)))
        .Select(friend => $"{project} -> {friend}");

    private static bool IsTests(string assembly) =>
        assembly.StartsWith("Kwik.", StringComparison.Ordinal) && assembly.EndsWith(".Tests", StringComparison.Ordinal);

    private static IEnumerable<string> FriendsOf(Assembly assembly) =>
        assembly.GetCustomAttributes<InternalsVisibleToAttribute>().Select(attribute => attribute.AssemblyName);
}
