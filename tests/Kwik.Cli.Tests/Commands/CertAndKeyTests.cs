using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Cli.Tests.Commands;

/// <summary>The files that cert and key write, and doctor's report.</summary>
public sealed class CertAndKeyTests : IDisposable
{
    private readonly TemporaryDirectory _here = new();

    public void Dispose() => _here.Dispose();

    [Fact]
    public async Task Cert_New_IsAPairWithAPrivateKeyForItsOwner()
    {
        CommandResult result = await KwikProcess.RunAsync(
            _here.Path, "cert", "-o", "c.pem", "--name", "example.test", "--name", "192.0.2.1", "--days", "10");

        result.AssertSuccess();
        Assert.Equal(["c.key", "c.pem"], _here.Entries);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_here["c.key"]));
        using X509Certificate2 certificate = X509Certificate2.CreateFromPemFile(_here["c.pem"], _here["c.key"]);
        Assert.True(certificate.MatchesHostname("example.test"));
        Assert.True(certificate.MatchesHostname("192.0.2.1"));
        Assert.Equal($"{KeyHash.OfCertificate(certificate)}\n", result.Output);
    }

    [Fact]
    public async Task Key_New_IsAPairWithAPrivateKeyForItsOwner()
    {
        CommandResult result = await KwikProcess.RunAsync(_here.Path, "key", "-o", "p.key", "--json");

        result.AssertSuccess();
        Assert.Equal("""{"key":"p.key","public":"p.pub"}""" + "\n", result.Output);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_here["p.key"]));
        using PrimaryKey key = PrimaryKey.FromPem(File.ReadAllText(_here["p.key"]));
        Assert.Equal(key.PublicKey.ToPem(), PrimaryPublicKey.FromPem(File.ReadAllText(_here["p.pub"])).ToPem());
    }

    [Theory]
    [InlineData("--name", "")]
    [InlineData("--name", "a..b")]
    [InlineData("--key", "./x.pem")]
    public async Task Cert_OptionsThatMakeNoSense_Are2(params string[] options)
    {
        (await KwikProcess.RunAsync(_here.Path, ["cert", "-o", "x.pem", .. options])).AssertFailure(2);

        Assert.Empty(_here.Entries);
    }

    /// <summary>The public key cannot be written: the private one, which secondaries trust, is as it was.</summary>
    [Fact]
    public async Task Key_ThatCannotBeReplaced_IsLeftAlone()
    {
        byte[] before = _here.WriteRandom("x.key", 10);

        (await KwikProcess.RunAsync(_here.Path, "key", "-o", "x.key", "--public", "nowhere/x.pub", "--force")).AssertFailure(9, "nowhere");

        Assert.Equal(["x.key"], _here.Entries);
        Assert.Equal(before, File.ReadAllBytes(_here["x.key"]));
    }

    [Theory]
    [InlineData("cert", "x.pem")]
    [InlineData("cert", "x.key")]
    [InlineData("key", "x.pub")]
    public async Task Files_ThatExist_AreLeftAloneWithoutForce(string command, string existing)
    {
        byte[] before = _here.WriteRandom(existing, 10);
        string output = command == "cert" ? "x.pem" : "x.key";

        (await KwikProcess.RunAsync(_here.Path, command, "-o", output)).AssertFailure(13, existing);
        Assert.Equal([existing], _here.Entries);
        Assert.Equal(before, File.ReadAllBytes(_here[existing]));

        (await KwikProcess.RunAsync(_here.Path, command, "-o", output, "--force")).AssertSuccess();
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_here["x.key"]));
        Assert.NotEqual(before, File.ReadAllBytes(_here[existing]));
    }

    [Theory]
    [InlineData("cert", "-o", "c.pem", "--days", "0")]
    [InlineData("cert", "-o", "c.pem", "--key", "c.pem")]
    [InlineData("cert")]
    [InlineData("key", "-o", "p.pub")]
    public async Task Files_ThatMakeNoSense_Are2(params string[] arguments)
    {
        (await KwikProcess.RunAsync(_here.Path, arguments)).AssertFailure(2);

        Assert.Empty(_here.Entries);
    }

    [Fact]
    public async Task Files_WhereNoneCanBe_Are9()
    {
        (await KwikProcess.RunAsync(_here.Path, "key", "-o", "no/such/p.key")).AssertFailure(9);
    }

    [Fact]
    public async Task Doctor_Json_NamesTheLibrary()
    {
        CommandResult result = await KwikProcess.RunAsync(_here.Path, "doctor", "--json");

        result.AssertSuccess();
        using JsonDocument json = JsonDocument.Parse(result.Output);
        JsonElement library = json.RootElement.GetProperty("library");
        QuicLibrary here = QuicProvider.EnsureLoaded();
        Assert.Equal(here.Path, library.GetProperty("path").GetString());
        Assert.Equal(here.Version?.ToString(), library.GetProperty("version").GetString());
        Assert.NotEmpty(library.GetProperty("why").GetString()!);
        Assert.True(json.RootElement.TryGetProperty("udp", out _));
        Assert.True(json.RootElement.TryGetProperty("advice", out _));
    }

    [Fact]
    public async Task Doctor_Text_NamesTheLibrary()
    {
        CommandResult result = await KwikProcess.RunAsync(_here.Path, "doctor");

        result.AssertSuccess();
        Assert.Contains(QuicProvider.EnsureLoaded().Path ?? "of the system", result.Output, StringComparison.Ordinal);
    }
}
