using System.Net;
using Kwik.Cli.Output;
using Kwik.Data;
using Kwik.Relay;
using Kwik.Sessions;
using Kwik.Transfer;

namespace Kwik.Cli.Demo;

/// <summary>
/// A primary and some secondary servers, each a process behind a link of its own, and the file that they serve; all of it
/// in a temporary directory, and gone afterwards.
/// </summary>
internal sealed class DemoStage : IAsyncDisposable
{
    private const string FileName = "demo.bin";
    private const int Seed = 20_260_101;

    // Three of these are less than two cores do beside servers and links, so that the links are what limits.
    private const long LinkRate = 100_000_000;

    // For a secondary more, so that no two links are alike.
    private static readonly TimeSpan LinkRoundTrip = TimeSpan.FromMilliseconds(10);

    private static readonly TimeSpan PathsTimeout = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan PathsInterval = TimeSpan.FromMilliseconds(5);

    // Often enough that a small file is not whole before the demo has noticed where it stands.
    private static readonly TimeSpan ProgressInterval = TimeSpan.FromMilliseconds(20);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kwik-demo-");
    private readonly List<ServerProcess> _servers = [];
    private readonly List<UdpRelay> _relays = [];

    private DemoStage()
    {
    }

    /// <summary>SHA-256 of the file that is served.</summary>
    public string SourceSha256 { get; private set; } = "";

    /// <summary>Rate of each link towards the client, bits per second, UDP payload.</summary>
    public static long BitsPerSecondOfLink => LinkRate;

    /// <summary>Writes the file, makes keys, and starts servers and links.</summary>
    public static async Task<DemoStage> SetUpAsync(long size, int secondaries, CancellationToken cancellationToken)
    {
        var stage = new DemoStage();
        try
        {
            string root = Directory.CreateDirectory(stage.PathOf("files")).FullName;
            stage.SourceSha256 = await DemoFile.WriteAsync(Path.Combine(root, FileName), size, Seed, cancellationToken);
            using PrimaryKey key = PrimaryKey.Create();
            await File.WriteAllTextAsync(stage.PathOf("primary.key"), key.ToPem(), cancellationToken);
            await File.WriteAllTextAsync(stage.PathOf("primary.pub"), key.PublicKey.ToPem(), cancellationToken);

            string[] asSecondary = ["--role", "secondary", "--root", root, "--trust", stage.PathOf("primary.pub")];
            ServerProcess[] helpers = await Task.WhenAll(
                Enumerable.Range(0, secondaries).Select(_ => stage.StartAsync(asSecondary, cancellationToken)));
            List<string> asPrimary = ["--role", "primary", "--root", root, "--signing-key", stage.PathOf("primary.key")];
            for (int i = 0; i < helpers.Length; i++)
            {
                UdpRelay relay = stage.AddLink(helpers[i], LinkRoundTrip * (i + 2));
                asPrimary.AddRange(["--secondary", $"{relay.LocalEndPoint}#{helpers[i].Pin}"]);
            }

            stage.Secondaries = helpers;
            stage.Primary = await stage.StartAsync(asPrimary, cancellationToken);
            stage.PrimaryAddress = stage.AddLink(stage.Primary, LinkRoundTrip).LocalEndPoint;
            return stage;
        }
        catch
        {
            await stage.DisposeAsync();
            throw;
        }
    }

    /// <summary>The secondary servers, in the order of their paths.</summary>
    public IReadOnlyList<ServerProcess> Secondaries { get; private set; } = [];

    private ServerProcess? Primary { get; set; }

    private IPEndPoint? PrimaryAddress { get; set; }

    /// <summary>
    /// Fetches the file once, over a session of its own. The clock starts when the session has all its paths.
    /// </summary>
    /// <param name="title">For people.</param>
    /// <param name="paths">Servers to use, the primary included.</param>
    /// <param name="style">How to show it.</param>
    /// <param name="observe">Sees every progress; null: nobody does.</param>
    /// <param name="cancellationToken">Gives the fetch up.</param>
    public async Task<DownloadResult> FetchAsync(
        string title, int paths, ProgressStyle style, Action<DownloadProgress>? observe, CancellationToken cancellationToken)
    {
        string target = PathOf("fetched.bin");
        var connect = new KwikClientOptions { Primary = PrimaryAddress!, Pins = [Primary!.Pin], MaxPaths = paths };
        await using ClientSession session = await KwikClient.ConnectAsync(connect, cancellationToken);
        await WaitForPathsAsync(session, paths, cancellationToken);
        DownloadResult result = await ProgressView.RunAsync(
            style,
            title,
            shown => FileClient.DownloadAsync(
                session,
                FileName,
                target,
                new() { Progress = new Observed(shown, observe), ProgressInterval = ProgressInterval },
                cancellationToken));
        File.Delete(target);
        return result;
    }

    /// <summary>Ends every process that was started, and removes the directory.</summary>
    public async ValueTask DisposeAsync()
    {
        List<ServerProcess> servers;
        lock (_servers)
        {
            servers = [.. _servers];
        }

        await Task.WhenAll(servers.Select(server => server.DisposeAsync().AsTask()));
        _relays.ForEach(relay => relay.Dispose());
        _directory.Delete(recursive: true);
    }

    private static async Task WaitForPathsAsync(ClientSession session, int paths, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(PathsTimeout, TimeProvider.System);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        using var timer = new PeriodicTimer(PathsInterval, TimeProvider.System);
        try
        {
            while (session.GetActivePaths().Count < paths)
            {
                await timer.WaitForNextTickAsync(either.Token);
            }
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new KwikException(
                KwikError.Timeout,
                KwikErrorSide.Network,
                $"Only {session.GetActivePaths().Count} of {paths} servers were reached in {PathsTimeout.TotalSeconds:0} s.");
        }
    }

    private async Task<ServerProcess> StartAsync(IEnumerable<string> arguments, CancellationToken cancellationToken)
    {
        ServerProcess server = await ServerProcess.StartAsync(arguments, cancellationToken);
        lock (_servers)
        {
            _servers.Add(server);
        }

        return server;
    }

    private UdpRelay AddLink(ServerProcess server, TimeSpan roundTrip)
    {
        var link = new LinkOptions { BitsPerSecond = LinkRate, Delay = roundTrip / 2 };
        UdpRelay relay = UdpRelay.Start(new() { Target = server.EndPoint, ToServer = link, ToClient = link });
        _relays.Add(relay);
        return relay;
    }

    private string PathOf(string name) => Path.Combine(_directory.FullName, name);

    /// <summary>Shows progress, and lets somebody act on it.</summary>
    private sealed class Observed(IProgress<DownloadProgress>? shown, Action<DownloadProgress>? observe) : IProgress<DownloadProgress>
    {
        public void Report(DownloadProgress value)
        {
            observe?.Invoke(value);
            shown?.Report(value);
        }
    }
}
