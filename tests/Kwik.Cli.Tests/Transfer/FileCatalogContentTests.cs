using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Cli.Tests.Transfer;

/// <summary>Roots of files, what is remembered of them, and files that change.</summary>
public sealed class FileCatalogContentTests : IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ManualClock _clock = new();
    private FileCatalog? _catalog;

    private FileCatalog Catalog => _catalog!;

    public ValueTask InitializeAsync()
    {
        _catalog = FileCatalog.Open(_directory.Path, new() { CacheDirectory = null, TimeProvider = _clock });
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await Catalog.DisposeAsync().WithinAsync();
        _directory.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(ContentHasher.DefaultLeafSize - 1)]
    [InlineData(ContentHasher.DefaultLeafSize)]
    [InlineData(ContentHasher.DefaultLeafSize + 1)]
    [InlineData(3_000_001)]
    public async Task Offer_File_HasTheRootOfItsBytes(int length)
    {
        byte[] bytes = _directory.WriteRandom("file", length);

        Assert.Equal(OfferOf(bytes), await Catalog.OfferAsync("file").WithinAsync());
    }

    [Fact]
    public async Task Offer_ManyAtOnce_ReadTheFileOnce()
    {
        _directory.WriteRandom("file", 3_000_000);

        ContentOffer[] offers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Catalog.OfferAsync("file"))).WithinAsync();

        Assert.All(offers, offer => Assert.Same(offers[0], offer));
        Assert.Same(offers[0], await Catalog.OfferAsync("file").WithinAsync());
    }

    [Fact]
    public async Task Offer_CallerThatGaveUp_LeavesTheReadingToTheOthers()
    {
        byte[] bytes = _directory.WriteRandom("file", 3_000_000);
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Catalog.OfferAsync("file", cancelled.Token).WithinAsync());

        Assert.Equal(OfferOf(bytes), await Catalog.OfferAsync("file").WithinAsync());
    }

    [Fact]
    public async Task Offer_FileThatChanged_IsReadAgain()
    {
        _directory.WriteRandom("file", 1000);
        await Catalog.OfferAsync("file").WithinAsync();
        byte[] changed = _directory.WriteRandom("file", 1001);

        Assert.Equal(OfferOf(changed), await Catalog.OfferAsync("file").WithinAsync());
    }

    [Fact]
    public async Task Offer_FileWithNewBytesOfTheSameLength_IsReadAgain()
    {
        byte[] bytes = _directory.WriteRandom("file", 1000);
        await Catalog.OfferAsync("file").WithinAsync();
        Touch(bytes);

        Assert.Equal(OfferOf(bytes), await Catalog.OfferAsync("file").WithinAsync());
    }

    [Fact]
    public async Task Read_OpenedContent_GivesItsBytes()
    {
        byte[] bytes = _directory.WriteRandom("file", 100_000);
        ContentOffer offer = await Catalog.OfferAsync("file").WithinAsync();

        await using IContent content = Assert.IsAssignableFrom<IContent>(await OpenAsync(offer));
        var buffer = new byte[50_000];
        int read = await content.ReadAsync(60_000, buffer, CancellationToken.None).WithinAsync();

        Assert.Equal(bytes.Length, content.Length);
        Assert.Equal(bytes.AsSpan(60_000, read), buffer.AsSpan(0, read));
        Assert.Equal(40_000, read);
    }

    [Fact]
    public async Task Read_FileThatWasRewrittenMeanwhile_Throws()
    {
        byte[] bytes = _directory.WriteRandom("file", 100_000);
        await using IContent content = (await OpenAsync(await Catalog.OfferAsync("file").WithinAsync()))!;
        Touch(bytes);

        await Assert.ThrowsAnyAsync<IOException>(() => content.ReadAsync(0, new byte[100], CancellationToken.None).WithinAsync());
    }

    [Fact]
    public async Task Read_FileThatWasTruncatedMeanwhile_Throws()
    {
        _directory.WriteRandom("file", 100_000);
        await using IContent content = (await OpenAsync(await Catalog.OfferAsync("file").WithinAsync()))!;
        using (var file = new FileStream(_directory["file"], FileMode.Open))
        {
            file.SetLength(10);
        }

        await Assert.ThrowsAnyAsync<IOException>(() => content.ReadAsync(50_000, new byte[100], CancellationToken.None).WithinAsync());
    }

    [Fact]
    public async Task Open_FileThatChangedOrWent_IsNotThere()
    {
        byte[] bytes = _directory.WriteRandom("file", 1000);
        ContentOffer before = await Catalog.OfferAsync("file").WithinAsync();
        Touch(bytes);
        Assert.Null(await OpenAsync(before));

        ContentOffer after = await Catalog.OfferAsync("file").WithinAsync();
        File.Delete(_directory["file"]);
        Assert.Null(await OpenAsync(after));
    }

    [Fact]
    public async Task Open_OneOfTwoEqualFilesWent_TheOtherStandsForBoth()
    {
        byte[] bytes = _directory.WriteRandom("one", 1000);
        File.WriteAllBytes(_directory["two"], bytes);
        ContentOffer offer = await Catalog.OfferAsync("one").WithinAsync();
        Assert.Equal(offer, await Catalog.OfferAsync("two").WithinAsync());
        File.Delete(_directory["two"]);

        await using IContent? content = await OpenAsync(offer);

        Assert.Equal(1000, content?.Length);
        File.Delete(_directory["one"]);
        Assert.Null(await OpenAsync(offer));
    }

    [Fact]
    public async Task Open_DirectoryIsGone_IsNotThere()
    {
        using var served = new TemporaryDirectory();
        byte[] bytes = served.WriteRandom("files/one", 1000);
        await using FileCatalog catalog = FileCatalog.Open(served["files"], new() { CacheDirectory = null, TimeProvider = _clock });
        await catalog.IndexAsync().WithinAsync();
        Directory.Delete(served["files"], recursive: true);
        _clock.Advance(FileCatalog.RescanInterval);

        Assert.Null(await catalog.OpenAsync(OfferOf(bytes).Root, CancellationToken.None).AsTask().WithinAsync());
    }

    [Fact]
    public async Task Open_FileReplacedByALinkOut_IsNotThere()
    {
        using var outside = new TemporaryDirectory();
        byte[] bytes = _directory.WriteRandom("file", 1000);
        outside.WriteRandom("file", 1000);
        ContentOffer offer = await Catalog.OfferAsync("file").WithinAsync();
        DateTime written = File.GetLastWriteTimeUtc(_directory["file"]);
        File.SetLastWriteTimeUtc(outside["file"], written);
        File.Delete(_directory["file"]);
        File.CreateSymbolicLink(_directory["file"], outside["file"]);

        Assert.Null(await OpenAsync(offer));
    }

    [Fact]
    public async Task Open_WithoutIndex_LooksForNothing()
    {
        byte[] bytes = _directory.WriteRandom("file", 1000);

        Assert.Null(await OpenAsync(OfferOf(bytes)));
    }

    [Fact]
    public async Task Open_WithIndex_FindsByContentWhateverTheName()
    {
        byte[] bytes = _directory.WriteRandom("some/where/else", 1000);
        await Catalog.IndexAsync().WithinAsync();

        await using IContent? content = await OpenAsync(OfferOf(bytes));

        Assert.Equal(1000, content?.Length);
    }

    [Fact]
    public async Task Open_FileThatCameLater_IsFoundButNotAtOnce()
    {
        await Catalog.IndexAsync().WithinAsync();
        byte[] bytes = _directory.WriteRandom("late", 1000);

        Assert.Null(await OpenAsync(OfferOf(bytes)));
        _clock.Advance(FileCatalog.RescanInterval);
        await using IContent? content = await OpenAsync(OfferOf(bytes));

        Assert.Equal(1000, content?.Length);
    }

    [Fact]
    public async Task Offer_AfterDisposal_Throws()
    {
        _directory.WriteRandom("file", 1000);
        await Catalog.DisposeAsync().WithinAsync();

        await Assert.ThrowsAsync<ObjectDisposedException>(() => Catalog.OfferAsync("file").WithinAsync());
        await Catalog.DisposeAsync().WithinAsync();
    }

    private static ContentOffer OfferOf(byte[] bytes)
    {
        using var hasher = new ContentHasher();
        hasher.Append(bytes);
        return new(hasher.Finish(), bytes.Length);
    }

    private Task<IContent?> OpenAsync(ContentOffer offer) => Catalog.OpenAsync(offer.Root, CancellationToken.None).WithinAsync();

    /// <summary>Rewrites the file with other bytes of the same length, and with another time whatever the clock's resolution.</summary>
    private void Touch(byte[] bytes)
    {
        bytes[0] ^= 1;
        DateTime before = File.GetLastWriteTimeUtc(_directory["file"]);
        File.WriteAllBytes(_directory["file"], bytes);
        File.SetLastWriteTimeUtc(_directory["file"], before + TimeSpan.FromSeconds(1));
    }

    private sealed class ManualClock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Advance(TimeSpan by) => Interlocked.Add(ref _ticks, by.Ticks);

        public override long GetTimestamp() => Interlocked.Read(ref _ticks);
    }
}
