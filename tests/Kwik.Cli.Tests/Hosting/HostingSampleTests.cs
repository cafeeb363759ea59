using System.Diagnostics;
using Kwik.Hosting;
using Kwik.Sessions;
using Kwik.Testing;
using Kwik.Transfer;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Options;

namespace Kwik.Cli.Tests.Hosting;

/// <summary>samples/hosting is what people copy: it starts as it is, but for the places of its files.</summary>
public sealed class HostingSampleTests : IDisposable
{
    private readonly TemporaryDirectory _here = new();

    private static string Samples
    {
        get
        {
            string? directory = AppContext.BaseDirectory;
            while (!File.Exists(Path.Combine(directory!, "Kwik.sln")))
            {
                directory = Path.GetDirectoryName(directory);
            }

            return Path.Combine(directory!, "samples", "hosting");
        }
    }

    public void Dispose() => _here.Dispose();

    [Fact]
    public async Task Settings_OfTheSample_StartAHost()
    {
        _here.WriteRandom("files/a", 1000);
        (await KwikProcess.RunAsync(_here.Path, "cert", "-o", "c.pem", "--name", "localhost")).AssertSuccess();
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Configuration.AddJsonFile(Path.Combine(Samples, "appsettings.json"), optional: false).AddCommandLine(
        [
            "--Kwik:Primary:Listen=127.0.0.1:0",
            $"--Kwik:Primary:Root={_here["files"]}",
            $"--Kwik:Primary:CacheDirectory={_here["cache"]}",
            $"--Kwik:Primary:CertificatePath={_here["c.pem"]}",
            $"--Kwik:Primary:CertificateKeyPath={_here["c.key"]}",
        ]);
        builder.Services.AddKwikPrimary(builder.Configuration.GetSection(KwikPrimaryOptions.SectionName));
        using IHost host = builder.Build();

        await host.StartAsync().WithinAsync();

        KwikPrimaryService primary = host.Services.GetRequiredService<KwikPrimaryService>();
        await using (ClientSession session = await KwikClient.ConnectAsync(new() { Primary = primary.LocalEndPoint, Pins = [primary.Pin] }).WithinAsync())
        {
            Assert.Equal(1000, (await FileClient.DownloadAsync(session, "a", _here["out"]).WithinAsync()).Bytes);
        }

        Assert.Equal(500, host.Services.GetRequiredService<IOptions<KwikPrimaryOptions>>().Value.MaxConcurrentTransfers);
        await host.StopAsync().WithinAsync();
    }

    [Fact]
    public async Task Unit_OfTheSample_IsOneForSystemd()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/systemd-analyze"), "There is no systemd-analyze here.");
        string unit = File.ReadAllText(Path.Combine(Samples, "kwik.service"));
        Assert.Contains("ExecStart=/opt/kwik/FileHost\n", unit, StringComparison.Ordinal);
        // It looks whether the program is there.
        File.WriteAllText(_here["kwik.service"], unit.Replace("ExecStart=/opt/kwik/FileHost\n", "ExecStart=/bin/true\n", StringComparison.Ordinal));

        using var verify = Process.Start(new ProcessStartInfo("systemd-analyze", ["verify", "--man=no", _here["kwik.service"]])
        {
            RedirectStandardError = true,
        })!;
        string errors = await verify.StandardError.ReadToEndAsync().WithinAsync();
        await verify.WaitForExitAsync().WithinAsync();

        Assert.Equal("", string.Concat(errors.Split('\n').Where(line => line.Contains("kwik.service", StringComparison.Ordinal))));
        Assert.Equal(0, verify.ExitCode);
    }
}
