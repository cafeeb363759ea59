using System.Text.RegularExpressions;

namespace Kwik.Architecture.Tests;

/// <summary>The tests of the checkout by their names, as pages name them: Class.Method.</summary>
internal static partial class TestIndex
{
    /// <summary>Every test under tests.</summary>
    public static IReadOnlySet<string> All { get; } = Directory
        .EnumerateFiles(Path.Combine(Repository.Root, "tests"), "*.cs", SearchOption.AllDirectories)
        .SelectMany(file => In(File.ReadAllText(file)))
        .ToHashSet(StringComparer.Ordinal);

    /// <summary>The tests in a file that has one class.</summary>
    public static IEnumerable<string> In(string source)
    {
        string name = TestClass().Match(source).Groups[1].Value;
        return TestMethod().Matches(source).Select(match => $"{name}.{match.Groups[1].Value}");
    }

    /// <summary>What a text names as a test.</summary>
    public static IEnumerable<string> NamedIn(string text) => TestName().Matches(text).Select(match => match.Value);

    [GeneratedRegex(@"\b\w+Tests\.\w+")]
    private static partial Regex TestName();

    [GeneratedRegex(@"^(?:public|internal)\s[\w\s]*\bclass\s+(\w+)", RegexOptions.Multiline)]
    private static partial Regex TestClass();

    // An attribute of the line above says that it is one; other attributes may come between.
    [GeneratedRegex(@"\[(?:Fact|Theory)\b[^\]]*\]\s*(?:\[.*\]\s*)*public\s+(?:async\s+)?(?:void|Task|ValueTask)\s+(\w+)\s*\(")]
    private static partial Regex TestMethod();
}
