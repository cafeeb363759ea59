using System.CommandLine;
using System.Net;
using System.Runtime.InteropServices;
using Kwik.Cli.Output;
using Kwik.Hosting;
using Kwik.Sessions;
using Kwik.Transfer;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;

namespace Kwik.Cli.Commands;

/// <summary><c>kwik serve</c>: serves the files of a directory, as a primary or as a secondary server.</summary>
internal static class ServeCommand
{
    public const string Name = "serve";

    private static readonly TimeSpan CertificateValidity = TimeSpan.FromDays(30);

    private static readonly Option<ServerRole> Role = new("--role")
    {
        Description = "primary: clients ask it for files. secondary: it helps primaries that it trusts.",
        DefaultValueFactory = _ => ServerRole.Primary,
        HelpName = "primary|secondary",
    };

    private static readonly Option<string> Listen = new("--listen")
    {
        Description = "ADDRESS:PORT; port 0 lets the system choose, address * is every one.",
        DefaultValueFactory = _ => "127.0.0.1:4433",
    };

    private static readonly Option<string> Root = new("--root") { Description = "The directory whose files are served.", Required = true };

    private static readonly Option<string?> Cache = new("--cache")
    {
        Description = "Directory, outside the one that is served, that keeps the hashes of files for the next start; 'none': no such "
            + "directory. Default: kwik/trees in the user's directory for caches.",
    };

    private static readonly Option<string?> Certificate = new("--cert")
    {
        Description = "The server's certificate, PEM or PFX; without it a self-signed one is made for this run.",
    };

    private static readonly Option<string?> Key = new("--key") { Description = "Its private key as PEM, if it is not in the same file." };

    private static readonly Option<string[]> Secondary = new("--secondary")
    {
        Description = "On a primary: another server that clients are sent to, HOST:PORT#sha256/PIN. May be repeated.",
    };

    private static readonly Option<string?> SigningKey = new("--signing-key")
    {
        Description = "On a primary with secondaries: the key that 'kwik key' made.",
    };

    private static readonly Option<string[]> Trust = new("--trust")
    {
        Description = "On a secondary: file with the public key of a primary. May be repeated.",
    };

    private static readonly Option<long?> MaxFileSize = new("--max-file-size")
    {
        Description = "The longest file that is served, bytes or with a unit (500MiB, 4GiB); default: no limit.",
        HelpName = "SIZE",
        CustomParser = CommonOptions.ParseSize,
    };

    private static readonly Option<string[]> AllowExtension = new("--allow-extension")
    {
        Description = "Serve only files whose names end with this, for instance .iso. May be repeated.",
    };

    private static readonly Option<int?> MaxTransfers = new("--max-transfers")
    {
        Description = "On a primary: files that are on their way at once, to all clients; default: 1000.",
    };

    private static readonly Option<int?> MaxSessions = new("--max-sessions") { Description = "Clients at once; default: 10000." };

    private static readonly Option<int?> ShutdownTimeout = new("--shutdown-timeout")
    {
        Description = "Seconds that transfers may go on after a signal to stop; a second signal ends them. Default: 30.",
        HelpName = "seconds",
    };

    private static readonly Option<bool> AccessLog = new("--access-log")
    {
        Description = "A line on standard error for each transfer, at its end.",
    };

    private static readonly Option<string?> Qlog = new("--qlog")
    {
        Description = "Directory, outside the one that is served, for a record of each session, which 'kwik report' reads.",
    };

    private static readonly Option<bool> UntilEndOfInput = new("--until-eof")
    {
        Description = "Stop when standard input ends; for programs that start servers.",
    };

    private static readonly Option<bool> Verbose = new("--verbose", "-v") { Description = "Log every request on standard error." };
    private static readonly Option<bool> Json = CommonOptions.Json("the line that says where it listens");

    public static Command Create()
    {
        var command = new Command(Name, "Serve the files of a directory.")
        {
            Role, Listen, Root, Cache, Certificate, Key, Secondary, SigningKey, Trust, MaxFileSize, AllowExtension, MaxTransfers,
            MaxSessions, ShutdownTimeout, AccessLog, Qlog, UntilEndOfInput, Verbose, Json,
        };
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        // A signal that comes before the command has returned to the parser ends the process at once, and it may come as soon
        // as the ready line is read.
        await Task.Yield();
        ServerRole role = parsed.GetValue(Role);
        RefuseOptionsOfOtherRole(parsed, role);
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var hurrying = new CancellationTokenSource();
        var secondThought = new SecondThought();
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Stop);
        using IHost host = Build(parsed, role);
        try
        {
            await host.StartAsync(stopping.Token);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            // Asked to stop while it was reading its files: that is no failure.
            return (int)ExitCode.Ok;
        }

        KwikService service = role == ServerRole.Primary
            ? host.Services.GetRequiredService<KwikPrimaryService>()
            : host.Services.GetRequiredService<KwikSecondaryService>();
        Announce(parsed, role, service);
        if (parsed.GetValue(UntilEndOfInput))
        {
            _ = Task.Run(() => StopAtEndOfInputAsync(stopping), CancellationToken.None);
        }

        await UntilStoppedAsync(host, stopping.Token);
        await host.StopAsync(hurrying.Token);
        return (int)ExitCode.Ok;

        // The first signal asks the host to stop, a second one not to wait for its clients.
        void Stop(PosixSignalContext signal)
        {
            signal.Cancel = true;
            (bool isFirst, bool insists) = secondThought.Take(signal.Signal);
            if (isFirst || insists)
            {
                (insists ? hurrying : stopping).Cancel();
            }
        }
    }

    /// <summary>Also when the host stops by itself, because its server has failed.</summary>
    private static async Task UntilStoppedAsync(IHost host, CancellationToken stopping)
    {
        using var either = CancellationTokenSource.CreateLinkedTokenSource(
            stopping, host.Services.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping);
        await Task.Delay(Timeout.InfiniteTimeSpan, TimeProvider.System, either.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static IHost Build(ParseResult parsed, ServerRole role)
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Logging.AddSimpleConsole(console => console.SingleLine = true);
        builder.Logging.SetMinimumLevel(parsed.GetValue(Verbose) ? LogLevel.Debug : LogLevel.Warning);
        builder.Logging.AddFilter(FileServer.AccessCategory, parsed.GetValue(AccessLog) ? LogLevel.Information : LogLevel.None);
        // What keeps the host from starting is told once, by the command.
        builder.Logging.AddFilter("Microsoft", LogLevel.None);
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        if (role == ServerRole.Primary)
        {
            builder.Services.AddKwikPrimary(options =>
            {
                Apply(parsed, options);
                options.SigningKeyPath = parsed.GetValue(SigningKey);
                options.MaxConcurrentTransfers = parsed.GetValue(MaxTransfers) ?? options.MaxConcurrentTransfers;
                AddAll(options.Secondaries, parsed.GetValue(Secondary));
            });
        }
        else
        {
            builder.Services.AddKwikSecondary(options =>
            {
                Apply(parsed, options);
                AddAll(options.TrustedPrimaries, parsed.GetValue(Trust));
            });
        }

        return builder.Build();
    }

    private static void Apply(ParseResult parsed, KwikServerOptions options)
    {
        options.Listen = parsed.GetRequiredValue(Listen);
        options.Root = parsed.GetRequiredValue(Root);
        if (parsed.GetValue(Cache) is { } cache)
        {
            options.CacheDirectory = cache == "none" ? null : cache;
        }

        options.MaxFileBytes = parsed.GetValue(MaxFileSize);
        AddAll(options.AllowedExtensions, parsed.GetValue(AllowExtension));
        options.MaxSessions = parsed.GetValue(MaxSessions) ?? options.MaxSessions;
        options.ShutdownTimeout = parsed.GetValue(ShutdownTimeout) is { } seconds ? TimeSpan.FromSeconds(seconds) : options.ShutdownTimeout;
        options.QlogDirectory = parsed.GetValue(Qlog);
        options.CertificatePath = parsed.GetValue(Certificate);
        options.CertificateKeyPath = parsed.GetValue(Key);
        if (options.CertificatePath is null)
        {
            options.Certificate = KwikCertificate.CreateSelfSigned(
                ["localhost", IPAddress.Loopback.ToString(), IPAddress.IPv6Loopback.ToString()],
                CertificateValidity,
                TimeProvider.System.GetUtcNow());
        }
    }

    private static void AddAll(IList<string> list, string[]? values)
    {
        foreach (string value in values ?? [])
        {
            list.Add(value);
        }
    }

    private static void RefuseOptionsOfOtherRole(ParseResult parsed, ServerRole role)
    {
        if (role == ServerRole.Primary && parsed.GetResult(Trust) is not null)
        {
            throw new UsageException("--trust is for a secondary server; say --role secondary.");
        }

        if (role == ServerRole.Secondary && parsed.GetResult(MaxTransfers) is not null)
        {
            throw new UsageException("--max-transfers is for a primary server, which knows of whole files; a secondary has --max-sessions.");
        }

        if (role == ServerRole.Secondary && (parsed.GetResult(Secondary) is not null || parsed.GetResult(SigningKey) is not null))
        {
            throw new UsageException("--secondary and --signing-key are for a primary server; say --role primary.");
        }

        if (parsed.GetResult(Key) is not null && parsed.GetResult(Certificate) is null)
        {
            throw new UsageException("--key is the key of a certificate; name that with --cert.");
        }
    }

    private static void Announce(ParseResult parsed, ServerRole role, KwikService service)
    {
        string name = role == ServerRole.Primary ? "primary" : "secondary";
        if (parsed.GetValue(Json))
        {
            CommonOptions.WriteJson(
                new(name, service.LocalEndPoint.ToString(), service.Pin.ToString(), Path.GetFullPath(parsed.GetRequiredValue(Root))),
                JsonObjects.Default.ServeJson);
            return;
        }

        Console.Out.WriteLine($"kwik {name} on {service.LocalEndPoint}, pin {service.Pin}");
    }

    private static async Task StopAtEndOfInputAsync(CancellationTokenSource stopping)
    {
        var ignored = new byte[256];
        await using Stream input = Console.OpenStandardInput();
        while (await input.ReadAsync(ignored) > 0)
        {
        }

        await stopping.CancelAsync();
    }
}
