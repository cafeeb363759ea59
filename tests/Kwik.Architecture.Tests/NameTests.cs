using System.Reflection;
using System.Runtime.CompilerServices;

namespace Kwik.Architecture.Tests;

/// <summary>Names of types: what they are called, and the namespaces of the public ones.</summary>
public sealed class NameTests
{
    // Endings that say that a type is somebody who does things, and not which things.
    private static readonly string[] EmptyEndings =
        ["Manager", "Handler", "Coordinator", "System", "Helper", "Helpers", "Util", "Utils", "Impl"];

    // Names that users of the system know already.
    private static readonly string[] Given = ["StreamMappingManager", "SecondaryStreamHandler", "MultiSourceOffsetManager"];

    private static readonly Dictionary<string, string> Namespaces = new()
    {
        ["Kwik.Data"] = "Kwik.Data",
        ["Kwik.Stream"] = "Kwik.Streams",
        ["Kwik.Session"] = "Kwik.Sessions",
        ["Kwik.Transfer"] = "Kwik.Transfer",
        ["Kwik.Hosting"] = "Kwik.Hosting",
    };

    [Fact]
    public void Types_InEveryAssembly_SayWhatTheyAre() => Violations.None(
        Repository.Assemblies.Values.SelectMany(WrittenTypes).Select(NameOf).Where(SaysNothing),
        "CONTRIBUTING.md, \"Names\": these say nothing; think of what the type is:");

    [Fact]
    public void Types_ThatWereFound_IncludeInternalAndNestedOnes()
    {
        string[] names = [.. Repository.Assemblies.Values.SelectMany(WrittenTypes).Select(NameOf)];

        Assert.Contains("StreamMappingManager", names);
        Assert.Contains("QuicTransport", names);
        Assert.DoesNotContain(names, name => name.Contains('<', StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("SessionManager", true)]
    [InlineData("StreamMappingManager", false)]
    [InlineData("FrameHelper", true)]
    [InlineData("OffsetCoordinator", true)]
    [InlineData("FileSystem", true)]
    [InlineData("ByteUtils", true)]
    [InlineData("PathTableImpl", true)]
    [InlineData("SystemClock", false)]
    public void Name_ByItsEnding_IsReported(string name, bool reported) => Assert.Equal(reported, SaysNothing(name));

    [Fact]
    public void PublicTypes_OfEveryPackage_AreInItsNamespace() => Violations.None(
        Namespaces.SelectMany(package => Strangers(Repository.Assemblies[package.Key].GetExportedTypes(), package.Value)),
        "The public types of a package are in one namespace:");

    [Fact]
    public void PublicType_InAnotherNamespace_IsReported() =>
        Assert.Equal(["Kwik.Data.KwikError"], Strangers([typeof(Data.KwikError), typeof(Streams.KwikStream)], "Kwik.Streams"));

    private static bool SaysNothing(string name) =>
        !Given.Contains(name) && EmptyEndings.Any(ending => name.EndsWith(ending, StringComparison.Ordinal));

    private static IEnumerable<string> Strangers(IEnumerable<Type> types, string space) =>
        types.Where(type => type.Namespace != space).Select(type => type.FullName!);

    private static IEnumerable<Type> WrittenTypes(Assembly assembly) =>
        assembly.GetTypes().Where(type => !type.Name.Contains('<', StringComparison.Ordinal) && !IsGenerated(type));

    // By the compiler, or by a generator: what is nested in it is as well.
    private static bool IsGenerated(Type type) =>
        type.IsDefined(typeof(CompilerGeneratedAttribute)) || (type.DeclaringType is { } outer && IsGenerated(outer));

    // Without the number of type parameters.
    private static string NameOf(Type type) => type.Name.Split('`')[0];
}
