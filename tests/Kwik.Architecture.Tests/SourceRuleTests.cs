using System.Text.RegularExpressions;

namespace Kwik.Architecture.Tests;

/// <summary>Rules about the text of the sources: how the library awaits (docs/adr/0002), and how long a file is.</summary>
public sealed partial class SourceRuleTests
{
    private const int MaxLines = 500;

    // The layers that run in a simulation: on one thread, on virtual time.
    private static readonly string[] Simulated = ["Kwik.Data", "Kwik.Stream", "Kwik.Session"];

    // Where a rule does not hold, and why.
    private static readonly (string File, string Code)[] Documented =
    [
        // The synchronous methods of System.IO.Stream block, as their documentation says.
        ("src/Kwik.Stream/KwikStream.cs", ".GetAwaiter().GetResult()"),
        // Asks a task for its result that it knows to have ended.
        ("src/Kwik.Stream/KwikStream.Offer.cs", "_offer.Task.IsCompletedSuccessfully ? _offer.Task.Result : null"),
    ];

    [Fact]
    public void Awaits_InEverySource_ArePlain() => Violations.None(
        Find(Repository.Sources(), NotPlain()),
        "docs/adr/0002: no await is ConfigureAwait(false), and no method is async void:");

    [Fact]
    public void Simulated_Layers_StartNoThreadAndBlockNone() => Violations.None(
        Find(Simulated.SelectMany(Repository.SourcesOf), LeavesTheThread()),
        "docs/adr/0002: Background.Start starts, a plain await waits:");

    [Fact]
    public void DocumentedPlaces_WithoutTheirException_WouldBeReported() => Assert.All(Documented, place =>
    {
        var file = new SourceFile(place.File, Repository.Read(place.File));
        Assert.Contains(place.Code, file.Code, StringComparison.Ordinal);
        Assert.NotEmpty(file.Find(LeavesTheThread()));
    });

    [Theory]
    [InlineData("await task.ConfigureAwait(false);")]
    [InlineData("private async void Go()")]
    public void AwaitThatIsNotPlain_InCode_IsReported(string code) =>
        Assert.Single(Find([new SourceFile("a.cs", code)], NotPlain()));

    [Theory]
    [InlineData("Task.Run(Work);")]
    [InlineData("await task.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);")]
    [InlineData("Task.Factory.StartNew(Work);")]
    [InlineData("ThreadPool.QueueUserWorkItem(Work);")]
    [InlineData("new Thread(Work).Start();")]
    [InlineData("int a = task.Result;")]
    [InlineData("task.Wait();")]
    [InlineData("Task.WaitAll(a, b);")]
    [InlineData("task.GetAwaiter().GetResult();")]
    public void LeavesTheThread_InCode_IsReported(string code) =>
        Assert.Single(Find([new SourceFile("a.cs", code)], LeavesTheThread()));

    [Theory]
    [InlineData("await task.WaitAsync(timeout);")]
    [InlineData("/// <summary>Task.Run is not for us.</summary>")]
    [InlineData("var a = \"task.Wait()\"; /* .Result */")]
    [InlineData("await signal.WaitAsync(); var b = value.ResultCount;")]
    public void LeavesTheThread_InWordsOnly_IsNotReported(string code) =>
        Assert.Empty(Find([new SourceFile("a.cs", code)], LeavesTheThread()));

    [Fact]
    public void Code_AfterAStringWithSlashes_IsStillSeen() =>
        Assert.Equal(["a.cs:2"], Find([new SourceFile("a.cs", "var a = \"http://x\";\nvar b = \"//\" + task.Result;")], LeavesTheThread()));

    [Fact]
    public void Files_InSrc_AreShort()
    {
        IReadOnlyList<SourceFile> sources = Repository.Sources();

        Assert.True(sources.Count > 50, $"Only {sources.Count} files were found.");
        Violations.None(TooLong(sources), $"A file of more than {MaxLines} lines asks to be two:");
    }

    [Fact]
    public void File_OneLineTooLong_IsReported()
    {
        var longest = new SourceFile("a.cs", string.Concat(Enumerable.Repeat("x\n", MaxLines)));

        Assert.Empty(TooLong([longest]));
        Assert.Equal(["b.cs: 501 lines"], TooLong([new SourceFile("b.cs", longest.Text + "x")]));
    }

    private static IEnumerable<string> TooLong(IEnumerable<SourceFile> sources) =>
        sources.Where(source => source.LineCount > MaxLines).Select(source => $"{source.Path}: {source.LineCount} lines");

    private static IEnumerable<string> Find(IEnumerable<SourceFile> sources, Regex pattern) =>
        sources.Select(WithoutDocumented).SelectMany(source => source.Find(pattern));

    private static SourceFile WithoutDocumented(SourceFile source) => Documented
        .Where(place => place.File == source.Path)
        .Aggregate(source, (file, place) => new(file.Path, file.Text.Replace(place.Code, "", StringComparison.Ordinal)));

    [GeneratedRegex(@"\.ConfigureAwait\s*\(\s*false|\basync\s+void\b")]
    private static partial Regex NotPlain();

    [GeneratedRegex(
        @"\bTask\s*\.\s*Run\s*\(|\bStartNew\s*[(<]|\bThreadPool\b|\bnew\s+Thread\s*\(|\.ConfigureAwait\s*\("
        + @"|\.Result\b(?!\s*\()|\.Wait(?:All|Any)?\s*\(|\.GetAwaiter\s*\(\s*\)\s*\.\s*GetResult\b")]
    private static partial Regex LeavesTheThread();
}
