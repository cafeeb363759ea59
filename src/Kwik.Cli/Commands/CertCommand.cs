using System.CommandLine;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Kwik.Cli.Output;
using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik cert</c>: makes a self-signed certificate for a server that its clients pin.</summary>
internal static class CertCommand
{
    private static readonly Option<string> Output = new("--output", "-o") { Description = "The certificate, PEM.", Required = true };

    private static readonly Option<string?> Key = new("--key")
    {
        Description = "Its private key, PEM, mode 0600; default: beside it, as .key.",
    };

    private static readonly Option<string[]> Names = new("--name")
    {
        Description = "Host name or address that it bears; may be repeated.",
        DefaultValueFactory = _ => ["localhost", "127.0.0.1", "::1"],
    };

    private static readonly Option<int> Days = new("--days") { Description = "Validity, 1 to 3652.", DefaultValueFactory = _ => 365 };
    private static readonly Option<bool> Force = CommonOptions.Force();
    private static readonly Option<bool> Json = CommonOptions.Json("files, pin and names");

    public static Command Create()
    {
        var command = new Command("cert", "Make a self-signed certificate for a server that its clients pin.")
        {
            Output, Key, Names, Days, Force, Json,
        };
        command.SetAction(Run);
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        string path = parsed.GetRequiredValue(Output);
        string keyPath = parsed.GetValue(Key) ?? Path.ChangeExtension(path, ".key");
        int days = parsed.GetValue(Days);
        if (days is < 1 or > 3652)
        {
            throw new UsageException("--days is 1 to 3652.");
        }

        if (NewFile.IsSame(path, keyPath))
        {
            throw new UsageException("The certificate and its key go into two files.");
        }

        bool replace = parsed.GetValue(Force);
        NewFile.Check(path, replace);
        NewFile.Check(keyPath, replace);
        List<string> names = [.. parsed.GetRequiredValue(Names)];
        using X509Certificate2 certificate = Create(names, days);
        using ECDsa key = certificate.GetECDsaPrivateKey()!;
        NewFile.Write(replace, (keyPath, key.ExportPkcs8PrivateKeyPem(), true), (path, certificate.ExportCertificatePem(), false));
        string pin = KeyHash.OfCertificate(certificate).ToString();
        if (parsed.GetValue(Json))
        {
            CommonOptions.WriteJson(new(path, keyPath, pin, names, certificate.NotAfter), JsonObjects.Default.CertJson);
        }
        else
        {
            Console.Error.WriteLine($"wrote {path} and {keyPath}; clients pin:");
            Console.Out.WriteLine(pin);
        }

        return (int)ExitCode.Ok;
    }

    private static X509Certificate2 Create(List<string> names, int days)
    {
        try
        {
            return KwikCertificate.CreateSelfSigned(names, TimeSpan.FromDays(days), TimeProvider.System.GetUtcNow());
        }
        catch (ArgumentException e)
        {
            throw new UsageException($"--name: {e.Message}", e);
        }
    }
}
