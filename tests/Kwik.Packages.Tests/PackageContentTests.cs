using System.IO.Compression;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Xml.Linq;

namespace Kwik.Packages.Tests;

/// <summary>What is in the packages, and what they say of themselves.</summary>
public sealed class PackageContentTests(PackageFeed feed)
{
    public static TheoryData<string, string> Libraries => new()
    {
        { "Kwik.Data", "Google.Protobuf" },
        { "Kwik.Stream", "Google.Protobuf, Kwik.Data" },
        { "Kwik.Session", "Google.Protobuf, Kwik.Data, Kwik.Stream, Microsoft.Extensions.Logging.Abstractions" },
        { "Kwik.Transfer", "Google.Protobuf, Kwik.Session, Microsoft.Extensions.Logging.Abstractions" },
        {
            "Kwik.Hosting",
            "Google.Protobuf, Kwik.Session, Kwik.Transfer, Microsoft.Extensions.Diagnostics.HealthChecks, "
                + "Microsoft.Extensions.Hosting, Microsoft.Extensions.Hosting.Abstractions, Microsoft.Extensions.Logging.Abstractions, "
                + "Microsoft.Extensions.Options"
        },
    };

    [Fact]
    public void Packages_OfTheCheckout_AreTheSeven()
    {
        PackageFeed.SkipWithoutNativeLibrary();

        Assert.Equal(
            PackageFeed.Ids.Order(StringComparer.Ordinal),
            Directory.GetFiles(feed.Path, "*.nupkg").Select(file => Path.GetFileName(file))
                .Where(file => file.StartsWith("kwik.", StringComparison.OrdinalIgnoreCase))
                .Select(file => file[..^$".{feed.Version}.nupkg".Length])
                .Order(StringComparer.Ordinal));
    }

    [Fact]
    public void EveryPackage_SaysWhatItIsAndUnderWhichLicence()
    {
        PackageFeed.SkipWithoutNativeLibrary();
        foreach (string id in PackageFeed.Ids)
        {
            XElement metadata = ReadMetadata(id);

            Assert.Equal(id, Value(metadata, "id"));
            Assert.Equal("MIT", Value(metadata, "license"));
            Assert.Equal("README.md", Value(metadata, "readme"));
            Assert.False(Value(metadata, "description") is "" or "Package Description", id);
            Assert.NotEqual("", Value(metadata, "tags"));
            string[] files = Files(id);
            Assert.Contains("README.md", files);
            Assert.Contains("LICENSE", files);
        }
    }

    [Theory]
    [MemberData(nameof(Libraries))]
    public void Library_HasAssemblyAndDocumentationAndAsksForTheSameVersionOfTheOthers(string id, string dependencies)
    {
        PackageFeed.SkipWithoutNativeLibrary();

        Assert.Equal([$"lib/net10.0/{id}.dll", $"lib/net10.0/{id}.xml"], Files(id).Where(file => file.StartsWith("lib/", StringComparison.Ordinal)));
        XElement[] asked = [.. ReadMetadata(id).Descendants().Where(element => element.Name.LocalName == "dependency")];
        Assert.Equal(
            dependencies.Split(", "), asked.Select(element => element.Attribute("id")!.Value).Order(StringComparer.Ordinal));
        Assert.All(
            asked.Where(element => element.Attribute("id")!.Value.StartsWith("Kwik.", StringComparison.Ordinal)),
            element => Assert.Equal($"[{feed.Version}]", element.Attribute("version")!.Value));
    }

    [Theory]
    [MemberData(nameof(Libraries))]
    public void Library_HasItsSymbolsInAPackageOfTheirOwn(string id, string _)
    {
        PackageFeed.SkipWithoutNativeLibrary();
        using ZipArchive symbols = ZipFile.OpenRead(Path.ChangeExtension(feed.PackageOf(id), ".snupkg"));
        using var file = new MemoryStream();
        using (Stream packed = symbols.GetEntry($"lib/net10.0/{id}.pdb")!.Open())
        {
            packed.CopyTo(file);
        }

        using ZipArchive package = ZipFile.OpenRead(feed.PackageOf(id));
        using var assembly = new MemoryStream();
        using (Stream packed = package.GetEntry($"lib/net10.0/{id}.dll")!.Open())
        {
            packed.CopyTo(assembly);
        }

        file.Position = assembly.Position = 0;
        using var reader = new PEReader(assembly);
        using MetadataReaderProvider pdb = MetadataReaderProvider.FromPortablePdbStream(file);
        DebugDirectoryEntry entry = reader.ReadDebugDirectory().Single(entry => entry.Type == DebugDirectoryEntryType.CodeView);
        Guid wanted = reader.ReadCodeViewDebugDirectoryData(entry).Guid;
        Assert.Equal(wanted, new BlobContentId(pdb.GetMetadataReader().DebugMetadataHeader!.Id).Guid);
    }

    [Fact]
    public void NativePackage_HasTheLibraryAndTheLicencesAndNoCode()
    {
        PackageFeed.SkipWithoutNativeLibrary();
        string[] files = Files("Kwik.Native.linux-x64");

        Assert.Equal(
            ["runtimes/linux-x64/native/libmsquic-kwik.so.2"], files.Where(file => file.StartsWith("runtimes/", StringComparison.Ordinal)));
        Assert.Contains("THIRD-PARTY-NOTICES.txt", files);
        Assert.DoesNotContain(files, file => file.EndsWith(".dll", StringComparison.Ordinal));
        Assert.DoesNotContain(ReadMetadata("Kwik.Native.linux-x64").Descendants(), element => element.Name.LocalName == "dependency");
        byte[] built = File.ReadAllBytes(Path.Combine(PackageFeed.Root, "artifacts", "native", "libmsquic.so.2"));
        using ZipArchive package = ZipFile.OpenRead(feed.PackageOf("Kwik.Native.linux-x64"));
        using Stream packed = package.GetEntry("runtimes/linux-x64/native/libmsquic-kwik.so.2")!.Open();
        using var copy = new MemoryStream();
        packed.CopyTo(copy);
        Assert.True(copy.ToArray().AsSpan().SequenceEqual(built), "The library in the package is not the one that was built.");
    }

    [Fact]
    public void Tool_HasTheCommandTheNativeLibraryAndItsLicences()
    {
        PackageFeed.SkipWithoutNativeLibrary();
        string[] files = Files("kwik");

        Assert.Contains("THIRD-PARTY-NOTICES.txt", files);
        Assert.Contains("tools/net10.0/any/kwik.dll", files);
        Assert.Contains("tools/net10.0/any/runtimes/linux-x64/native/libmsquic.so.2", files);
        Assert.Contains("DotnetTool", ReadMetadata("kwik").Descendants().Attributes("name").Select(name => name.Value));
    }

    private static string Value(XElement metadata, string name) =>
        metadata.Elements().SingleOrDefault(element => element.Name.LocalName == name)?.Value ?? "";

    private XElement ReadMetadata(string id)
    {
        using ZipArchive package = ZipFile.OpenRead(feed.PackageOf(id));
        using Stream nuspec = package.GetEntry($"{id}.nuspec")!.Open();
        return XDocument.Load(nuspec).Root!.Elements().Single();
    }

    private string[] Files(string id)
    {
        using ZipArchive package = ZipFile.OpenRead(feed.PackageOf(id));
        return [.. package.Entries.Select(entry => entry.FullName)];
    }
}
