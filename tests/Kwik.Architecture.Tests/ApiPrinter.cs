using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace Kwik.Architecture.Tests;

/// <summary>
/// Writes what an assembly shows to others: a line for each visible type, its visible members under it, both sorted. What
/// the compiler adds to a record is left out.
/// </summary>
internal static class ApiPrinter
{
    private const BindingFlags Declared =
        BindingFlags.DeclaredOnly | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Static | BindingFlags.Instance;

    /// <summary>The lines, types in the order of their full names.</summary>
    public static IEnumerable<string> Print(Assembly assembly) =>
        assembly.GetExportedTypes().OrderBy(type => type.FullName, StringComparer.Ordinal).SelectMany(Print);

    /// <summary>One type: its own line, and its members' indented.</summary>
    public static IEnumerable<string> Print(Type type)
    {
        yield return Header(type);
        IEnumerable<string> members = type.IsEnum
            ? type.GetEnumNames().Zip(Values(type), (name, value) => $"{name} = {value}")
            : IsDelegate(type) ? [] : type.GetMembers(Declared).Select(Member).OfType<string>().Order(StringComparer.Ordinal);
        foreach (string member in members)
        {
            yield return "    " + member;
        }
    }

    private static string Header(Type type)
    {
        string name = type.Namespace + '.' + TypeNames.Of(type);
        if (IsDelegate(type))
        {
            return $"delegate {Signature(name, type.GetMethod("Invoke")!)}";
        }

        if (type.IsEnum)
        {
            return $"enum {name} : {TypeNames.Of(type.GetEnumUnderlyingType())}";
        }

        // Without those that come with the base class.
        IEnumerable<Type> interfaces = type.GetInterfaces().Where(face => face.IsVisible).Except(type.BaseType?.GetInterfaces() ?? []);
        IEnumerable<string> bases = interfaces.Select(TypeNames.Of).Order(StringComparer.Ordinal);
        if (type.BaseType is { } parent && parent != typeof(object) && parent != typeof(ValueType))
        {
            bases = bases.Prepend(TypeNames.Of(parent));
        }

        string list = string.Join(", ", bases);
        return $"{Kind(type)} {name}{(list.Length > 0 ? " : " + list : "")}";
    }

    private static string Kind(Type type)
    {
        bool isRecord = type.GetMethod("<Clone>$") is not null
            || (type.IsValueType && type.GetMethod("PrintMembers", Declared) is not null);
        string kind = type.IsInterface ? "interface" : type.IsValueType ? "struct" : "class";
        string modifiers = type switch
        {
            { IsInterface: true } => "",
            { IsAbstract: true, IsSealed: true } => "static ",
            { IsAbstract: true } => "abstract ",
            { IsValueType: true } when type.IsDefined(typeof(IsReadOnlyAttribute)) => "readonly ",
            { IsValueType: false, IsSealed: true } => "sealed ",
            _ => "",
        };
        return modifiers + (isRecord ? "record " : "") + kind;
    }

    /// <summary>Null for what others do not see.</summary>
    private static string? Member(MemberInfo member) => member switch
    {
        ConstructorInfo constructor when IsVisible(constructor) && !IsAdded(constructor) =>
            $"{Access(constructor)}{Parameters(constructor.DeclaringType!.Name.Split('`')[0], constructor)}",
        MethodInfo { IsSpecialName: false } method when IsVisible(method) && !IsAdded(method) =>
            $"{Access(method)}{Signature(TypeNames.Of(method), method)}",
        // Operators are special names, but no property's or event's.
        MethodInfo { IsSpecialName: true } method when method.Name.StartsWith("op_", StringComparison.Ordinal) && !IsAdded(method) =>
            $"{Access(method)}{Signature(method.Name, method)}",
        PropertyInfo property => Property(property),
        FieldInfo field when field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly => Field(field),
        EventInfo { AddMethod: { } add } happening when IsVisible(add) =>
            $"{Access(add)}event {TypeNames.Of(happening.EventHandlerType!)} {happening.Name}",
        _ => null,
    };

    private static string? Property(PropertyInfo property)
    {
        MethodInfo[] accessors = [.. property.GetAccessors(nonPublic: true).Where(IsVisible)];
        // EqualityContract of records is the only property that the compiler adds.
        if (accessors.Length == 0 || IsAdded(property) || property.Name == "EqualityContract")
        {
            return null;
        }

        string required = property.IsDefined(typeof(RequiredMemberAttribute)) ? "required " : "";
        string name = property.GetIndexParameters() is { Length: > 0 } index ? $"this[{string.Join(", ", index.Select(Parameter))}]" : property.Name;
        return $"{Access(accessors[0])}{required}{TypeNames.Of(property.PropertyType)} {name} {{ "
            + string.Concat(accessors.Select(accessor => accessor == property.GetMethod ? "get; " : IsInit(accessor) ? "init; " : "set; ")) + "}";
    }

    private static string Field(FieldInfo field)
    {
        string kind = field.IsLiteral ? "const " : (field.IsStatic ? "static " : "") + (field.IsInitOnly ? "readonly " : "");
        string value = field.IsLiteral ? $" = {Literal(field.GetRawConstantValue())}" : "";
        return $"{(field.IsPublic ? "" : "protected ")}{kind}{TypeNames.Of(field.FieldType)} {field.Name}{value}";
    }

    private static string Signature(string name, MethodInfo method) =>
        $"{TypeNames.Of(method.ReturnParameter.ParameterType)} {Parameters(name, method)}";

    private static string Parameters(string name, MethodBase method) =>
        $"{name}({(method.IsDefined(typeof(ExtensionAttribute)) ? "this " : "")}{string.Join(", ", method.GetParameters().Select(Parameter))})";

    private static string Parameter(ParameterInfo parameter)
    {
        string mode = parameter switch
        {
            { ParameterType.IsByRef: false } => parameter.IsDefined(typeof(ParamArrayAttribute)) ? "params " : "",
            { IsOut: true } => "out ",
            { IsIn: true } => "in ",
            _ => "ref ",
        };
        string value = parameter.HasDefaultValue ? $" = {Literal(parameter.RawDefaultValue)}" : "";
        return $"{mode}{TypeNames.Of(parameter.ParameterType)} {parameter.Name}{value}";
    }

    private static string Literal(object? value) => value switch
    {
        null => "default",
        string text => $"\"{text}\"",
        bool truth => truth ? "true" : "false",
        _ => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    private static string Access(MethodBase method)
    {
        bool overrides = method is MethodInfo { IsVirtual: true } info && info.GetBaseDefinition() != info;
        string kind = method switch
        {
            { IsStatic: true } => "static ",
            _ when method.DeclaringType!.IsInterface => "",
            _ when overrides => "override ",
            { IsAbstract: true } => "abstract ",
            { IsVirtual: true, IsFinal: false } => "virtual ",
            _ => "",
        };
        return (method.IsPublic ? "" : "protected ") + kind;
    }

    private static IEnumerable<string> Values(Type type) => type.GetEnumValuesAsUnderlyingType().Cast<object>().Select(Literal);

    private static bool IsVisible(MethodBase method) =>
        method.IsPublic || (!method.DeclaringType!.IsSealed && (method.IsFamily || method.IsFamilyOrAssembly));

    private static bool IsAdded(MemberInfo member) =>
        member.IsDefined(typeof(CompilerGeneratedAttribute)) || member.Name.Contains('<', StringComparison.Ordinal);

    private static bool IsInit(MethodInfo setter) =>
        setter.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit));

    private static bool IsDelegate(Type type) => type.IsSubclassOf(typeof(Delegate));
}
