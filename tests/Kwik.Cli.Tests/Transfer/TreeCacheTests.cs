using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Cli.Tests.Transfer;

/// <summary>
/// Trees that outlive a catalog. Whether a file was read again shows in what it is said to contain, after its bytes were changed
/// and everything else of it was left as it was.
/// </summary>
public sealed class TreeCacheTests : IDisposable
{
    private const int Length = 3_000_001;

    private static readonly DateTime LongAgo = new(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    private readonly TemporaryDirectory _directory = new();

    public TreeCacheTests()
    {
        _directory.WriteRandom("files/a", Length);
        File.SetLastWriteTimeUtc(_directory["files/a"], LongAgo);
    }

    private string Cache => _directory["cache/trees"];

    private string Cached => Assert.Single(Directory.GetFiles(Cache));

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Offer_AfterARestart_IsTheKeptOne()
    {
        ContentOffer before = await OfferAsync();
        ChangeUnseen();

        Assert.Equal(before, await OfferAsync());
    }

    [Fact]
    public async Task Index_AfterARestart_ReadsNothingAgain()
    {
        ContentOffer before = await OfferAsync();
        ChangeUnseen();

        await using FileCatalog catalog = Open();
        await catalog.IndexAsync().WithinAsync();
        await using IContent? content = await catalog.OpenAsync(before.Root, CancellationToken.None).WithinAsync();

        Assert.NotNull(content);
        Assert.True((await content.GetLeafHashesAsync(0, CancellationToken.None).WithinAsync()).Prove(before));
    }

    [Fact]
    public async Task Offer_FileWrittenMeanwhile_IsReadAgain()
    {
        ContentOffer before = await OfferAsync();
        ChangeUnseen();
        File.SetLastWriteTimeUtc(_directory["files/a"], LongAgo + TimeSpan.FromTicks(1));

        ContentOffer after = await OfferAsync();

        Assert.NotEqual(before, after);
        Assert.Equal(TrueOffer(), after);
    }

    [Fact]
    public async Task Offer_FileReplacedByOneOfTheSameLengthAndTime_IsReadAgain()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs inodes");
        await OfferAsync();
        byte[] other = File.ReadAllBytes(_directory["files/a"]);
        other[7] ^= 1;
        File.WriteAllBytes(_directory["other"], other);
        File.SetLastWriteTimeUtc(_directory["other"], LongAgo);
        File.Move(_directory["other"], _directory["files/a"], overwrite: true);

        Assert.Equal(TrueOffer(), await OfferAsync());
    }

    [Fact]
    public async Task Offer_FileReplacedWhileItIsServed_IsReadAgain()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs inodes");
        await using FileCatalog catalog = Open();
        ContentOffer before = await catalog.OfferAsync("a").WithinAsync();
        byte[] other = File.ReadAllBytes(_directory["files/a"]);
        other[7] ^= 1;
        File.WriteAllBytes(_directory["other"], other);
        File.SetLastWriteTimeUtc(_directory["other"], LongAgo);
        File.Move(_directory["other"], _directory["files/a"], overwrite: true);

        Assert.Null(await catalog.OpenAsync(before.Root, CancellationToken.None).WithinAsync());
        Assert.Equal(TrueOffer(), await catalog.OfferAsync("a").WithinAsync());
    }

    [Theory]
    [InlineData(0)]
    [InlineData(9)]
    [InlineData(20)]
    [InlineData(50)]
    [InlineData(100)]
    [InlineData(300)]
    [InlineData(-1)]
    public async Task Offer_CachedTreeWithADamagedByte_IsComputedAndKeptAgain(int at)
    {
        await OfferAsync();
        byte[] bytes = File.ReadAllBytes(Cached);
        bytes[at < 0 ? ^-at : at] ^= 1;
        File.WriteAllBytes(Cached, bytes);

        await AssertRepairedAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(79)]
    [InlineData(111)]
    [InlineData(200)]
    public async Task Offer_CachedTreeThatWasCutOff_IsComputedAndKeptAgain(int length)
    {
        await OfferAsync();
        File.WriteAllBytes(Cached, File.ReadAllBytes(Cached)[..length]);

        await AssertRepairedAsync();
    }

    [Fact]
    public async Task Offer_FileWrittenJustNow_IsNotKept()
    {
        // Written once more before the clock of the file system moves, it would look the same.
        File.SetLastWriteTimeUtc(_directory["files/a"], TimeProvider.System.GetUtcNow().UtcDateTime);

        await OfferAsync();

        Assert.False(Directory.Exists(Cache));
    }

    [Fact]
    public async Task Cache_OnUnix_IsForItsOwnerOnly()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs modes");
        await OfferAsync();

        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(Cache));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Cached));
    }

    [Fact]
    public async Task Cache_ThatOthersMayWriteTo_IsNotUsed()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs modes");
        ContentOffer before = await OfferAsync();
        File.SetUnixFileMode(Cache, File.GetUnixFileMode(Cache) | UnixFileMode.OtherWrite);
        ChangeUnseen();

        ContentOffer after = await OfferAsync();

        Assert.NotEqual(before, after);
        Assert.Equal(TrueOffer(), after);
    }

    [Fact]
    public async Task Cache_ThatCannotBeMade_CostsNothingElse()
    {
        File.WriteAllText(_directory["cache"], "a file, no directory");

        Assert.Equal(TrueOffer(), await OfferAsync());
    }

    [Fact]
    public async Task Cache_BeyondItsSize_LosesWhatIsOldest()
    {
        Directory.CreateDirectory(Cache);
        File.SetUnixFileMode(Cache, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        for (int i = 0; i < 3; i++)
        {
            string tree = Path.Combine(Cache, $"{i}.tree");
            File.WriteAllBytes(tree, new byte[500 * 1024]);
            File.SetLastWriteTimeUtc(tree, LongAgo + TimeSpan.FromDays(i == 0 ? 9 : i));
        }

        string foreign = Path.Combine(Cache, "somebody's file");
        File.WriteAllBytes(foreign, new byte[2 * 1024 * 1024]);

        await using (FileCatalog catalog = Open(new() { CacheDirectory = Cache, MaxCacheBytes = 1024 * 1024 }))
        {
            await catalog.OfferAsync("a").WithinAsync();
        }

        string[] left = [.. Directory.GetFiles(Cache).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
        Assert.Equal(4, left.Length);
        Assert.Contains("0.tree", left);
        Assert.Contains("2.tree", left);
        Assert.Contains("somebody's file", left);
    }

    [Theory]
    [InlineData("files")]
    [InlineData("files/cache")]
    [InlineData("link/cache")]
    public void Cache_InsideTheServedDirectory_IsRefused(string cache)
    {
        File.CreateSymbolicLink(_directory["link"], "files");

        Assert.Throws<ArgumentException>(() => Open(new() { CacheDirectory = _directory[cache] }));
    }

    [Fact]
    public async Task Cache_BesideTheServedDirectoryWithANameThatBeginsAlike_IsUsed()
    {
        await using (FileCatalog catalog = Open(new() { CacheDirectory = _directory["files-cache"] }))
        {
            await catalog.OfferAsync("a").WithinAsync();
        }

        Assert.Single(Directory.GetFiles(_directory["files-cache"]));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    public async Task Cache_Without_WorksAsWell(string? none)
    {
        await using FileCatalog catalog = Open(new() { CacheDirectory = none });

        Assert.Equal(TrueOffer(), await catalog.OfferAsync("a").WithinAsync());
    }

    [Fact]
    public async Task Memory_WithTooManyTrees_KeepsTheLastAndComputesTheOthersAgain()
    {
        // A tree counts for 1 KiB and its hashes.
        const int files = 1_100;
        for (int i = 0; i < files; i++)
        {
            File.WriteAllBytes(_directory[$"files/{i}"], BitConverter.GetBytes(i));
            File.SetLastWriteTimeUtc(_directory[$"files/{i}"], LongAgo);
        }

        await using FileCatalog catalog = Open(new() { CacheDirectory = null, MaxTreeMemory = 1024 * 1024 });
        var offers = new ContentOffer[files];
        for (int i = 0; i < files; i++)
        {
            offers[i] = await catalog.OfferAsync($"{i}").WithinAsync();
        }

        foreach (int i in (int[])[0, files - 1])
        {
            Rewrite($"files/{i}", bytes => bytes[0] ^= 1);
        }

        Assert.False(await ProvesAsync(0));
        Assert.True(await ProvesAsync(files - 1));
        Assert.True(await ProvesAsync(1));

        async Task<bool> ProvesAsync(int i)
        {
            await using IContent? content = await catalog.OpenAsync(offers[i].Root, CancellationToken.None).WithinAsync();
            return (await content!.GetLeafHashesAsync(0, CancellationToken.None).WithinAsync()).Prove(offers[i]);
        }
    }

    [Fact]
    public async Task Memory_TreeThatWasEvicted_ComesFromTheCache()
    {
        ContentOffer offer = await OfferAsync();
        ChangeUnseen();
        await using FileCatalog catalog = Open(new() { CacheDirectory = Cache, MaxTreeMemory = 1024 * 1024 });
        await catalog.OfferAsync("a").WithinAsync();
        for (int i = 0; i < 1_100; i++)
        {
            File.WriteAllBytes(_directory[$"files/{i}"], BitConverter.GetBytes(i));
            await catalog.OfferAsync($"{i}").WithinAsync();
        }

        await using IContent? content = await catalog.OpenAsync(offer.Root, CancellationToken.None).WithinAsync();

        Assert.True((await content!.GetLeafHashesAsync(0, CancellationToken.None).WithinAsync()).Prove(offer));
    }

    [Theory]
    [InlineData(1024 * 1024 - 1, 64L << 20)]
    [InlineData((1L << 40) + 1, 64L << 20)]
    [InlineData(1L << 30, 1024 * 1024 - 1)]
    [InlineData(1L << 30, (64L << 30) + 1)]
    public void Options_OutOfTheirRange_AreRefused(long cacheBytes, long treeMemory) => Assert.Throws<ArgumentOutOfRangeException>(
        () => Open(new() { CacheDirectory = null, MaxCacheBytes = cacheBytes, MaxTreeMemory = treeMemory }));

    private FileCatalog Open(FileCatalogOptions? options = null) =>
        FileCatalog.Open(_directory["files"], options ?? new() { CacheDirectory = Cache });

    private async Task<ContentOffer> OfferAsync()
    {
        await using FileCatalog catalog = Open();
        return await catalog.OfferAsync("a").WithinAsync();
    }

    private async Task AssertRepairedAsync()
    {
        ContentOffer expected = TrueOffer();
        Assert.Equal(expected, await OfferAsync());
        ChangeUnseen();
        Assert.Equal(expected, await OfferAsync());
    }

    private ContentOffer TrueOffer() => ContentTree.Compute(File.ReadAllBytes(_directory["files/a"])).Offer;

    private void ChangeUnseen() => Rewrite("files/a", bytes => bytes[Length / 2] ^= 1);

    /// <summary>Changes bytes, and nothing that a stamp shows.</summary>
    private void Rewrite(string file, Action<byte[]> change)
    {
        byte[] bytes = File.ReadAllBytes(_directory[file]);
        change(bytes);
        using (var stream = new FileStream(_directory[file], FileMode.Open, FileAccess.Write))
        {
            stream.Write(bytes);
        }

        File.SetLastWriteTimeUtc(_directory[file], LongAgo);
    }
}
