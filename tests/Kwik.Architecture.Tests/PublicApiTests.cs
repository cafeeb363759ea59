using System.Reflection;

namespace Kwik.Architecture.Tests;

/// <summary>What applications compile against, and the log ids that operators filter by, change on purpose only.</summary>
public sealed class PublicApiTests
{
    [Theory]
    [InlineData("Kwik.Data")]
    [InlineData("Kwik.Stream")]
    [InlineData("Kwik.Session")]
    [InlineData("Kwik.Transfer")]
    [InlineData("Kwik.Hosting")]
    public void PublicApi_OfEveryPackage_IsTheAcceptedOne(string package)
    {
        Assembly assembly = Repository.Assemblies[package];
        string[] log = [.. LogEvent.Of(assembly).OrderBy(one => one.Id).Select(one => $"    {one}")];

        Snapshot.Verify(
            $"tests/Kwik.Architecture.Tests/PublicApi/{package}.txt",
            [.. ApiPrinter.Print(assembly), .. log.Length > 0 ? log.Prepend("log") : []]);
    }

    [Fact]
    public void Printer_EveryKindOfMember_IsWrittenOnALine() => Assert.Equal(
        [
            "abstract class Kwik.Architecture.Tests.PublicApiTests.Everything<T> : EventArgs, IDisposable",
            "    Everything(int size = 3)",
            "    abstract void Go(T item)",
            "    const string Name = \"x\"",
            "    event Action Happened",
            "    int? Count { get; init; }",
            "    override string ToString()",
            "    protected virtual (int, string[]) Pair(ReadOnlySpan<byte> bytes)",
            "    required bool IsNew { get; set; }",
            "    static bool TryMake<TItem>(out TItem item, params int[] sizes)",
            "    void Dispose()",
        ],
        ApiPrinter.Print(typeof(Everything<>)));

    [Fact]
    public void Printer_OfARecord_LeavesOutWhatTheCompilerAdds() => Assert.Equal(
        [
            "sealed record class Kwik.Architecture.Tests.PublicApiTests.Point",
            "    Point(int X)",
            "    int X { get; init; }",
        ],
        ApiPrinter.Print(typeof(Point)));

    [Fact]
    public void Printer_OfAnEnum_WritesTheValues() => Assert.Equal(
        ["enum Kwik.Architecture.Tests.PublicApiTests.Kind : byte", "    First = 1", "    Second = 7"],
        ApiPrinter.Print(typeof(Kind)));

    [Fact]
    public void Snapshot_OfAChangedApi_NamesWhatChangedWithItsType()
    {
        string[] before = ["class A", "    void Go()", "class B", "    void Go()"];
        string[] after = ["class A", "    void Go()", "class B", "    void Go(int speed)"];

        Assert.Equal(["- class B: void Go()", "+ class B: void Go(int speed)"], Snapshot.Changes(before, after));
        Assert.Empty(Snapshot.Changes(before, before));
    }

    internal enum Kind : byte
    {
        First = 1,
        Second = 7,
    }

    internal sealed record Point(int X);

    internal abstract class Everything<T> : EventArgs, IDisposable
    {
        public const string Name = "x";

        private protected int _hidden;

        public Everything(int size = 3) => _hidden = size;

        public event Action? Happened;

        public required bool IsNew { get; set; }

        public int? Count { get; init; }

        internal int Inside => _hidden;

        public static bool TryMake<TItem>(out TItem? item, params int[] sizes)
        {
            item = default;
            return sizes.Length > 0;
        }

        public abstract void Go(T item);

        public override string ToString() => Name;

        public void Dispose() => Happened?.Invoke();

        protected virtual (int Size, string[] Names) Pair(ReadOnlySpan<byte> bytes) => (bytes.Length, []);
    }
}
