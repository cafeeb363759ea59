using System.Security.Cryptography;
using System.Text.Json;
using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Cli.Tests.Commands;

/// <summary>A server and a client, two processes: what arrives is what was served.</summary>
public sealed class ServeAndGetTests : IAsyncLifetime
{
    private readonly TemporaryDirectory _served = new();
    private readonly TemporaryDirectory _here = new();
    private ServeProcess? _server;

    private ServeProcess Server => _server!;

    public async ValueTask InitializeAsync() => _server = await ServeProcess.StartAsync(_served.Path);

    public async ValueTask DisposeAsync()
    {
        await Server.DisposeAsync();
        _served.Dispose();
        _here.Dispose();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(ContentHasher.DefaultLeafSize)]
    [InlineData(ContentHasher.DefaultLeafSize + 1)]
    [InlineData(5_000_003)]
    public async Task Get_FileOfAnySize_IsEqual(int length)
    {
        byte[] bytes = _served.WriteRandom("a file", length);

        CommandResult result = await KwikProcess.RunAsync(
            _here.Path, "get", Server.Url("a%20file"), "-o", "out", "--pin", Server.Pin, "--json", "--progress", "none");

        result.AssertSuccess();
        Assert.Equal("", result.Errors);
        Assert.Equal(bytes, File.ReadAllBytes(_here["out"]));
        Assert.Equal(["out"], _here.Entries);
        using JsonDocument json = JsonDocument.Parse(result.Output);
        JsonElement root = json.RootElement;
        Assert.Equal(
            ["bytes", "resumed_bytes", "seconds", "bits_per_second", "sha256", "verified", "duplicate_bytes", "stalls_ms", "sources"],
            root.EnumerateObject().Select(property => property.Name));
        Assert.Equal(length, root.GetProperty("bytes").GetInt64());
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(bytes)), root.GetProperty("sha256").GetString());
        Assert.True(root.GetProperty("verified").GetBoolean());
        Assert.Equal(0, root.GetProperty("duplicate_bytes").GetInt64());
        JsonElement source = Assert.Single(root.GetProperty("sources").EnumerateArray());
        Assert.Equal(
            ["path", "role", "address", "bytes", "bits_per_second", "rtt_ms", "state"],
            source.EnumerateObject().Select(property => property.Name));
        Assert.Equal(length, source.GetProperty("bytes").GetInt64());
        Assert.Equal("primary", source.GetProperty("role").GetString());
    }

    [Fact]
    public async Task Get_WithoutOptions_WritesTheLastPartOfThePathAndPrintsItsHash()
    {
        byte[] bytes = _served.WriteRandom("dir/name.bin", 1000);

        CommandResult result = await KwikProcess.RunAsync(_here.Path, "get", Server.Url("dir/name.bin"), "--pin", Server.Pin);

        result.AssertSuccess();
        Assert.Equal(bytes, File.ReadAllBytes(_here["name.bin"]));
        Assert.Equal($"{Convert.ToHexStringLower(SHA256.HashData(bytes))}  name.bin\n", result.Output);
    }

    [Fact]
    public async Task Get_WithForce_ReplacesTheTarget()
    {
        byte[] bytes = _served.WriteRandom("a", 1000);
        _here.WriteRandom("out", 2000);

        (await KwikProcess.RunAsync(_here.Path, "get", Server.Url("a"), "-o", "out", "--pin", Server.Pin, "--force")).AssertSuccess();

        Assert.Equal(bytes, File.ReadAllBytes(_here["out"]));
    }

    [Fact]
    public async Task Get_LeftOverOfAnotherProcess_IsReplaced()
    {
        byte[] bytes = _served.WriteRandom("a", 1000);
        _here.WriteRandom("out.kwik-part", 5000);

        (await KwikProcess.RunAsync(_here.Path, "get", Server.Url("a"), "-o", "out", "--pin", Server.Pin)).AssertSuccess();

        Assert.Equal(bytes, File.ReadAllBytes(_here["out"]));
        Assert.Equal(["out"], _here.Entries);
    }

    [Fact]
    public async Task Get_InsecureOnLoopback_WorksAndSaysSo()
    {
        _served.WriteRandom("a", 1000);

        CommandResult result = await KwikProcess.RunAsync(
            _here.Path, "get", Server.Url("a"), "-o", "out", "--insecure", "--progress", "none", "--json");

        result.AssertSuccess();
        Assert.StartsWith("kwik: Warning: --insecure", result.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Get_ProgressAsJson_IsALineEachAndTheResultLast()
    {
        _served.WriteRandom("a", 5_000_000);

        CommandResult result = await KwikProcess.RunAsync(
            _here.Path, "get", Server.Url("a"), "-o", "out", "--pin", Server.Pin, "--progress", "json", "--json");

        result.AssertSuccess();
        string[] lines = result.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(lines.Length >= 2);
        Assert.All(lines[..^1], line =>
        {
            using JsonDocument json = JsonDocument.Parse(line);
            Assert.Equal("progress", json.RootElement.GetProperty("type").GetString());
            Assert.Equal(5_000_000, json.RootElement.GetProperty("length").GetInt64());
        });
        using JsonDocument last = JsonDocument.Parse(lines[^1]);
        Assert.True(last.RootElement.GetProperty("verified").GetBoolean());
    }

    [Fact]
    public async Task Get_WithCertificateOfKwikCert_IsTrustedByItsFileAndByItsPin()
    {
        byte[] bytes = _served.WriteRandom("a", 1000);
        CommandResult cert = await KwikProcess.RunAsync(_here.Path, "cert", "-o", "server.pem", "--json");
        cert.AssertSuccess();
        using JsonDocument json = JsonDocument.Parse(cert.Output);
        await using ServeProcess server = await ServeProcess.StartAsync(
            _served.Path, "--cert", _here["server.pem"], "--key", _here["server.key"]);
        Assert.Equal(server.Pin, json.RootElement.GetProperty("pin").GetString());

        (await KwikProcess.RunAsync(_here.Path, "get", server.Url("a"), "-o", "by-ca", "--ca", "server.pem")).AssertSuccess();
        (await KwikProcess.RunAsync(_here.Path, "get", server.Url("a"), "-o", "by-pin", "--pin", server.Pin)).AssertSuccess();

        Assert.Equal(bytes, File.ReadAllBytes(_here["by-ca"]));
        Assert.Equal(bytes, File.ReadAllBytes(_here["by-pin"]));
    }

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    public async Task Serve_Signalled_EndsCleanly(string signal)
    {
        await Server.Process.SignalAsync(signal);

        CommandResult result = await Server.Process.EndAsync();

        result.AssertSuccess();
        Assert.Equal("", result.Errors);
    }

    [Fact]
    public async Task Serve_InputEnds_EndsCleanly()
    {
        Server.Process.CloseInput();

        (await Server.Process.EndAsync()).AssertSuccess();
    }
}
