namespace Kwik.Cli.Tests.Commands;

/// <summary>Servers that do not start say what to change.</summary>
public sealed class ServeFailureTests : IDisposable
{
    private readonly TemporaryDirectory _here = new();

    public void Dispose() => _here.Dispose();

    [Theory]
    [InlineData("--root", "--root", "nothing")]
    [InlineData("directory", "--root", "nothing")]
    [InlineData("cache directory", "--root", ".", "--cache", ".")]
    [InlineData("cache directory", "--root", ".", "--cache", "inside/trees")]
    [InlineData("qlog directory", "--root", ".", "--qlog", "inside/records")]
    [InlineData("ADDRESS:PORT", "--root", ".", "--listen", "127.0.0.1")]
    [InlineData("ADDRESS:PORT", "--root", ".", "--listen", "::1:4433")]
    [InlineData("ADDRESS:PORT", "--root", ".", "--listen", "127.0.0.1:99999")]
    [InlineData("role", "--root", ".", "--role", "tertiary")]
    [InlineData("public key", "--root", ".", "--role", "secondary")]
    [InlineData("--role secondary", "--root", ".", "--trust", "x.pub")]
    [InlineData("--role primary", "--root", ".", "--role", "secondary", "--secondary", "127.0.0.1:1#sha256/x")]
    [InlineData("kwik key", "--root", ".", "--secondary", "127.0.0.1:1#sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")]
    [InlineData("HOST:PORT", "--root", ".", "--signing-key", "primary.key", "--secondary", "127.0.0.1")]
    [InlineData("no.pem", "--root", ".", "--cert", "no.pem")]
    [InlineData("--cert", "--root", ".", "--key", "server.key")]
    [InlineData("no.pub", "--root", ".", "--role", "secondary", "--trust", "no.pub")]
    [InlineData("public key", "--root", ".", "--role", "secondary", "--trust", "empty.pub")]
    public async Task Serve_OptionsThatMakeNoSense_Is2(string mentions, params string[] options)
    {
        File.WriteAllText(_here["empty.pub"], "");
        (await KwikProcess.RunAsync(_here.Path, "key", "-o", "primary.key")).AssertSuccess();

        CommandResult result = await KwikProcess.RunAsync(_here.Path, ["serve", .. mentions == "--root" ? [] : options]);

        result.AssertFailure(2, mentions);
    }

    [Fact]
    public async Task Serve_AddressInUse_Is1()
    {
        await using ServeProcess other = await ServeProcess.StartAsync(_here.Path);

        CommandResult result = await KwikProcess.RunAsync(_here.Path, "serve", "--root", ".", "--listen", $"{other.EndPoint}");

        result.AssertFailure(1, $"{other.EndPoint}");
    }

    [Fact]
    public async Task Doctor_LibraryThatIsNotThere_Is1()
    {
        KwikProcess doctor = KwikProcess.Start(_here.Path, ["doctor", "--json"], ("KWIK_MSQUIC", "/no/such/library"));

        (await KwikProcess.RunAsync(doctor)).AssertFailure(1, "/no/such/library");
    }

    [Fact]
    public async Task Get_LibraryThatIsNotThere_Is1()
    {
        KwikProcess get = KwikProcess.Start(_here.Path, ["get", "kwik://127.0.0.1:1/a"], ("KWIK_MSQUIC", "/no/such/library"));

        (await KwikProcess.RunAsync(get)).AssertFailure(1, "/no/such/library");
    }
}
