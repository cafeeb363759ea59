using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Net;
using System.Runtime.InteropServices;
using System.Security.Cryptography.X509Certificates;
using Kwik.Cli.Output;
using Kwik.Cli.Report;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Transfer;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik get</c>: fetches a file from a primary server and every server that it names.</summary>
internal static class GetCommand
{
    private const int DefaultPort = 4433;

    private const string StandardOutput = "-";

    // What may be ahead of a limited rate is a second of it, but room for some leaves.
    private const long SmallestWindow = 1 << 20;

    // SIGXFSZ of Linux.
    private const int FileSizeSignal = 25;

    private static readonly Argument<string> Url = new("url") { Description = "kwik://HOST[:PORT]/PATH" };

    private static readonly Option<string?> Output = new("--output", "-o")
    {
        Description = "The file to write; '-': standard output, in order, each byte checked before. Default: the last part of the path, in "
            + "the present directory.",
        HelpName = "FILE",
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

    private static readonly Option<long?> LimitRate = new("--limit-rate")
    {
        Description = "Take no more than this in a second, from all servers together: bits (10Mbit/s, 500kbit/s; 1 kbit is 1000 bit) or bytes "
            + "(2MiB/s, 1.5MB/s), from 1KiB/s to 1TiB/s. Default: no limit.",
        HelpName = "RATE",
        CustomParser = ParseRate,
    };

    private static readonly Option<int> MaxPaths = new("--max-paths")
    {
        Description = "Servers to use at once, the primary included: 1 to 64.",
        DefaultValueFactory = _ => 8,
    };

    private static readonly Option<int> StallTimeout = new("--stall-timeout")
    {
        Description = "Seconds without a byte after which the fetch fails; if given, without an answer to the request too.",
        DefaultValueFactory = _ => 30,
    };

    private static readonly Option<bool> Resume = new("--resume")
    {
        Description = "Go on from what an earlier get left of this file, if the server still has the same; else fetch all of it.",
    };

    private static readonly Option<bool> NoVerifyExisting = new("--no-verify-existing")
    {
        Description = "With --resume: take what was left as it is, without checking it once more.",
    };

    private static readonly Option<string?> Qlog = new("--qlog")
    {
        Description = "Directory for a record of the session, which 'kwik report' reads.",
    };

    private static readonly Option<string?> ReportPage = new("--report")
    {
        Description = "HTML page to write about the fetch, also when it fails.",
    };

    private static readonly Option<bool> Force = CommonOptions.Force();
    private static readonly Option<bool> Json = CommonOptions.Json("the result");
    private static readonly Option<ProgressStyle> Progress = CommonOptions.Progress();

    public static Command Create()
    {
        var command = new Command("get", "Fetch a file from a primary server and every server that it names.")
        {
            Url, Output, Pin, Authority, Insecure, LimitRate, MaxPaths, StallTimeout, Resume, NoVerifyExisting, Qlog, ReportPage, Force, Json, Progress,
        };
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        (EndPoint primary, string path) = ParseUrl(parsed.GetRequiredValue(Url));
        string target = Target(parsed, path);
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
                Resume = parsed.GetValue(Resume),
                VerifyExisting = !parsed.GetValue(NoVerifyExisting),
                StallTimeout = TimeSpan.FromSeconds(parsed.GetValue(StallTimeout)),
                MaxBytesPerSecond = parsed.GetValue(LimitRate),
            };
            options.Validate();
            // Who says how long to wait for a byte says it of the answer too. Else a server has its time to hash a long file.
            return parsed.GetResult(StallTimeout) is { Implicit: false } ? options with { OfferTimeout = options.StallTimeout } : options;
        });
        if (!download.VerifyExisting && !download.Resume)
        {
            throw new UsageException("--no-verify-existing is about what --resume goes on from.");
        }

        // Without this, writing beyond a limit on the size of files ends the process, and not the write.
        using PosixSignalRegistration? fileSizeLimit = OperatingSystem.IsLinux()
            ? PosixSignalRegistration.Create((PosixSignal)FileSizeSignal, signal => signal.Cancel = true)
            : null;
        using RecordedRun? recorded = RecordedRun.Prepare(parsed.GetValue(Qlog), parsed.GetValue(ReportPage), parsed.GetValue(Force));
        var fetch = new Fetch(connect with { Qlog = recorded?.Options }, path, download, parsed.GetValue(Progress));
        if (target == StandardOutput)
        {
            RefuseWithStandardOutput(parsed, Json, parsed.GetValue(Json));
            RefuseWithStandardOutput(parsed, Progress, parsed.GetValue(Progress) == ProgressStyle.Json);
            RefuseWithStandardOutput(parsed, Resume, parsed.GetValue(Resume));
            DownloadResult printed = await fetch.ToStandardOutputAsync(cancellationToken);
            recorded?.Finish();
            Report(printed, "standard output");
            Console.Error.WriteLine($"{printed.Sha256}  {target}");
            return (int)ExitCode.Ok;
        }

        long kept = download.Resume ? FileClient.GetResumableBytes(target) : 0;
        DownloadResult result = await fetch.ToFileAsync(target, cancellationToken);
        if (kept > 0 && result.ResumedBytes == 0)
        {
            Failure.Report($"Note: what was left of '{target}' did not fit, because it or the file was changed; all of it was fetched.");
        }

        recorded?.Finish();
        if (parsed.GetValue(Json))
        {
            CommonOptions.WriteJson(FetchJson.From(result), JsonObjects.Default.FetchJson);
        }
        else
        {
            Report(result, target);
            Console.Out.WriteLine($"{result.Sha256}  {target}");
        }

        return (int)ExitCode.Ok;
    }

    /// <summary>Where the file goes, which is no place for anything else.</summary>
    private static string Target(ParseResult parsed, string path)
    {
        string target = parsed.GetValue(Output) ?? Path.GetFileName(path);
        if (string.IsNullOrWhiteSpace(target) || target.Contains('\0', StringComparison.Ordinal))
        {
            throw new UsageException("Name the file to write with -o.");
        }

        return parsed.GetValue(ReportPage) is { } page && NewFile.IsSame(page, target)
            ? throw new UsageException("The file and the page about it go into two files.")
            : target;
    }

    private static void RefuseWithStandardOutput(ParseResult parsed, Option option, bool isSaid)
    {
        if (isSaid && parsed.GetResult(option) is not null)
        {
            throw new UsageException($"With '-o -' the file is all that standard output gets, and nothing is kept of it: leave {option.Name} out.");
        }
    }

    private static long? ParseRate(ArgumentResult result)
    {
        string text = result.Tokens[0].Value;
        if (!ByteSize.TryParseRate(text, out long rate))
        {
            result.AddError($"'{text}' is no rate; say bits, as 10Mbit/s, or bytes, as 2MiB/s");
        }
        else if (rate is < 1L << 10 or > 1L << 40)
        {
            result.AddError($"--limit-rate is 1KiB/s to 1TiB/s, and '{text}' is not");
        }

        return rate;
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
            if (roots.Count == 0)
            {
                throw new UsageException($"There is no certificate in '{authority}'.");
            }
        }

        return new()
        {
            Primary = primary,
            Pins = [.. pins.Select(KeyHash.Parse)],
            TrustedRoots = roots,
            AcceptAnyPrimary = insecure,
            MaxPaths = parsed.GetValue(MaxPaths),
            Aggregation = parsed.GetValue(LimitRate) is { } rate
                ? new() { MaxPendingBytes = Math.Clamp(rate, SmallestWindow, new AggregatorOptions().MaxPendingBytes) }
                : new(),
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

    private static void Report(DownloadResult result, string target)
    {
        int sources = result.Sources.Count(source => source.Bytes > 0);
        long fetched = result.Bytes - result.ResumedBytes;
        Console.Error.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{target}: {ByteSize.Format(fetched)} in {result.Elapsed.TotalSeconds:0.00} s from {sources} ")
            + $"{(sources == 1 ? "server" : "servers")}, {ByteSize.FormatRate(SourceJson.Rate(fetched, result.Elapsed))}"
            + (result.ResumedBytes > 0 ? $"; {ByteSize.Format(result.ResumedBytes)} were here already" : ""));
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

    /// <summary>One fetch over a session of its own.</summary>
    private sealed record Fetch(KwikClientOptions Connect, string Path, DownloadOptions Options, ProgressStyle Style)
    {
        /// <exception cref="UnfinishedException">It failed, and left something to go on with.</exception>
        public async Task<DownloadResult> ToFileAsync(string target, CancellationToken cancellationToken)
        {
            try
            {
                return await RunAsync(
                    (session, options) => FileClient.DownloadAsync(session, Path, target, options, cancellationToken), cancellationToken);
            }
            catch (Exception e) when (FileClient.GetResumableBytes(target) is > 0 and long bytes)
            {
                throw new UnfinishedException(e, bytes);
            }
        }

        public Task<DownloadResult> ToStandardOutputAsync(CancellationToken cancellationToken) => RunAsync(
            (session, options) => FileClient.DownloadAsync(session, Path, StandardStreams.Output, options, cancellationToken), cancellationToken);

        private async Task<DownloadResult> RunAsync(
            Func<ClientSession, DownloadOptions, Task<DownloadResult>> download, CancellationToken cancellationToken)
        {
            await using ClientSession session = await KwikClient.ConnectAsync(Connect, cancellationToken);
            return await ProgressView.RunAsync(
                Style, Path[(Path.LastIndexOf('/') + 1)..], progress => download(session, Options with { Progress = progress }));
        }
    }
}
