using System.Net;
using System.Net.Sockets;
using Kwik.Sessions;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Commands;

/// <summary>Every exit code of get, provoked: one line on standard error, no result, nothing left behind.</summary>
public sealed class GetFailureTests : IAsyncLifetime
{
    private readonly TemporaryDirectory _served = new();
    private readonly TemporaryDirectory _here = new();
    private ServeProcess? _server;

    private ServeProcess Server => _server!;

    public async ValueTask InitializeAsync()
    {
        _served.WriteRandom("a", 2_000_000);
        _server = await ServeProcess.StartAsync(_served.Path);
    }

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        _served.Dispose();
        _here.Dispose();
    }

    [Theory]
    [InlineData("nothing")]
    [InlineData("..%2Fa")]
    [InlineData("%2Fetc%2Fpasswd")]
    [InlineData("dir/..%2F..%2Fa")]
    public async Task Get_FileThatIsNotThere_Is3(string path)
    {
        (await GetAsync(Server.Url(path), "--pin", Server.Pin)).AssertFailure(3, "has no file");

        Assert.Empty(_here.Entries);
    }

    [Theory]
    [InlineData]
    [InlineData("--force")]
    public async Task Get_IntoWhatIsNoRegularFile_Is9AndLeavesIt(params string[] force)
    {
        foreach (string target in (string[])["/dev/null", "link"])
        {
            if (target == "link")
            {
                File.CreateSymbolicLink(_here[target], "/dev/null");
            }

            (await KwikProcess.RunAsync(_here.Path, ["get", Server.Url("a"), "--pin", Server.Pin, "-o", target, .. force]))
                .AssertFailure(9, "no regular file");
        }

        Assert.Equal(["link"], _here.Entries);
        Assert.Equal("/dev/null", new FileInfo(_here["link"]).LinkTarget);
    }

    [Theory]
    [InlineData("two files", "-o", "x", "--report", "./x")]
    [InlineData("two files", "--report", "a")]
    [InlineData("-o", "-o", "")]
    [InlineData("no certificate", "-o", "x", "--ca", "empty.pem")]
    public async Task Get_NamesThatMakeNoSense_Are2(string mentions, params string[] options)
    {
        File.WriteAllText(_here["empty.pem"], "");
        string[] pin = options.Contains("--ca") ? [] : ["--pin", Server.Pin];

        (await KwikProcess.RunAsync(_here.Path, ["get", Server.Url("a"), .. pin, .. options])).AssertFailure(2, mentions);

        Assert.Equal(["empty.pem"], _here.Entries);
    }

    [Fact]
    public async Task Get_NobodyListens_Is1()
    {
        // A port that was free a moment ago; nobody else binds to it on purpose.
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        EndPoint free = socket.LocalEndPoint!;
        socket.Close();

        (await GetAsync($"kwik://{free}/a", "--pin", Server.Pin)).AssertFailure(1, $"{free}");

        Assert.Empty(_here.Entries);
    }

    [Fact]
    public async Task Get_WrongPin_Is24()
    {
        (await GetAsync(Server.Url("a"), "--pin", "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")).AssertFailure(24);

        Assert.Empty(_here.Entries);
    }

    [Fact]
    public async Task Get_CertificateThatTheSystemDoesNotTrust_Is24()
    {
        (await GetAsync(Server.Url("a"))).AssertFailure(24);

        Assert.Empty(_here.Entries);
    }

    [Fact]
    public async Task Get_AuthorityOfSomebodyElse_Is24()
    {
        await File.WriteAllTextAsync(_here["ca.pem"], TestCertificates.OtherRoot.ExportCertificatePem());

        (await GetAsync(Server.Url("a"), "--ca", "ca.pem")).AssertFailure(24);

        Assert.Equal(["ca.pem"], _here.Entries);
    }

    [Fact]
    public async Task Get_TargetExists_Is13AndItIsLeftAlone()
    {
        byte[] before = _here.WriteRandom("out", 100);

        (await GetAsync(Server.Url("a"), "--pin", Server.Pin)).AssertFailure(13, "--force");

        Assert.Equal(before, File.ReadAllBytes(_here["out"]));
        Assert.Equal(["out"], _here.Entries);
    }

    [Theory]
    [InlineData("no/such/directory/out")]
    [InlineData(".")]
    [InlineData("/proc/out")]
    public async Task Get_TargetThatCannotBeWritten_Is9(string target)
    {
        CommandResult result = await KwikProcess.RunAsync(
            _here.Path, "get", Server.Url("a"), "-o", target, "--pin", Server.Pin, "--progress", "none");

        result.AssertFailure(9);
        Assert.Empty(_here.Entries);
    }

    // Where the whole file does not fit, before the first byte; and where others take the room meanwhile.
    [Theory]
    [InlineData("")]
    [InlineData("head -c 300000 /dev/zero > small/other; ")]
    public async Task Get_DiskIsFull_Is9(string before)
    {
        Directory.CreateDirectory(_here["small"]);
        // A file system of 1 MiB, in a mount namespace of its own.
        const string enter = "unshare -rm /bin/bash -c 'mount -t tmpfs -o size=1m none small && \"$0\" \"$@\"'";
        Assert.SkipUnless(
            (await KwikProcess.RunInShellAsync(_here.Path, $"{enter} true")).ExitCode == 0, "needs user namespaces (unshare -rm)");

        CommandResult result = await KwikProcess.RunInShellAsync(
            _here.Path,
            $"unshare -rm /bin/bash -c 'mount -t tmpfs -o size=1m none small; {before}"
            + $"\"$0\" get {Server.Url("a")} -o small/out --pin {Server.Pin} --progress none; code=$?; rm -f small/other; ls small >&1; exit $code' \"$0\"");

        result.AssertFailure(9, "small/out");
        Assert.Contains("room", result.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Get_ResultGoesToAFullDisk_Is9()
    {
        Directory.CreateDirectory(_here["small"]);
        CommandResult result = await KwikProcess.RunInShellAsync(
            _here.Path,
            "unshare -rm /bin/bash -c 'mount -t tmpfs -o size=1m none small || exit 77; "
            + $"\"$0\" get {Server.Url("a")} -o - --pin {Server.Pin} --progress none > small/out' \"$0\"");
        Assert.SkipWhen(result.ExitCode is 77, "needs user namespaces (unshare -rm)");

        result.AssertFailure(9, "Standard output cannot be written: No space left on device");
    }

    [Fact]
    public async Task Get_LimitOnTheSizeOfFiles_Is9()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "needs ulimit -f");

        // In units of 1 KiB. The runtime maps its own code from a file that is longer, unless it is told not to.
        CommandResult result = await KwikProcess.RunInShellAsync(
            _here.Path,
            $"export DOTNET_EnableWriteXorExecute=0; ulimit -f 1024; exec \"$0\" get {Server.Url("a")} -o out --pin {Server.Pin} --progress none");

        result.AssertFailure(9, "out.kwik-part");
        Assert.Empty(_here.Entries);
    }

    [Theory]
    [InlineData("get")]
    [InlineData("nonsense")]
    [InlineData("get", "kwik://127.0.0.1:1/a", "--nonsense")]
    [InlineData("get", "https://127.0.0.1/a")]
    [InlineData("get", "127.0.0.1:4433/a")]
    [InlineData("get", "kwik://127.0.0.1:4433")]
    [InlineData("get", "kwik://127.0.0.1:4433/")]
    [InlineData("get", "kwik://127.0.0.1:4433/dir/")]
    [InlineData("get", "kwik://127.0.0.1:99999/a")]
    [InlineData("get", "kwik://127.0.0.1:1/a", "--pin", "nonsense")]
    [InlineData("get", "kwik://127.0.0.1:1/a", "--pin")]
    [InlineData("get", "kwik://127.0.0.1:1/a", "--max-paths", "0")]
    [InlineData("get", "kwik://127.0.0.1:1/a", "--max-paths", "many")]
    [InlineData("get", "kwik://127.0.0.1:1/a", "--stall-timeout", "0")]
    [InlineData("get", "kwik://127.0.0.1:1/a", "--no-verify-existing")]
    [InlineData("get", "kwik://127.0.0.1:1/a", "--progress", "nonsense")]
    [InlineData("get", "kwik://192.0.2.1/a", "--insecure")]
    [InlineData("get", "kwik://localhost/a", "--insecure")]
    [InlineData("get", "kwik://127.0.0.1:1/a", "--insecure", "--pin", "sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    public async Task Command_ThatMakesNoSense_Is2(params string[] arguments)
    {
        (await KwikProcess.RunAsync(_here.Path, arguments)).AssertFailure(2);

        Assert.Empty(_here.Entries);
    }

    [Fact]
    public async Task Get_ServerThatSendsNothing_Is5()
    {
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(
            _served.Path, catalog => new DistortedContents(catalog, async (_, _, _, cancellationToken) =>
            {
                await Task.Delay(Timeout.Infinite, cancellationToken);
                return 0;
            }));

        (await GetAsync(primary.Url("a"), "--pin", primary.Pin, "--stall-timeout", "1")).AssertFailure(5, "No byte arrived for 1 s");

        Assert.Empty(_here.Entries);
    }

    [Fact]
    public async Task Get_ServerThatNeverAnswers_Is5()
    {
        await using KwikListener listener = await KwikListener.ListenAsync(new()
        {
            Role = ServerRole.Primary,
            ListenEndPoint = new(IPAddress.Loopback, 0),
            Certificate = TestCertificates.SelfSigned("localhost"),
        }).WithinAsync();
        Task<ServerSession> accepted = listener.AcceptSessionAsync();

        (await GetAsync($"kwik://{listener.LocalEndPoint}/a", "--pin", $"{listener.Pin}", "--stall-timeout", "1"))
            .AssertFailure(5, "The server did not say within 1 s what 'a' contains");

        await using ServerSession session = await accepted.WithinAsync();
        Assert.Empty(_here.Entries);
    }

    [Fact]
    public async Task Get_ServerThatSendsOtherBytes_Is32()
    {
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(
            _served.Path, catalog => new DistortedContents(catalog, async (content, offset, buffer, cancellationToken) =>
            {
                int read = await content.ReadAsync(offset, buffer, cancellationToken);
                buffer.Span[0] ^= 1;
                return read;
            }));

        (await GetAsync(primary.Url("a"), "--pin", primary.Pin)).AssertFailure(32);

        Assert.Empty(_here.Entries);
    }

    [Fact]
    public async Task Get_InterruptedBeforeAWholeLeaf_Is1AndLeavesNothing()
    {
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using PrimaryInProcess primary = await PrimaryInProcess.StartAsync(
            _served.Path, catalog => new DistortedContents(catalog, async (content, offset, buffer, cancellationToken) =>
            {
                if (offset > 100_000)
                {
                    asked.TrySetResult();
                    await Task.Delay(Timeout.Infinite, cancellationToken);
                }

                return await content.ReadAsync(offset, buffer, cancellationToken);
            }));
        KwikProcess get = KwikProcess.Start(_here.Path, Arguments(primary.Url("a"), "--pin", primary.Pin));
        await asked.Task.WithinAsync();

        await get.SignalAsync("INT");

        (await KwikProcess.RunAsync(get)).AssertInterrupted(1, "Cancelled");
        Assert.Empty(_here.Entries);
    }

    private static string[] Arguments(string url, params string[] options) =>
        ["get", url, "-o", "out", "--progress", "none", "--json", .. options];

    private Task<CommandResult> GetAsync(string url, params string[] options) => KwikProcess.RunAsync(_here.Path, Arguments(url, options));
}
