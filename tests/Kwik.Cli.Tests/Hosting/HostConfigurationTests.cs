using Kwik.Hosting;
using Kwik.Testing;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Kwik.Cli.Tests.Hosting;

/// <summary>Where the options of a host come from: a file, the environment, the command line, code; and what is said of bad ones.</summary>
public sealed class HostConfigurationTests : IDisposable
{
    private readonly TemporaryDirectory _here = new();

    public HostConfigurationTests() => _here.WriteRandom("files/a", 10);

    public void Dispose() => _here.Dispose();

    [Fact]
    public void Options_OfAFile_AreBoundWithTheirUnits()
    {
        KwikPrimaryOptions options = Bind(
            """
            {
              "Listen": "[::1]:5000", "Root": "files", "MaxFileBytes": 5000000000, "AllowedExtensions": [".iso", ".tar.gz"],
              "CacheDirectory": "", "MaxCacheBytes": 2097152, "MaxTreeMemory": 1048576, "CertificatePath": "c.pem",
              "CertificateKeyPath": "c.key", "MaxSessions": 10, "MaxUnauthenticated": 11, "MaxRangeRequests": 12,
              "ShutdownTimeout": "00:00:07", "Secondaries": ["a:1#x", "b:2#y"], "SigningKeyPath": "p.key",
              "MaxConcurrentTransfers": 13, "MaxPublicStreams": 14, "QlogDirectory": "records", "MaxQlogBytes": 65536
            }
            """);

        Assert.Equal("[::1]:5000", options.Listen);
        Assert.Equal("files", options.Root);
        Assert.Equal(5_000_000_000, options.MaxFileBytes);
        Assert.Equal([".iso", ".tar.gz"], options.AllowedExtensions);
        Assert.True(string.IsNullOrEmpty(options.CacheDirectory));
        Assert.Equal((2_097_152, 1_048_576), (options.MaxCacheBytes, options.MaxTreeMemory));
        Assert.Equal(("c.pem", "c.key", "p.key"), (options.CertificatePath, options.CertificateKeyPath, options.SigningKeyPath));
        Assert.Equal((10, 11, 12), (options.MaxSessions, options.MaxUnauthenticated, options.MaxRangeRequests));
        Assert.Equal((13, 14), (options.MaxConcurrentTransfers, options.MaxPublicStreams));
        Assert.Equal(TimeSpan.FromSeconds(7), options.ShutdownTimeout);
        Assert.Equal(("records", 65_536), (options.QlogDirectory, options.MaxQlogBytes));
        Assert.Equal(["a:1#x", "b:2#y"], options.Secondaries);
    }

    /// <summary>Each source sets what the ones before it set as well: the last word wins, and the first words are still heard.</summary>
    [Fact]
    public void Options_OfEverySource_FollowTheOrderOfTheHost()
    {
        string prefix = $"KWIK_TEST_{Guid.NewGuid():N}_";
        try
        {
            Environment.SetEnvironmentVariable($"{prefix}Kwik__Primary__MaxSessions", "2");
            Environment.SetEnvironmentVariable($"{prefix}Kwik__Primary__MaxRangeRequests", "2");
            Environment.SetEnvironmentVariable($"{prefix}Kwik__Primary__MaxPublicStreams", "2");
            Environment.SetEnvironmentVariable($"{prefix}Kwik__Primary__Secondaries__0", "from-environment");
            KwikPrimaryOptions options = Bind(
                """{ "MaxUnauthenticated": 1, "MaxSessions": 1, "MaxRangeRequests": 1, "MaxPublicStreams": 1, "Secondaries": ["from-file", "second"] }""",
                prefix,
                ["--Kwik:Primary:MaxRangeRequests=3", "--Kwik:Primary:MaxPublicStreams=3"],
                configured => configured.MaxPublicStreams = 4);

            Assert.Equal(
                (1, 2, 3, 4), (options.MaxUnauthenticated, options.MaxSessions, options.MaxRangeRequests, options.MaxPublicStreams));
            Assert.Equal(["from-environment", "second"], options.Secondaries);
        }
        finally
        {
            foreach (string name in Environment.GetEnvironmentVariables().Keys.Cast<string>().Where(name => name.StartsWith(prefix, StringComparison.Ordinal)))
            {
                Environment.SetEnvironmentVariable(name, null);
            }
        }
    }

    [Theory]
    [InlineData("Root: Name the directory", "\"Root\": \"\"")]
    [InlineData("Root: There is no directory 'nowhere'", "\"Root\": \"nowhere\"")]
    [InlineData("Listen: ", "\"Listen\": \"4433\"")]
    [InlineData("write ADDRESS:PORT", "\"Listen\": \"4433\"")]
    [InlineData("CacheDirectory: ", "\"CacheDirectory\": \"files/cache\"")]
    [InlineData("MaxCacheBytes: 1 is out of range; write 1048576 to 1099511627776.", "\"MaxCacheBytes\": 1")]
    [InlineData("MaxTreeMemory: 0 is out of range; write 1048576 to 68719476736.", "\"MaxTreeMemory\": 0")]
    [InlineData("QlogDirectory: The qlog directory ", "\"QlogDirectory\": \"files/records\"")]
    [InlineData("QlogDirectory: ", "\"QlogDirectory\": \"appsettings.json\"")]
    [InlineData("MaxQlogBytes: 65535 is out of range; write 65536 to 17179869184.", "\"MaxQlogBytes\": 65535")]
    [InlineData("MaxFileBytes: -1 is out of range; write 0 to", "\"MaxFileBytes\": -1")]
    [InlineData("AllowedExtensions:1: 'iso' is no extension; write it as '.iso'.", "\"AllowedExtensions\": [\".zip\", \"iso\"]")]
    [InlineData("MaxSessions: 0 is out of range; write 1 to 1000000.", "\"MaxSessions\": 0")]
    [InlineData("MaxUnauthenticated: 10001 is out of range; write 1 to 10000.", "\"MaxUnauthenticated\": 10001")]
    [InlineData("MaxRangeRequests: 1025 is out of range; write 1 to 1024.", "\"MaxRangeRequests\": 1025")]
    [InlineData("MaxPublicStreams: 0 is out of range; write 1 to 10000.", "\"MaxPublicStreams\": 0")]
    [InlineData("MaxConcurrentTransfers: 0 is out of range; write 1 to 1000000.", "\"MaxConcurrentTransfers\": 0")]
    [InlineData("ShutdownTimeout: 02:00:00 is out of range; write 00:00:00 to 01:00:00.", "\"ShutdownTimeout\": \"02:00:00\"")]
    [InlineData("CertificatePath: A server needs a certificate; make one with 'kwik cert'.", "\"CertificatePath\": null")]
    [InlineData("CertificatePath: ", "\"CertificatePath\": \"nowhere.pem\"")]
    [InlineData("SigningKeyPath: A primary with secondaries needs a signing key", "\"Secondaries\": [\"127.0.0.1:1#sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"]")]
    [InlineData("Secondaries:0: ", "\"Secondaries\": [\"127.0.0.1\"]")]
    public async Task Start_WithABadValue_NamesTheKeyAndWhatToWrite(string expected, string setting)
    {
        OptionsValidationException e = await StartAsync(WithDefaults(setting));

        Assert.Contains(e.Failures, failure => failure.StartsWith("Kwik:Primary:", StringComparison.Ordinal)
            && failure.Contains(expected, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("MaxSesions", "\"MaxSesions\": 5")]
    [InlineData("Kwik:Primary:MaxSessions", "\"MaxSessions\": \"many\"")]
    [InlineData("Kwik:Primary:ShutdownTimeout", "\"ShutdownTimeout\": \"soon\"")]
    public async Task Start_WithAKeyOrValueThatIsNone_NamesIt(string expected, string setting)
    {
        OptionsValidationException e = await StartAsync($$"""{ "Root": "files", {{setting}} }""");

        Assert.Contains(expected, Assert.Single(e.Failures), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Start_OfASecondaryThatTrustsNobody_NamesItsKey()
    {
        HostApplicationBuilder builder = Builder("""{ "Root": "files" }""", "Secondary");
        builder.Services.AddKwikSecondary(builder.Configuration.GetSection(KwikSecondaryOptions.SectionName));
        using IHost host = builder.Build();

        OptionsValidationException e = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync().WithinAsync());

        Assert.Contains(e.Failures, failure => failure.StartsWith("Kwik:Secondary:TrustedPrimaries: ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Start_WithOptionsFromCode_NamesThePropertyAlone()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddKwikPrimary(options => options.Root = _here["nowhere"]);
        using IHost host = builder.Build();

        OptionsValidationException e = await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync().WithinAsync());

        Assert.Contains(e.Failures, failure => failure.StartsWith("Root: ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Start_OfBothInOneHost_ServesOnTwoAddresses()
    {
        using var key = Sessions.PrimaryKey.Create();
        File.WriteAllText(_here["p.pub"], key.PublicKey.ToPem());
        HostApplicationBuilder builder = Builder("""{ "Listen": "127.0.0.1:0", "CacheDirectory": "", "TrustedPrimaries": ["p.pub"] }""", "Secondary");
        builder.Services.AddKwikSecondary(builder.Configuration.GetSection(KwikSecondaryOptions.SectionName), Complete);
        builder.Services.AddKwikPrimary(options =>
        {
            Complete(options);
            options.Listen = "127.0.0.1:0";
        });
        builder.Services.Configure<KwikSecondaryOptions>(options => options.TrustedPrimaries[0] = _here["p.pub"]);
        using IHost host = builder.Build();

        await host.StartAsync().WithinAsync();

        Assert.NotEqual(
            host.Services.GetRequiredService<KwikPrimaryService>().LocalEndPoint.Port,
            host.Services.GetRequiredService<KwikSecondaryService>().LocalEndPoint.Port);
        await host.StopAsync().WithinAsync();
    }

    // A key may be there only once.
    private static string WithDefaults(string setting) => $"{{ {string.Join(", ", ((string[])["\"Root\": \"files\"", "\"CacheDirectory\": \"\"", setting])
        .Reverse().DistinctBy(one => one.Split(':')[0]))} }}";

    private async Task<OptionsValidationException> StartAsync(string json)
    {
        HostApplicationBuilder builder = Builder(json, "Primary");
        builder.Services.AddKwikPrimary(builder.Configuration.GetSection(KwikPrimaryOptions.SectionName), options =>
        {
            // Tests run anywhere, not in the directory of their files.
            options.Root = options.Root == "files" ? _here["files"] : options.Root;
            options.CacheDirectory = options.CacheDirectory is { Length: > 0 } and not ['/', ..] ? _here[options.CacheDirectory] : options.CacheDirectory;
            options.QlogDirectory = options.QlogDirectory is { } records ? _here[records] : null;
        });
        using IHost host = builder.Build();
        return await Assert.ThrowsAsync<OptionsValidationException>(() => host.StartAsync().WithinAsync());
    }

    private KwikPrimaryOptions Bind(
        string json, string environment = "none", string[]? arguments = null, Action<KwikPrimaryOptions>? configure = null)
    {
        HostApplicationBuilder builder = Builder(json, "Primary", environment, arguments);
        builder.Services.AddKwikPrimary(builder.Configuration.GetSection(KwikPrimaryOptions.SectionName), configure);
        // As they are bound: whether they make sense is not asked here.
        builder.Services.Remove(builder.Services.Single(service => service.ServiceType == typeof(IValidateOptions<KwikPrimaryOptions>)));
        using IHost host = builder.Build();
        return host.Services.GetRequiredService<IOptions<KwikPrimaryOptions>>().Value;
    }

    // As Host.CreateApplicationBuilder does it, in its order, but for variables that other tests could see.
    private HostApplicationBuilder Builder(string json, string section, string environment = "none", string[]? arguments = null)
    {
        File.WriteAllText(_here["appsettings.json"], $$"""{ "Kwik": { "{{section}}": {{json}} } }""");
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new() { ContentRootPath = _here.Path });
        builder.Configuration.AddJsonFile("appsettings.json", optional: false).AddEnvironmentVariables(environment).AddCommandLine(arguments ?? []);
        return builder;
    }

    private void Complete(KwikServerOptions options)
    {
        options.Root = _here["files"];
        options.CacheDirectory = null;
        options.Certificate = TestCertificates.SelfSigned("localhost");
    }
}
