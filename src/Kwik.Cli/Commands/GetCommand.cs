using System.CommandLine;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Kwik.Cli.Output;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Transfer;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik get</c>: fetches a file from a primary server and every server that it names.</summary>
internal static class GetCommand
{
    private const int DefaultPort = 4433;

    private static readonly Argument<string> Url = new("url") { Description = "kwik://HOST[:PORT]/PATH" };

    private static readonly Option<string?> Output = new("--output", "-o")
    {
        Description = "The file to write; default: the last part of the path, here.",
    };

    private static readonly Option<string[]> Pin = new("--pin")
    {
        Description = "sha256/BASE64 of the public key that the primary must hold; twice while it changes its key.",
    };

    private static readonly Option<FileInfo?> Authority = new("--ca")
    {
        Description = "PEM file with the roots to trust in place of the system's.",
    };

    private static readonly Option<bool> Insecure = new("--insecure")
    {
        Description = "Accept any primary; for literal loopback addresses only.",
    };

    private static readonly Option<int> MaxPaths = new("--max-paths")
    {
        Description = "Servers to use at once, the primary included: 1 to 64.",
        DefaultValueFactory = _ => 8,
    };

    private static readonly Option<int> StallTimeout = new("--stall-timeout")
    {
        Description = "Seconds without a byte after which the fetch fails.",
        DefaultValueFactory = _ => 30,
    };

    private static readonly Option<bool> Force = CommonOptions.Force();
    private static readonly Option<bool> Json = CommonOptions.Json("the result");
    private static readonly Option<ProgressStyle> Progress = CommonOptions.Progress();

    public static Command Create()
    {
        var command = new Command("get", "Fetch a file from a primary server and every server that it names.")
        {
            Url, Output, Pin, Authority, Insecure, MaxPaths, StallTimeout, Force, Json, Progress,
        };
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        (EndPoint primary, string path) = ParseUrl(parsed.GetRequiredValue(Url));
        string target = parsed.GetValue(Output) ?? Path.GetFileName(path);
        KwikClientOptions connect = Usage(() =>
        {
            KwikClientOptions options = ConnectOptions(parsed, primary);
            options.Validate();
            return options;
        });
        DownloadOptions download = Usage(() =>
        {
            var options = new DownloadOptions
            {
                Overwrite = parsed.GetValue(Force),
                StallTimeout = TimeSpan.FromSeconds(parsed.GetValue(StallTimeout)),
            };
            options.Validate();
            return options;
        });
        await using ClientSession session = await KwikClient.ConnectAsync(connect, cancellationToken);
        DownloadResult result = await ProgressView.RunAsync(
            parsed.GetValue(Progress),
            Path.GetFileName(path),
            progress => FileClient.DownloadAsync(session, path, target, download with { Progress = progress }, cancellationToken));
        Report(parsed.GetValue(Json), target, result);
        return (int)ExitCode.Ok;
    }

    private static KwikClientOptions ConnectOptions(ParseResult parsed, EndPoint primary)
    {
        string[] pins = parsed.GetValue(Pin) ?? [];
        FileInfo? authority = parsed.GetValue(Authority);
        bool insecure = parsed.GetValue(Insecure);
        if ((pins.Length > 0 ? 1 : 0) + (authority is not null ? 1 : 0) + (insecure ? 1 : 0) > 1)
        {
            throw new UsageException("--pin, --ca and --insecure exclude each other.");
        }

        if (insecure)
        {
            if (primary is not IPEndPoint literal || !IPAddress.IsLoopback(literal.Address))
            {
                throw new UsageException("--insecure is for literal loopback addresses only; use --pin, which the server prints.");
            }

            Failure.Report("Warning: --insecure accepts whoever answers at that address.");
        }

        X509Certificate2Collection? roots = null;
        if (authority is not null)
        {
            roots = [];
            roots.ImportFromPemFile(authority.FullName);
        }

        return new()
        {
            Primary = primary,
            Pins = [.. pins.Select(KeyHash.Parse)],
            TrustedRoots = roots,
            AcceptAnyPrimary = insecure,
            MaxPaths = parsed.GetValue(MaxPaths),
        };
    }

    private static (EndPoint Primary, string Path) ParseUrl(string text)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? url) || url.Scheme != "kwik" || url.Host.Length == 0
            || url.UserInfo.Length > 0 || url.Query.Length > 0 || url.Fragment.Length > 0)
        {
            throw new UsageException($"'{text}' is not of the form kwik://HOST:PORT/PATH.");
        }

        string path = Uri.UnescapeDataString(url.AbsolutePath).TrimStart('/');
        if (path.Length == 0 || path.EndsWith('/'))
        {
            throw new UsageException($"'{text}' names no file.");
        }

        int port = url.Port < 0 ? DefaultPort : url.Port;
        EndPoint primary = IPAddress.TryParse(url.DnsSafeHost, out IPAddress? address)
            ? new IPEndPoint(address, port)
            : new DnsEndPoint(url.DnsSafeHost, port);
        return (primary, path);
    }

    private static void Report(bool json, string target, DownloadResult result)
    {
        if (json)
        {
            CommonOptions.WriteJson(FetchJson.From(result), JsonObjects.Default.FetchJson);
            return;
        }

        int sources = result.Sources.Count(source => source.Bytes > 0);
        Console.Error.WriteLine(
            $"{target}: {ByteSize.Format(result.Bytes)} in {result.Elapsed.TotalSeconds:0.00} s from {sources} "
            + $"{(sources == 1 ? "server" : "servers")}, {ByteSize.FormatRate(SourceJson.Rate(result.Bytes, result.Elapsed))}");
        Console.Out.WriteLine($"{result.Sha256}  {target}");
    }

    private static T Usage<T>(Func<T> parse)
    {
        try
        {
            return parse();
        }
        catch (Exception e) when (e is ArgumentException or FormatException)
        {
            throw new UsageException(e.Message, e);
        }
    }
}
