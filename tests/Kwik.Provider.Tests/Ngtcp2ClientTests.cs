namespace Kwik.Provider.Tests;

/// <summary>ngtcp2's HTTP/3 client downloads from Kestrel on the library under test.</summary>
public sealed class Ngtcp2ClientTests
{
    private const string Large = "9-30000000";

    [Fact]
    public async Task Download_ManyFilesAtOnce_ComeWhole()
    {
        await using Http3Server server = await Http3Server.StartAsync();
        using var folder = new Ngtcp2.Folder();
        string[] files = [.. Enumerable.Range(1, 50).Select(seed => $"{seed}-{seed * 5_000}")];

        await Ngtcp2.DownloadAsync(server.Address, folder.Path, ["--quiet"], files);

        Assert.All(files, folder.AssertContent);
        Assert.Equal(1, server.ConnectionCount);
    }

    [Fact]
    public async Task Download_TwoLargeFiles_ComeWhole()
    {
        await using Http3Server server = await Http3Server.StartAsync();
        using var folder = new Ngtcp2.Folder();
        string[] files = [Large, "10-30000001"];

        await Ngtcp2.DownloadAsync(server.Address, folder.Path, ["--quiet"], files);

        Assert.All(files, folder.AssertContent);
    }

    [Theory]
    [InlineData("a key update while bytes flow", "key update confirmed", "--key-update=20ms")]
    [InlineData("a key update right after the handshake", "key update confirmed", "--key-update=1ms")]
    [InlineData("another address while bytes flow", "Changing local address", "--change-local-addr=20ms")]
    [InlineData("another address right after the handshake", "Changing local address", "--change-local-addr=1ms")]
    [InlineData("streams later than the handshake", "", "--delay-stream=50ms")]
    [InlineData("a version that nobody has", "ERR_RECV_VERSION_NEGOTIATION", "--version=0x1a2a3a4a", "--preferred-versions=v1")]
    [InlineData("a key share that the server must ask for", "", "--groups=-GROUP-ALL:+GROUP-FFDHE2048:+GROUP-X448:+GROUP-SECP256R1")]
    [InlineData("ChaCha20 alone", "", "--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305")]
    [InlineData("small windows", "", "--max-data=64K", "--max-stream-data-bidi-local=32K", "--max-window=64K", "--max-stream-window=32K")]
    [InlineData("the smallest datagrams", "", "--max-udp-payload-size=1200", "--no-pmtud")]
    [InlineData("loss both ways", "", "--tx-loss=0.05", "--rx-loss=0.02")]
    [InlineData("no connection id of the client's", "", "--scid=")]
    public async Task Download_ClientWithItsWays_ComesWhole(string way, string said, params string[] options)
    {
        await using Http3Server server = await Http3Server.StartAsync();
        using var folder = new Ngtcp2.Folder();
        string[] files = ["1-100", "2-3000000", "3-3000000"];

        string output = await Ngtcp2.DownloadAsync(server.Address, folder.Path, options, files);

        Assert.All(files, folder.AssertContent);
        Assert.True(output.Contains(said, StringComparison.OrdinalIgnoreCase), $"The client did not show {way}.");
    }
}
