using System.Globalization;
using System.Text.RegularExpressions;
using Kwik.Data;

namespace Kwik.Architecture.Tests;

/// <summary>docs/protocol.md, proto/ and KwikError say the same.</summary>
public sealed partial class ProtocolTests
{
    private const string Page = "docs/protocol.md";

    // Names by which others know these messages.
    private static readonly string[] Given =
    [
        "StreamMetadataFrame", "SecondaryStreamOpen", "SecondaryStreamData", "SecondaryStreamClose",
        "OffsetSyncRequest", "OffsetSyncResponse", "StreamMappingUpdate",
    ];

    private static string[] Protos => [.. Directory
        .EnumerateFiles(Path.Combine(Repository.Root, "proto"), "*.proto")
        .Order(StringComparer.Ordinal)
        .Select(File.ReadAllText)];

    [Fact]
    public void Messages_InProto_AreDefinedOnce() => Violations.None(
        Messages(Protos).CountBy(name => name).Where(count => count.Value > 1).Select(count => count.Key),
        "One message, one definition, whatever the package:");

    [Fact]
    public void Messages_WithGivenNames_Exist() => Assert.All(Given, name => Assert.Contains(name, Messages(Protos)));

    [Fact]
    public void Message_DefinedTwice_IsFoundTwice() => Assert.Equal(
        ["Frame", "Inner", "Frame"],
        Messages(["// message Old { }\nmessage Frame {\n  message Inner {}\n}", "message  Frame\n{\n}"]));

    [Fact]
    public void ControlFrames_ThatThePageLists_AreTheBodiesOfControlFrame() => Assert.Equal(
        Bodies(Repository.Read("proto/control.proto")).Order(StringComparer.Ordinal),
        ListedFrames(Repository.Read(Page)).Order(StringComparer.Ordinal));

    [Fact]
    public void Messages_InProto_AreAllOnThePage() => Violations.None(
        Messages(Protos).Except(Word().Matches(Repository.Read(Page)).Select(word => word.Value)), "The page does not name:");

    [Fact]
    public void ControlFrames_OfThePage_AreFound()
    {
        Assert.Contains("RangeRefused", ListedFrames(Repository.Read(Page)));
        Assert.Equal(
            ["A", "B", "C"],
            ListedFrames("| frame | from | means |\n|---|---|---|\n| A / B | x | y / z |\n| C | x | y |\n\nText | D | e |"));
        Assert.Equal(
            ["AddPath", "Heartbeat"],
            Bodies("oneof body {\n AddPath add_path = 3;\n Heartbeat heartbeat = 10;\n}\nmessage AddPath { uint32 x = 1; }"));
    }

    [Fact]
    public void KwikError_Codes_AreUnique() =>
        Assert.Empty(Duplicates(Enum.GetValuesAsUnderlyingType<KwikError>().Cast<long>()));

    [Fact]
    public void Code_UsedTwice_IsReported() => Assert.Equal([2], Duplicates([1, 2, 3, 2]));

    [Fact]
    public void ErrorTable_OfThePage_IsTheEnum()
    {
        IEnumerable<string> documented = ErrorRows(Repository.Read(Page)).Select(row => $"{row.Code} {row.Name}");
        IEnumerable<string> defined = Enum.GetValues<KwikError>()
            .Select(error => string.Create(CultureInfo.InvariantCulture, $"0x{(long)error:x2} {error}"));

        Assert.Equal(defined, documented);
    }

    [Fact]
    public void TextForms_OfThePage_AreTheNamesInCapitals() => Assert.All(
        ErrorRows(Repository.Read(Page)).Where(row => row.TextForm.Length > 0),
        row => Assert.Equal("KWIK" + Hump().Replace(row.Name, match => '_' + match.Value).ToUpperInvariant(), row.TextForm));

    [Fact]
    public void TextForms_OfThePage_AreInTheDocumentationOfTheEnum()
    {
        string source = Repository.Read("src/Kwik.Data/KwikError.cs");
        string[] forms = [.. ErrorRows(Repository.Read(Page)).Select(row => row.TextForm).Where(form => form.Length > 0)];

        Assert.Equal(7, forms.Length);
        Assert.All(forms, form => Assert.Contains($"<summary>{form}:", source, StringComparison.Ordinal));
    }

    [Fact]
    public void Numbers_OfTheRules_AreInOrderAndOnce()
    {
        int[] numbers =
        [
            .. RuleNumber().Matches(Repository.Read(Page))
                .Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)),
        ];

        Assert.NotEmpty(numbers);
        Assert.Equal(Enumerable.Range(1, numbers.Length), numbers);
    }

    [Fact]
    public void Rules_OfThePage_EachNameATestThatExists() => Violations.None(
        Untested(Repository.Read(Page), TestIndex.All), "Every rule names a test that shows it:");

    [Fact]
    public void Rule_WithoutATest_IsFound()
    {
        const string page = """
            * M1. One. [Timeout] (ATests.A_B_C, ATests.D_E_F)
            * M2. Two,
              of two lines. [Timeout] (ATests.A_B_C)
            * Text. (ATests.A_B_C)

            * M3. None, with `Kwik.Data` in it.

            (ATests.A_B_C)
            * M4. Another. (BTests.A_B_C)
            """;
        string[] tests =
        [
            .. TestIndex.In("public sealed class ATests\n{\n  [Fact]\n  public void A_B_C() => Run();\n  [Theory]\n  [InlineData(1)]\n  public async Task D_E_F(int x)"),
            .. TestIndex.In("// A class of its own.\npublic class BTests\n{\n  [Fact]\n  public void Z()\n  void A_B_C()"),
        ];

        Assert.Equal(["ATests.A_B_C", "ATests.D_E_F", "BTests.Z"], tests);
        Assert.Equal(["M3 names no test", "M4 names BTests.A_B_C, which is no test"], Untested(page, tests.ToHashSet()));
    }

    private static IEnumerable<string> Untested(string page, IReadOnlySet<string> known)
    {
        foreach (Match rule in Rule().Matches(page))
        {
            string[] named = [.. TestIndex.NamedIn(rule.Value)];
            if (named.Length == 0)
            {
                yield return $"{rule.Groups[1].Value} names no test";
            }

            foreach (string name in named.Where(name => !known.Contains(name)))
            {
                yield return $"{rule.Groups[1].Value} names {name}, which is no test";
            }
        }
    }

    private static IEnumerable<string> Messages(IEnumerable<string> protos) =>
        protos.SelectMany(proto => Message().Matches(proto)).Select(match => match.Groups[1].Value);

    private static string[] Bodies(string proto)
    {
        string oneof = OneofBody().Match(proto).Groups[1].Value;
        return [.. OneofField().Matches(oneof).Select(match => match.Groups[1].Value)];
    }

    // The table under the header "frame | from | means", up to the first line that is no row.
    private static string[] ListedFrames(string page) =>
    [
        .. page.Split('\n')
            .SkipWhile(line => !line.StartsWith("| frame |", StringComparison.Ordinal))
            .Skip(2)
            .TakeWhile(line => line.StartsWith('|'))
            .SelectMany(line => line.Split('|')[1].Split('/', StringSplitOptions.TrimEntries)),
    ];

    private static IEnumerable<(string Code, string Name, string TextForm)> ErrorRows(string page) => ErrorRow().Matches(page)
        .Select(match => (match.Groups[1].Value, match.Groups[2].Value, match.Groups[3].Value.Trim()));

    private static IEnumerable<long> Duplicates(IEnumerable<long> codes) =>
        codes.CountBy(code => code).Where(count => count.Value > 1).Select(count => count.Key);

    [GeneratedRegex(@"^\s*message\s+(\w+)", RegexOptions.Multiline)]
    private static partial Regex Message();

    [GeneratedRegex(@"oneof\s+body\s*\{([^}]*)\}")]
    private static partial Regex OneofBody();

    [GeneratedRegex(@"(\w+)\s+\w+\s*=\s*\d+\s*;")]
    private static partial Regex OneofField();

    [GeneratedRegex(@"^\| (0x[0-9a-f]{2}) \| (\w+) \|([^|]*)\|\r?$", RegexOptions.Multiline)]
    private static partial Regex ErrorRow();

    [GeneratedRegex(@"^\* M(\d+)\.", RegexOptions.Multiline)]
    private static partial Regex RuleNumber();

    // To the next item of the list, or the end of the list.
    [GeneratedRegex(@"^\* (M\d+)\. .*(\r?\n  .*)*", RegexOptions.Multiline)]
    private static partial Regex Rule();

    [GeneratedRegex(@"\w+")]
    private static partial Regex Word();

    [GeneratedRegex("[A-Z]")]
    private static partial Regex Hump();
}
