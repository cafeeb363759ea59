using System.CommandLine;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Kwik.Cli.Bench.Plain;
using Kwik.Cli.Output;
using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Cli.Commands;

/// <summary>The server of the comparisons, for the benchmarks, which start it. It ends when its standard input does.</summary>
internal static class BenchPlainServerCommand
{
    private static readonly TimeSpan CertificateValidity = TimeSpan.FromDays(1);
    private static readonly Option<bool> Json = CommonOptions.Json("the line that says where it listens");

    public static Command Create()
    {
        var command = new Command("plain-server", "Serve bytes over plain System.Net.Quic.") { Json };
        command.Hidden = true;
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        QuicProvider.EnsureLoaded();
        using X509Certificate2 certificate = KwikCertificate.CreateSelfSigned(
            ["localhost", IPAddress.Loopback.ToString()], CertificateValidity, TimeProvider.System.GetUtcNow());
        await using PlainServer server = await PlainServer.ListenAsync(certificate, cancellationToken);
        CommonOptions.WriteJson(
            new("plain", server.EndPoint.ToString(), KeyHash.OfCertificate(certificate).ToString(), ""), JsonObjects.Default.ServeJson);
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

        return (int)ExitCode.Ok;
    }
}
