using System.CommandLine;
using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Kwik.Cli.Bench;
using Kwik.Cli.Bench.Peers;
using Kwik.Cli.Bench.Plain;
using Kwik.Cli.Output;
using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Cli.Commands;

/// <summary>The servers and clients of the comparisons, for the benchmarks, which start them. They end when their standard input does.</summary>
internal static class BenchPeerCommands
{
    private static readonly TimeSpan CertificateValidity = TimeSpan.FromDays(1);
    private static readonly Option<bool> Json = CommonOptions.Json("what it says");
    private static readonly Argument<PeerKind> Kind = new("kind") { Description = "What is compared." };
    private static readonly Argument<string> Address = new("address") { Description = "Of the server." };
    private static readonly Argument<string> Pin = new("pin") { Description = "Of its key." };

    public static Command CreateServer() => Hidden("server", "Serve bytes and echoes.", ServeAsync, Kind);

    public static Command CreateClient() => Hidden("client", "Download as many bytes as each line says.", DownloadAsync, Kind, Address, Pin);

    private static Command Hidden(
        string name, string description, Func<ParseResult, CancellationToken, Task> run, params ReadOnlySpan<Argument> arguments)
    {
        var command = new Command(name, description) { Json };
        command.Hidden = true;
        foreach (Argument argument in arguments)
        {
            command.Add(argument);
        }

        command.SetAction(async (parsed, cancellationToken) =>
        {
            QuicProvider.EnsureLoaded();
            await run(parsed, cancellationToken);
            return (int)ExitCode.Ok;
        });
        return command;
    }

    private static async Task ServeAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        using X509Certificate2 certificate = KwikCertificate.CreateSelfSigned(
            ["localhost", IPAddress.Loopback.ToString()], CertificateValidity, TimeProvider.System.GetUtcNow());
        await using IPeerServer server = parsed.GetValue(Kind) == PeerKind.Plain
            ? await PlainServer.ListenAsync(certificate, cancellationToken)
            : await KwikServer.ListenAsync(certificate, cancellationToken);
        CommonOptions.WriteJson(
            new("peer", server.EndPoint.ToString(), KeyHash.OfCertificate(certificate).ToString(), ""), JsonObjects.Default.ServeJson);
        using var stopping = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task serving = server.RunAsync(stopping.Token);
        Task ended = Task.Run(() => Console.In.ReadToEndAsync(stopping.Token), CancellationToken.None);
        await Task.WhenAny(serving, ended);
        await stopping.CancelAsync();
        try
        {
            await serving;
        }
        catch (OperationCanceledException)
        {
            // As it was asked to.
        }
    }

    private static async Task DownloadAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        (PeerKind kind, IPEndPoint server) = (parsed.GetValue(Kind), IPEndPoint.Parse(parsed.GetRequiredValue(Address)));
        KeyHash pin = KeyHash.Parse(parsed.GetRequiredValue(Pin));
        Console.Out.WriteLine("{}");
        while (await Console.In.ReadLineAsync(cancellationToken) is { } line)
        {
            long bytes = long.Parse(line, CultureInfo.InvariantCulture);
            TimedDownload download;
            await using (IPeerConnection connection = await PeerConnection.ConnectAsync(kind, server, pin, cancellationToken))
            {
                download = kind == PeerKind.Offered
                    ? await OfferedFile.DownloadAsync((KwikConnection)connection, cancellationToken)
                    : await PeerProtocol.DownloadAsync(connection, bytes, cancellationToken);
            }

            CommonOptions.WriteJson(
                new(download.Bytes, download.FirstByte?.TotalSeconds ?? 0, download.LastByte.TotalSeconds, (long)download.BitsPerSecond),
                JsonObjects.Default.PeerDownloadJson);
        }
    }
}
