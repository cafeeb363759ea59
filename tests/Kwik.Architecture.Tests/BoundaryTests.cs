using System.Net.Quic;
using System.Reflection;
using System.Text.RegularExpressions;

namespace Kwik.Architecture.Tests;

/// <summary>
/// ARCHITECTURE.md, "Layers" and "The transport seam": the lower layers touch no network, no file and no clock, and System.Net.Quic
/// is known where it is wrapped, and where Kwik is compared with it.
/// </summary>
public sealed class BoundaryTests
{
    // The last one is the yardstick of the benchmarks: QUIC without Kwik.
    private static readonly string[] QuicFolders = ["src/Kwik.Session/Transport/", "src/Kwik.Session/Provider/", "src/Kwik.Cli/Bench/Plain/"];

    // Whole namespaces, or single types, that reach out of the process.
    private static readonly string[] Network =
    [
        "System.Net.Quic.", "System.Net.Sockets.", "System.Net.Security.", "System.Net.Http.", "System.Net.Dns",
        "System.IO.Pipes.",
    ];

    private static readonly string[] Files =
    [
        "System.IO.File", "System.IO.FileStream", "System.IO.FileInfo", "System.IO.Directory", "System.IO.RandomAccess",
        "System.IO.StreamWriter", "System.IO.StreamReader", "System.Console", "System.Diagnostics.Process",
    ];

    // Time comes in as a TimeProvider or a number; see also BannedSymbols.txt.
    private static readonly string[] Clocks =
    [
        "System.DateTime.get_Now", "System.DateTime.get_UtcNow", "System.DateTimeOffset.get_Now",
        "System.DateTimeOffset.get_UtcNow", "System.Environment.get_TickCount", "System.Environment.get_TickCount64",
        "System.Diagnostics.Stopwatch.GetTimestamp", "System.Diagnostics.Stopwatch.StartNew", "System.TimeProvider.get_System",
        "System.Threading.Thread.Sleep",
    ];

    [Theory]
    [InlineData("Kwik.Data")]
    [InlineData("Kwik.Stream")]
    public void LowerLayer_TypesThatItUses_TouchNoNetwork(string project)
    {
        Assembly assembly = Repository.Assemblies[project];

        Violations.None(Forbidden(AssemblyMetadata.ForeignTypes(assembly), Network), $"{project} knows no network:");
        Violations.None(
            AssemblyMetadata.References(assembly).Where(reference => Forbidden([reference + '.'], Network).Any()),
            $"{project} references no assembly for the network:");
    }

    [Theory]
    [InlineData("Kwik.Data")]
    [InlineData("Kwik.Stream")]
    public void LowerLayer_MembersThatItUses_ReadNoClock(string project) => Violations.None(
        Forbidden(AssemblyMetadata.ForeignMembers(Repository.Assemblies[project]), Clocks),
        $"{project} takes its time from the caller:");

    [Fact]
    public void Data_TypesThatItUses_DoNoInputOrOutput() => Violations.None(
        Forbidden(AssemblyMetadata.ForeignTypes(Repository.Assemblies["Kwik.Data"]), Files),
        "Kwik.Data takes bytes and returns what to do:");

    [Fact]
    public void ForbiddenName_AmongThoseUsed_IsReported()
    {
        Assert.Equal(["System.Net.Sockets.Socket"], Forbidden(["System.Net.IPEndPoint", "System.Net.Sockets.Socket"], Network));
        Assert.Equal(["System.IO.File"], Forbidden(["System.IO.File", "System.IO.FileMode"], Files));
    }

    // The checks above would pass on nothing: this test program uses both, and is seen to.
    [Fact]
    public void Metadata_OfAnAssemblyThatBreaksTheRules_ShowsIt()
    {
        Assembly own = typeof(BoundaryTests).Assembly;

        Assert.Contains("System.Net.Quic.QuicConnection", AssemblyMetadata.ForeignTypes(own));
        Assert.Contains("System.IO.File.ReadAllText", AssemblyMetadata.ForeignMembers(own));
    }

    [Fact]
    public void QuicTypes_InTheSources_AppearInTransportAndProviderOnly()
    {
        SourceFile[] sources = [.. Repository.Sources()];

        Violations.None(
            UsesOfQuic(sources).Where(place => !QuicFolders.Any(folder => place.StartsWith(folder, StringComparison.Ordinal))),
            $"System.Net.Quic is named in {string.Join(" and ", QuicFolders)} only:");
        Assert.All(QuicFolders, folder =>
            Assert.Contains(UsesOfQuic(sources), place => place.StartsWith(folder, StringComparison.Ordinal)));
    }

    [Theory]
    [InlineData("using System.Net.Quic;", 1)]
    [InlineData("throw new QuicException(QuicError.InternalError, null, null);", 2)]
    [InlineData("// QuicException is mapped elsewhere\nvar a = \"QuicException\";", 0)]
    [InlineData("QuicTransport.Instance", 0)]
    public void QuicType_NamedInCode_IsReported(string code, int places) =>
        Assert.Equal(places, UsesOfQuic([new SourceFile("a.cs", code)]).Count());

    private static IEnumerable<string> Forbidden(IEnumerable<string> used, string[] forbidden) =>
        used.Where(name => forbidden.Any(entry =>
            entry.EndsWith('.') ? name.StartsWith(entry, StringComparison.Ordinal) : name == entry));

    private static IEnumerable<string> UsesOfQuic(IEnumerable<SourceFile> sources)
    {
        IEnumerable<string> types = typeof(QuicConnection).Assembly.GetExportedTypes().Select(type => type.Name);
        var pattern = new Regex($@"\b(?:System\.Net\.Quic|{string.Join('|', types)})\b");
        return sources.SelectMany(source => source.Find(pattern));
    }
}
