using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Kwik.Architecture.Tests;

/// <summary>What an assembly's metadata says that it uses: every type and member that its code names, private or not.</summary>
internal static class AssemblyMetadata
{
    /// <summary>Assemblies that it references.</summary>
    public static IReadOnlyList<string> References(Assembly assembly) =>
        [.. assembly.GetReferencedAssemblies().Select(name => name.Name!).Order(StringComparer.Ordinal)];

    /// <summary>Types of other assemblies, as Namespace.Name.</summary>
    public static IReadOnlySet<string> ForeignTypes(Assembly assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly.Location));
        MetadataReader reader = file.GetMetadataReader();
        return reader.TypeReferences.Select(handle => NameOf(reader, handle)).ToHashSet();
    }

    /// <summary>Members of types of other assemblies, as Namespace.Type.Member; of generic types their definition's.</summary>
    public static IReadOnlySet<string> ForeignMembers(Assembly assembly)
    {
        using var file = new PEReader(File.OpenRead(assembly.Location));
        MetadataReader reader = file.GetMetadataReader();
        return reader.MemberReferences
            .Select(reader.GetMemberReference)
            .Where(member => member.Parent.Kind == HandleKind.TypeReference)
            .Select(member => $"{NameOf(reader, (TypeReferenceHandle)member.Parent)}.{reader.GetString(member.Name)}")
            .ToHashSet();
    }

    private static string NameOf(MetadataReader reader, TypeReferenceHandle handle)
    {
        TypeReference type = reader.GetTypeReference(handle);
        string outer = type.ResolutionScope.Kind == HandleKind.TypeReference
            ? NameOf(reader, (TypeReferenceHandle)type.ResolutionScope)
            : reader.GetString(type.Namespace);
        return $"{outer}.{reader.GetString(type.Name)}";
    }
}
