namespace Kwik.Architecture.Tests;

/// <summary>The pages of docs/hazards: the same parts, and tests that exist.</summary>
public sealed class HazardTests
{
    private const string Folder = "docs/hazards/";
    private const string Index = Folder + "README.md";

    private static readonly string[] Parts = ["## Symptom", "## Why", "## What Kwik does", "## What is left to you"];

    private static IEnumerable<MarkdownPage> Pages =>
        MarkdownPage.All.Where(page => page.Path.StartsWith(Folder, StringComparison.Ordinal) && page.Path != Index);

    [Fact]
    public void Pages_OfHazards_HaveTheSameParts() =>
        Assert.All(Pages, page => Assert.Equal(Parts, page.Text.Split('\n').Where(line => line.StartsWith("## ", StringComparison.Ordinal))));

    [Fact]
    public void Pages_OfHazards_EachNameTestsThatExist() =>
        Violations.None(Pages.SelectMany(page => Untested(page, TestIndex.All)), "A page names tests that show what it says:");

    [Fact]
    public void Page_WithoutATest_IsFound()
    {
        IReadOnlySet<string> known = new HashSet<string> { "ATests.A_B_C" };

        Assert.Empty(Untested(new("x.md", "## What Kwik does\n* One. (ATests.A_B_C)"), known));
        Assert.Equal(["x.md names no test"], Untested(new("x.md", "## What Kwik does\n* One."), known));
        Assert.Equal(["x.md names BTests.D, which is no test"], Untested(new("x.md", "(ATests.A_B_C, BTests.D)"), known));
    }

    [Fact]
    public void Pages_OfHazards_AreAllInTheIndex() => Assert.Equal(
        Pages.Select(page => page.Path[Folder.Length..]).Order(StringComparer.Ordinal),
        MarkdownPage.All.Single(page => page.Path == Index).Links.Order(StringComparer.Ordinal));

    private static IEnumerable<string> Untested(MarkdownPage page, IReadOnlySet<string> known)
    {
        string[] named = [.. TestIndex.NamedIn(page.Text)];
        return named.Length == 0
            ? [$"{page.Path} names no test"]
            : named.Where(name => !known.Contains(name)).Select(name => $"{page.Path} names {name}, which is no test");
    }
}
