using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Cli.Staging;

/// <summary>
/// A primary and some secondary servers, each a process behind a link of its own, that serve one file. Their keys are in a
/// temporary directory; all of it is gone afterwards.
/// </summary>
internal sealed class Stage : IAsyncDisposable
{
    private static readonly TimeSpan PathsTimeout = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan PathsInterval = TimeSpan.FromMilliseconds(5);

    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("kwik-stage-");
    private readonly List<StagedServer> _servers = [];
    private readonly Lock _gate = new();

    private Stage(StagedFile file) => File = file;

    /// <summary>What is served; it is not the stage's own.</summary>
    public StagedFile File { get; }

    /// <summary>The server that sessions are made with.</summary>
    public StagedServer Primary { get; private set; } = null!;

    /// <summary>The others, in the order of their paths, which begin with 1.</summary>
    public IReadOnlyList<StagedServer> Secondaries { get; private set; } = [];

    /// <summary>Makes keys, and starts servers and links; secondaries have read the file then.</summary>
    /// <param name="file">Outlives the stage.</param>
    /// <param name="links">The primary's, then one for each secondary.</param>
    /// <param name="cancellationToken">Gives it up, and ends what was started.</param>
    public static async Task<Stage> SetUpAsync(StagedFile file, IReadOnlyList<LinkShape> links, CancellationToken cancellationToken)
    {
        var stage = new Stage(file);
        try
        {
            using PrimaryKey key = PrimaryKey.Create();
            await System.IO.File.WriteAllTextAsync(stage.PathOf("primary.key"), key.ToPem(), cancellationToken);
            await System.IO.File.WriteAllTextAsync(stage.PathOf("primary.pub"), key.PublicKey.ToPem(), cancellationToken);

            string[] asSecondary = ["--role", "secondary", "--root", file.Root, "--cache", "none", "--trust", stage.PathOf("primary.pub")];
            stage.Secondaries = await Task.WhenAll(links.Skip(1).Select(link => stage.StartAsync(asSecondary, link, cancellationToken)));
            stage.Primary = await stage.StartAsync(
                [
                    "--role", "primary", "--root", file.Root, "--cache", "none", "--signing-key", stage.PathOf("primary.key"),
                    .. stage.Secondaries.SelectMany(server => (string[])["--secondary", $"{server.Link.LocalEndPoint}#{server.Process.Pin}"]),
                ],
                links[0],
                cancellationToken);
            return stage;
        }
        catch
        {
            await stage.DisposeAsync();
            throw;
        }
    }

    /// <summary>Connects a session that has all its paths.</summary>
    /// <param name="paths">Servers to use, the primary included; the secondaries are the first ones.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    /// <exception cref="KwikException">A server was not reached.</exception>
    public async Task<ClientSession> ConnectAsync(int paths, CancellationToken cancellationToken)
    {
        var connect = new KwikClientOptions { Primary = Primary.Link.LocalEndPoint, Pins = [Primary.Process.Pin], MaxPaths = paths };
        ClientSession session = await KwikClient.ConnectAsync(connect, cancellationToken);
        try
        {
            await WaitForPathsAsync(session, paths, cancellationToken);
            return session;
        }
        catch
        {
            await session.DisposeAsync();
            throw;
        }
    }

    /// <summary>A file of this name in the stage's directory.</summary>
    public string PathOf(string name) => Path.Combine(_directory.FullName, name);

    /// <summary>Ends every process that was started, and removes the directory.</summary>
    public async ValueTask DisposeAsync()
    {
        List<StagedServer> servers;
        lock (_gate)
        {
            servers = [.. _servers];
        }

        await Task.WhenAll(servers.Select(server => server.DisposeAsync().AsTask()));
        _directory.Delete(recursive: true);
    }

    private async Task WaitForPathsAsync(ClientSession session, int paths, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(PathsTimeout, TimeProvider.System);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
        using var timer = new PeriodicTimer(PathsInterval, TimeProvider.System);
        HashSet<object?> wanted = [Primary.Link.LocalEndPoint, .. Secondaries.Take(paths - 1).Select(server => server.Link.LocalEndPoint)];
        try
        {
            while (!wanted.SetEquals(session.GetActivePaths().Select(path => (object?)path.EndPoint)))
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

    private async Task<StagedServer> StartAsync(IEnumerable<string> arguments, LinkShape link, CancellationToken cancellationToken)
    {
        StagedServer server = await StagedServer.StartAsync(
            ["serve", "--listen", "127.0.0.1:0", "--until-eof", "--shutdown-timeout", "0", .. arguments], link, cancellationToken);
        lock (_gate)
        {
            _servers.Add(server);
        }

        return server;
    }
}
