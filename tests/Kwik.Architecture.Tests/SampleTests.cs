using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using Kwik.Sessions;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Architecture.Tests;

/// <summary>What samples/ shows to users does what it says, as programs of their own, over QUIC on loopback.</summary>
public sealed class SampleTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("kwik-samples-");

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData]
    [InlineData("some.bin")]
    [InlineData("--generate", "16777217")]
    public async Task Serve_Run_ReadsEqualBytesFromBothServers(params string[] arguments)
    {
        await File.WriteAllBytesAsync(Path.Combine(_folder.FullName, "some.bin"), RandomNumberGenerator.GetBytes(16_000_000));
        (int code, string output) = await RunAsync("Serve", arguments);

        Assert.True(code == 0, output);
        string[] lines = output.TrimEnd().Split('\n');
        Assert.Equal(3, lines.Length);
        Assert.Matches("^path 0, Primary: [1-9][0-9]* bytes$", lines[0]);
        Assert.Matches("^path 1, Secondary: [1-9][0-9]* bytes$", lines[1]);
        Assert.Equal("The bytes are equal.", lines[2]);
    }

    [Fact]
    public async Task Fetch_FromAFileServer_WritesTheFile()
    {
        byte[] bytes = RandomNumberGenerator.GetBytes(3_000_000);
        await File.WriteAllBytesAsync(Path.Combine(_folder.CreateSubdirectory("served").FullName, "some.bin"), bytes);
        await using FileCatalog catalog = FileCatalog.Open(Path.Combine(_folder.FullName, "served"), new() { CacheDirectory = null });
        await using KwikListener primary = await KwikListener.ListenAsync(new KwikListenerOptions
        {
            Role = ServerRole.Primary,
            ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            Certificate = TestCertificates.SelfSigned("samples"),
            ContentProvider = catalog,
        });
        Task serving = ServeOneAsync(primary, new FileServer(catalog));

        string port = primary.LocalEndPoint.Port.ToString(CultureInfo.InvariantCulture);
        (int code, string output) = await RunAsync("Fetch", "127.0.0.1", port, primary.Pin.ToString(), "some.bin");

        Assert.True(code == 0, output);
        Assert.Equal(bytes, await File.ReadAllBytesAsync(Path.Combine(_folder.FullName, "some.bin")));
        string sha256 = Convert.ToHexStringLower(SHA256.HashData(bytes));
        Assert.Contains($"some.bin: 3000000 bytes, SHA-256 {sha256}", output, StringComparison.Ordinal);
        await serving.WithinAsync();
    }

    [Fact]
    public async Task Fetch_WithoutArguments_SaysHow()
    {
        (int code, string output) = await RunAsync("Fetch");

        Assert.Equal(2, code);
        Assert.StartsWith("usage: Fetch", output, StringComparison.Ordinal);
    }

    private static async Task ServeOneAsync(KwikListener primary, FileServer server)
    {
        var session = (PrimarySession)await primary.AcceptSessionAsync();
        await server.ServeAsync(session);
    }

    private async Task<(int Code, string Output)> RunAsync(string sample, params string[] arguments)
    {
        using SampleProcess process = SampleProcess.Start(_folder.FullName, sample, arguments);
        return await process.EndAsync();
    }
}
