using System.Diagnostics;
using System.Net.Sockets;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Cli.Tests.Transfer;

/// <summary>What a client may name, and what it may not reach however it names it.</summary>
public sealed class FileCatalogPathTests : IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private FileCatalog? _catalog;

    public async ValueTask InitializeAsync()
    {
        _directory.WriteRandom("files/a.txt", 10);
        _directory.WriteRandom("files/dir/b.txt", 20);
        _directory.WriteRandom("files/with space, ümlaut and ..dots..", 30);
        _directory.WriteRandom("secret.txt", 40);
        // Its name begins like that of the root.
        _directory.WriteRandom("files-secret/c.txt", 50);
        Link("files/link-in", "dir/b.txt");
        Link("files/link-to-link", "link-in");
        Link("files/dir-link", "dir");
        Link("files/dir/link-up", "../a.txt");
        Link("files/link-absolute-in", _directory["files/a.txt"]);
        Link("files/link-out", "../secret.txt");
        Link("files/link-out-absolute", _directory["secret.txt"]);
        Link("files/link-beside", "../files-secret/c.txt");
        Link("files/dir-link-out", "..");
        Link("files/link-through-out", "dir-link-out/secret.txt");
        Link("files/link-dangling", "nothing");
        Link("files/link-loop", "link-loop");
        Link("files/link-null", "/dev/null");
        Link("files/link-passwd", "/etc/passwd");
        using Process mkfifo = Process.Start("mkfifo", [_directory["files/fifo"]]);
        await mkfifo.WaitForExitAsync().WithinAsync();
        _socket.Bind(new UnixDomainSocketEndPoint(_directory["files/socket"]));
        // The root is reached over a link itself.
        Link("root", "files");
        _catalog = FileCatalog.Open(_directory["root"], new() { CacheDirectory = null });
    }

    public async ValueTask DisposeAsync()
    {
        await _catalog!.DisposeAsync().WithinAsync();
        _socket.Dispose();
        _directory.Dispose();
    }

    [Theory]
    [InlineData("files", true)]
    [InlineData("root", true)]
    [InlineData("files/", true)]
    [InlineData("files/dir", true)]
    [InlineData("files/not/there/yet", true)]
    [InlineData("root/not-there", true)]
    [InlineData("files/link-loop", true)]
    [InlineData("files-secret", false)]
    [InlineData("not-there", false)]
    [InlineData("files/../records", false)]
    [InlineData("files/dir-link-out/records", false)]
    public void Covers_APath_IsWhetherItLeadsIntoTheRoot(string path, bool expected) =>
        Assert.Equal(expected, _catalog!.Covers(_directory[path]));

    [Theory]
    [InlineData("a.txt", 10)]
    [InlineData("dir/b.txt", 20)]
    [InlineData("with space, ümlaut and ..dots..", 30)]
    [InlineData("link-in", 20)]
    [InlineData("link-to-link", 20)]
    [InlineData("dir-link/b.txt", 20)]
    [InlineData("dir/link-up", 10)]
    [InlineData("dir-link/link-up", 10)]
    [InlineData("link-absolute-in", 10)]
    public async Task Offer_FileBelowTheRoot_IsOffered(string path, long length)
    {
        Assert.Equal(length, (await _catalog!.OfferAsync(path).WithinAsync()).Length);
    }

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData(".")]
    [InlineData("..")]
    [InlineData("nothing")]
    [InlineData("dir")]
    [InlineData("dir/")]
    [InlineData("dir-link")]
    [InlineData("a.txt/")]
    [InlineData("a.txt/.")]
    [InlineData("a.txt/b.txt")]
    [InlineData("/a.txt")]
    [InlineData("//a.txt")]
    [InlineData("./a.txt")]
    [InlineData("dir//b.txt")]
    [InlineData("dir/./b.txt")]
    [InlineData("dir/../a.txt")]
    [InlineData("../files/a.txt")]
    [InlineData("../secret.txt")]
    [InlineData("dir/../../secret.txt")]
    [InlineData("../files-secret/c.txt")]
    [InlineData("/etc/passwd")]
    [InlineData("../../../../../../../../etc/passwd")]
    [InlineData("a.txt\0")]
    [InlineData("a.txt\0.png")]
    [InlineData("\0")]
    [InlineData("link-out")]
    [InlineData("link-out-absolute")]
    [InlineData("link-beside")]
    [InlineData("dir-link-out/secret.txt")]
    [InlineData("dir-link-out/files/a.txt/../../secret.txt")]
    [InlineData("link-through-out")]
    [InlineData("link-dangling")]
    [InlineData("link-loop")]
    [InlineData("link-null")]
    [InlineData("link-passwd")]
    [InlineData("fifo")]
    [InlineData("socket")]
    [InlineData("~")]
    [InlineData("dir\\b.txt")]
    public async Task Offer_AnythingElse_IsNotFound(string path)
    {
        await Assert.ThrowsAsync<FileNotFoundException>(() => _catalog!.OfferAsync(path).WithinAsync());
    }

    [Fact]
    public async Task Offer_PathIntoTheRootByAnOutsideWay_IsTheFileInside()
    {
        // The way leads out and comes back: what counts is where it ends.
        Assert.Equal(10, (await _catalog!.OfferAsync("dir-link-out/files/a.txt").WithinAsync()).Length);
    }

    [Theory]
    [InlineData(1_025)]
    [InlineData(100_000)]
    public async Task Offer_PathThatIsTooLong_IsNotFound(int length)
    {
        await Assert.ThrowsAsync<FileNotFoundException>(() => _catalog!.OfferAsync(new string('x', length)).WithinAsync());
    }

    [Fact]
    public async Task Offer_AbsolutePathOfAServedFile_IsNotFound()
    {
        await Assert.ThrowsAsync<FileNotFoundException>(() => _catalog!.OfferAsync(_directory["files/a.txt"]).WithinAsync());
    }

    [Fact]
    public async Task Index_DirectoryWithLinksAndFifos_ReadsOnlyItsOwnRegularFiles()
    {
        await _catalog!.IndexAsync().WithinAsync();

        await using FileCatalog secret = FileCatalog.Open(_directory.Path, new() { CacheDirectory = null });
        foreach (string outside in (string[])["secret.txt", "files-secret/c.txt"])
        {
            Assert.Null(await OpenAsync(await secret.OfferAsync(outside).WithinAsync()));
        }

        await using IContent? inside = await OpenAsync(await secret.OfferAsync("files/a.txt").WithinAsync());
        Assert.Equal(10, inside?.Length);
    }

    [Fact]
    public void Open_DirectoryThatIsNotThere_Throws()
    {
        Assert.Throws<DirectoryNotFoundException>(() => FileCatalog.Open(_directory["nothing"]));
    }

    private Task<IContent?> OpenAsync(ContentOffer offer) => _catalog!.OpenAsync(offer.Root, CancellationToken.None).WithinAsync();

    private void Link(string relative, string target) => File.CreateSymbolicLink(_directory[relative], target);
}
