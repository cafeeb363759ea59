using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Kwik.Cli.Tests.Hosting;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Cli.Tests.Transfer;

/// <summary>
/// Names that somebody tries in order to get out of the directory, to open what must not be opened, or to be taken for another
/// name; in the catalog, and in requests over the wire. Each gets the answer of a file that is not there, in time.
/// </summary>
public sealed class HostileNameTests : IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();

    /// <summary>Percent signs stand for themselves: nobody decodes them.</summary>
    public static TheoryData<string> Names { get; } =
    [
        "..", "../secret", "../../secret", "dir/../../secret", "./../secret", ".../secret", "....//secret", "..\\secret", "..\\..\\secret",
        "dir\\..\\..\\secret", "/secret", "//secret", "///etc/passwd", "/etc/passwd", "\\etc\\passwd", "C:\\Windows\\win.ini", "C:/Windows/win.ini",
        "C:secret", "\\\\server\\share\\a", "\\\\?\\C:\\secret", "\\\\.\\PhysicalDrive0", "//./a", "file:///etc/passwd", "file:a",
        "%2e%2e/secret", "%2e%2e%2fsecret", "..%2fsecret", "..%5csecret", "%252e%252e%252fsecret", "%c0%ae%c0%ae/secret", "%00", "a%00",
        "..%c0%afsecret", "..%u2215secret", "%2fetc%2fpasswd",
        "\uff0e\uff0e/secret", "\u2025/secret", "\u2024\u2024/secret", "..\u2215secret", "..\u2044secret", "..\uff0fsecret", "..\u29f5secret",
        "\u202e..\u202c/secret", "\u200b../secret", "..\u200b/secret", "\ufeff../secret", ".\u0307./secret",
        "a\0", "a\0.iso", "\0a", "..\0/secret", "a\n", "a\r\n", "\ta", "\u0007", "a\u007f", "a\u0085",
        "~", "~/secret", "~root/.profile", "$HOME/secret", "${HOME}/secret", "`cat ../secret`", "*", "?", "a*", "[a]",
        "proc/self/root/etc/passwd", "/proc/self/root/etc/passwd", "/proc/self/cwd", "/proc/self/fd/0", "/dev/fd/0", "/dev/stdin",
        "root-link/etc/passwd", "proc-link", "proc-link/root/etc/passwd", "cwd-link", "fd-link", "null-link", "tty-link", "fifo", "fifo-link",
        "secret-link", "up-link/secret", "loop", "a/", "a/.", "a/..", "a/../a", "dir", "dir/", "dir/.", ".", "", " ", "/",
        "CON", "con", "Con.txt", "NUL", "nul.iso", "AUX", "PRN.tar.gz", "COM1", "com9.log", "LPT1", "lpt0", "COM\u00b9", "CONIN$", "conout$",
        "dir/NUL", "NUL/a", "CON .txt", "NUL:", "NUL:a", "a::$DATA", "a:$I30:$INDEX_ALLOCATION", "dir::$INDEX_ALLOCATION/b",
        "A", "DIR/b", "dir/B", "a.", "a ", "a...", "a .", "a::", " a", "a.txt\u3000",
        "e\u0301", "caf\u00e9\u0301", "\ud83d", "\ude00", "a\ud83d", "\ud83d/secret",
    ];

    public async ValueTask InitializeAsync()
    {
        _directory.WriteRandom("secret", 40);
        _directory.WriteRandom("files/a", 10);
        _directory.WriteRandom("files/dir/b", 20);
        // One of the two ways to write it; the other one is another name.
        _directory.WriteRandom("files/\u00e9", 30);
        // They exist, and are refused all the same: elsewhere they mean something else.
        foreach (string name in (string[])["CON", "nul.iso", "COM1", "a::$DATA", "..\\secret", "a\n", "con.txt"])
        {
            _directory.WriteRandom($"files/{name}", 50);
        }

        foreach ((string name, string target) in ((string, string)[])[
            ("root-link", "/"), ("proc-link", "/proc/self"), ("cwd-link", "/proc/self/cwd"), ("fd-link", "/proc/self/fd/0"), ("null-link", "/dev/null"),
            ("tty-link", "/dev/tty"), ("secret-link", "../secret"), ("up-link", ".."), ("loop", "loop"), ("fifo-link", "fifo")])
        {
            File.CreateSymbolicLink(_directory[$"files/{name}"], target);
        }

        await MakeFifoAsync("files/fifo");
    }

    public ValueTask DisposeAsync()
    {
        _directory.Dispose();
        return ValueTask.CompletedTask;
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Offer_HostileName_IsNotFound(string name)
    {
        await using FileCatalog catalog = FileCatalog.Open(_directory["files"], new() { CacheDirectory = null });

        await Assert.ThrowsAsync<FileNotFoundException>(() => catalog.OfferAsync(name).WithinAsync());
    }

    [Fact]
    public async Task Request_EveryHostileName_IsNotFoundAndTheServerGoesOn()
    {
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["files"]);
        await using ClientSession session = await primary.ConnectAsync();
        foreach (string name in Names.Select(row => row.Data).Where(name => !name.Any(char.IsSurrogate)))
        {
            Assert.Equal((name, KwikError.NotFound), (name, await AskAsync(session, Encoding.UTF8.GetBytes(name))));
        }

        await using KwikStream stream = await TestHost.AskAsync(session, "dir/b");
        Assert.Equal(20, (await stream.GetOfferAsync().WithinAsync())!.Length);
    }

    /// <summary>No UTF-8: a lenient decoder would see a dot, a slash or a NUL in these.</summary>
    [Theory]
    [InlineData(new byte[] { 0xc0, 0xae, 0xc0, 0xae, (byte)'/', (byte)'s' })]
    [InlineData(new byte[] { 0xe0, 0x80, 0xae, 0xe0, 0x80, 0xae, (byte)'/' })]
    [InlineData(new byte[] { 0xf0, 0x80, 0x80, 0xaf })]
    [InlineData(new byte[] { (byte)'.', (byte)'.', 0xc0, 0xaf, (byte)'s' })]
    [InlineData(new byte[] { (byte)'a', 0xc0, 0x80 })]
    [InlineData(new byte[] { 0xed, 0xa0, 0xbd })]
    [InlineData(new byte[] { (byte)'a', 0xff })]
    [InlineData(new byte[] { 0xfe, 0xff, 0, (byte)'a' })]
    public async Task Request_NameThatIsNoUtf8_IsRefused(byte[] name)
    {
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(_directory["files"]);
        await using ClientSession session = await primary.ConnectAsync();

        Assert.Contains(await AskAsync(session, name), (KwikError[])[KwikError.NotFound, KwikError.MetadataProtocolViolation]);
    }

    [Fact]
    public async Task Offer_LongNames_AreNotFound()
    {
        await using FileCatalog catalog = FileCatalog.Open(_directory["files"], new() { CacheDirectory = null });
        foreach (string name in (string[])[
            new('x', 256), new('x', 1024), new('x', 5000), string.Join('/', Enumerable.Repeat("x", 512)), string.Join('/', Enumerable.Repeat("dir", 256)),
            string.Concat(Enumerable.Repeat("../", 300)) + "secret", string.Concat(Enumerable.Repeat("\u00e9", 1024))])
        {
            await Assert.ThrowsAsync<FileNotFoundException>(() => catalog.OfferAsync(name).WithinAsync());
        }
    }

    [Fact]
    public async Task Offer_NamesThatOnlyLookHostile_AreFound()
    {
        string[] names = ["\u00e9", "..a", "a..b", "...", "console", "nullable.cs", "com10", "a b", "12:30.log", "%2e%2e", "-rf", "$HOME", "\ud83d\ude00"];
        foreach (string name in names)
        {
            _directory.WriteRandom($"files/{name}", 60);
        }

        await using FileCatalog catalog = FileCatalog.Open(_directory["files"], new() { CacheDirectory = null });
        foreach (string name in names)
        {
            Assert.Equal(60, (await catalog.OfferAsync(name).WithinAsync()).Length);
        }
    }

    /// <summary>
    /// Somebody who may write in the directory swaps a directory for a link to one outside, as fast as they can, while the server looks
    /// and opens: it offers and sends the file inside, or nothing.
    /// </summary>
    [Fact]
    public async Task Offer_WhileADirectoryIsSwappedForALinkOutside_NeverOffersWhatIsOutside()
    {
        _directory.WriteRandom("files/inside/f", 1000);
        _directory.WriteRandom("outside/f", 1001);
        await using FileCatalog others = FileCatalog.Open(_directory.Path, new() { CacheDirectory = null });
        ContentOffer wrong = await others.OfferAsync("outside/f").WithinAsync();
        ContentOffer right = await others.OfferAsync("files/inside/f").WithinAsync();
        (string kept, string link, string place) = (_directory["files/inside"], _directory["files/link"], _directory["files/d"]);
        File.CreateSymbolicLink(link, "../outside");
        int found = 0;
        await WhileSwappingAsync(
            () =>
            {
                Place(kept, place);
                Place(link, place);
            },
            async () =>
            {
                // A new one each time: it has looked at nothing yet.
                await using FileCatalog catalog = FileCatalog.Open(_directory["files"], new() { CacheDirectory = null });
                ContentOffer? offer = await TryOfferAsync(catalog, "d/f");
                Assert.NotEqual(wrong, offer);
                found += offer == right ? 1 : 0;
            });

        Assert.True(found > 0, "The file inside was never found: nothing was tried.");
    }

    /// <summary>Puts something where the server looks, for about as long as a look takes, and takes it away again.</summary>
    private static void Place(string what, string where)
    {
        Rename(what, where);
        Thread.SpinWait(10_000);
        Rename(where, what);
    }

    private static void Rename(string from, string to) => Assert.Equal(0, RenameNative(from, to));

    // One call of the system, whatever it is that is moved.
    [DllImport("libc", EntryPoint = "rename", CharSet = CharSet.Ansi, BestFitMapping = false)]
    private static extern int RenameNative([MarshalAs(UnmanagedType.LPUTF8Str)] string from, [MarshalAs(UnmanagedType.LPUTF8Str)] string to);

    private static async Task WhileSwappingAsync(Action swap, Func<Task> ask)
    {
        using var stop = new CancellationTokenSource();
        Task swapping = Task.Factory.StartNew(
            () =>
            {
                while (!stop.IsCancellationRequested)
                {
                    swap();
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        try
        {
            for (int i = 0; i < 3000; i++)
            {
                await ask().WithinAsync();
            }
        }
        finally
        {
            await stop.CancelAsync();
            await swapping.WithinAsync();
        }
    }

    private static async Task<ContentOffer?> TryOfferAsync(FileCatalog catalog, string path)
    {
        try
        {
            return await catalog.OfferAsync(path).WithinAsync();
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static async Task<KwikError> AskAsync(ClientSession session, byte[] name)
    {
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(async () =>
        {
            await using KwikStream stream = await session.OpenStreamSync().WithinAsync();
            await stream.WriteAsync((byte[])[0x0a, checked((byte)name.Length), .. name]).WithinAsync();
            stream.CompleteWrites();
            await stream.GetOfferAsync().WithinAsync();
        });
        return e.Code;
    }

    private async Task MakeFifoAsync(string relative)
    {
        using Process mkfifo = Process.Start("mkfifo", [_directory[relative]]);
        await mkfifo.WaitForExitAsync().WithinAsync();
        Assert.Equal(0, mkfifo.ExitCode);
    }
}
