using System.Net;
using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>HttpClient on the library under test downloads from ngtcp2's HTTP/3 server.</summary>
public sealed class Ngtcp2ServerTests
{
    [Theory]
    [InlineData("plain")]
    [InlineData("with Retry", "--validate-addr")]
    [InlineData("with Retry and loss", "--validate-addr", "--tx-loss=0.05", "--rx-loss=0.05")]
    [InlineData("asking for a client certificate", "--verify-client")]
    [InlineData("with a group that the client must be asked for", "--groups=-GROUP-ALL:+GROUP-SECP256R1")]
    [InlineData("with ChaCha20 alone", "--ciphers=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+CHACHA20-POLY1305")]
    [InlineData("with small windows", "--max-data=64K", "--max-stream-data-bidi-remote=16K", "--max-window=64K", "--max-stream-window=16K")]
    [InlineData("with few streams", "--max-streams-bidi=2")]
    public async Task Get_ServerInItsWays_FilesComeWhole(string way, params string[] options)
    {
        using var documents = new Ngtcp2.Folder();
        const int Files = 12;
        for (int i = 0; i < Files; i++)
        {
            // A path of digits alone would ask that server for as many bytes of its own.
            documents.Write($"file-{i}", Content.Bytes(seed: i, Length(i)));
        }

        using Ngtcp2.Server server = await Ngtcp2.Server.StartAsync(documents, options);
        TestContext.Current.TestOutputHelper?.WriteLine($"a server {way}");

        // Twice: connections one after the other, and requests at once on each.
        for (int round = 0; round < 2; round++)
        {
            using HttpClient client = await ConnectAsync(server);
            await Task.WhenAll(Enumerable.Range(0, Files).Select(i => AssertGetAsync(client, $"/file-{i}", i, Length(i)))).Bounded();
        }
    }

    [Theory]
    [InlineData("plain")]
    [InlineData("with Retry", "--validate-addr")]
    public async Task Get_LargeFile_ComesWhole(string way, params string[] options)
    {
        const int Length = 40_000_000;
        using var documents = new Ngtcp2.Folder();
        documents.Write("large", Content.Bytes(seed: 1, Length));
        using Ngtcp2.Server server = await Ngtcp2.Server.StartAsync(documents, options);
        TestContext.Current.TestOutputHelper?.WriteLine($"a server {way}");
        using HttpClient client = Http3Server.CreateClient(server.Address);

        await AssertGetAsync(client, "/large", seed: 1, Length);
    }

    [Fact]
    public async Task Get_BrokenOffInTheMiddle_TheConnectionGoesOn()
    {
        const int Length = 20_000_000;
        using var documents = new Ngtcp2.Folder();
        documents.Write("large", Content.Bytes(seed: 1, Length));
        using Ngtcp2.Server server = await Ngtcp2.Server.StartAsync(documents);
        using HttpClient client = Http3Server.CreateClient(server.Address);

        for (int i = 0; i < 5; i++)
        {
            using HttpResponseMessage response = await client.GetAsync("/large", HttpCompletionOption.ResponseHeadersRead).Bounded();
            await using Stream body = await response.Content.ReadAsStreamAsync().Bounded();
            await body.ReadExactlyAsync(new byte[100_000]).Bounded();
        }

        await AssertGetAsync(client, "/large", seed: 1, Length);
    }

    /// <summary>
    /// A client whose connection stands. Makes another one where a handshake took more than the 10 s that .NET gives it, as
    /// when the same flight is lost four times in a row: with 5 % loss each way that is one in a few thousand.
    /// </summary>
    private static async Task<HttpClient> ConnectAsync(Ngtcp2.Server server)
    {
        const int Attempts = 5;
        for (int attempt = 1; ; attempt++)
        {
            HttpClient client = Http3Server.CreateClient(
                server.Address, transport => transport.SslOptions.ClientCertificates = [Certificates.Client]);
            try
            {
                await AssertGetAsync(client, "/file-0", seed: 0, Length(0));
                return client;
            }
            catch (HttpRequestException e) when (
                attempt < Attempts && e.InnerException is QuicException { QuicError: QuicError.ConnectionTimeout })
            {
                client.Dispose();
            }
        }
    }

    private static int Length(int i) => 1 + (i * 40_000);

    private static async Task AssertGetAsync(HttpClient client, string path, long seed, int length)
    {
        using HttpResponseMessage response = await client.GetAsync(path, HttpCompletionOption.ResponseHeadersRead).Bounded();
        Assert.Equal((HttpStatusCode.OK, HttpVersion.Version30), (response.StatusCode, response.Version));
        await Http3Server.AssertContentAsync(response.Content, seed, length);
    }
}
