using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>A server of a <see cref="DeliveryScene"/>: one of ours with a content, or one that the test plays.</summary>
/// <param name="Content">What it has, as the test wants it; null: nothing.</param>
/// <param name="Play">What it does instead, with its one client.</param>
internal sealed record SceneServer(Func<SimulatedHost, IContentProvider>? Content, Func<RogueSecondary.Client, Task>? Play = null)
{
    public static SceneServer Nothing { get; } = new((Func<SimulatedHost, IContentProvider>?)null);
}

/// <summary>
/// One content, delivered to one client by a primary, which is path 0, and secondaries, which are paths 1, 2 and so on, while
/// something goes wrong. Whatever it is: only right bytes are delivered, a window holds what is pending, and nothing is left.
/// </summary>
internal sealed class DeliveryScene
{
    private readonly List<SessionEvent> _happened = [];
    private readonly List<StreamEvent> _told = [];

    private DeliveryScene(
        SimulatedWorld world, SimulatedDeployment deployment, MemoryContent content, ClientSession session, KwikStream stream, long window)
    {
        (World, Deployment, Content, Session, Stream, Window) = (world, deployment, content, session, stream, window);
        Received = new byte[content.Offer.Length];
    }

    public SimulatedWorld World { get; }

    public SimulatedDeployment Deployment { get; }

    public MemoryContent Content { get; }

    public ClientSession Session { get; }

    public KwikStream Stream { get; }

    /// <summary>Bytes that may wait ahead of the reader.</summary>
    public long Window { get; }

    /// <summary>Most that was seen to wait.</summary>
    public long MostPending { get; private set; }

    /// <summary>What was delivered, each byte where it belongs.</summary>
    public byte[] Received { get; }

    /// <summary>How many bytes were delivered.</summary>
    public long Count { get; private set; }

    /// <summary>Runs after each piece that was delivered.</summary>
    public Func<Task>? Progressed { get; set; }

    public static string NameOf(int path) => path == 0 ? "primary" : $"secondary {path}";

    public SimulatedHost Host(int path) => World.Host(NameOf(path));

    public PathInfo Path(int path) => Session.GetAllPaths().Single(info => info.Id == path);

    /// <summary>Sets the links between the client and a server, both ways.</summary>
    public void SetLinks(int path, Action<SimulatedLink> set) => World.SetLinks(Deployment.ClientHost, Host(path), set);

    /// <param name="seed">Of the simulation.</param>
    /// <param name="content">What the primary offers.</param>
    /// <param name="servers">The primary and the secondaries.</param>
    /// <param name="play">What happens from the moment on at which the client has the stream.</param>
    /// <param name="bitsPerSecond">Of each server's links.</param>
    /// <param name="window">See <see cref="Window"/>.</param>
    /// <param name="prepare">Changes links before anything is connected.</param>
    /// <param name="change">Changes the client's options.</param>
    public static void Run(
        int seed,
        MemoryContent content,
        IReadOnlyList<SceneServer> servers,
        Func<DeliveryScene, Task> play,
        long bitsPerSecond = 20_000_000,
        long window = 1024 * 1024,
        Action<SimulatedWorld>? prepare = null,
        Func<KwikClientOptions, KwikClientOptions>? change = null) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        List<SecondaryServer> secondaries = [];
        List<RogueSecondary> rogues = [];
        for (int path = 0; path < servers.Count; path++)
        {
            SimulatedHost host = world.Host(NameOf(path));
            world.SetLinks(deployment.ClientHost, host, link => link.BitsPerSecond = bitsPerSecond);
            if (servers[path].Play is { } rogue)
            {
                rogues.Add(await RogueSecondary.StartAsync(host, rogue));
                secondaries.Add(rogues[^1].Address);
            }
            else if (path > 0)
            {
                secondaries.Add(await deployment.StartSecondaryAsync(NameOf(path), servers[path].Content?.Invoke(host)));
            }
        }

        prepare?.Invoke(world);
        await deployment.StartPrimaryAsync(
            servers[0].Content?.Invoke(deployment.PrimaryHost), session => OfferAsync(session, content, secondaries));
        await using (ClientSession session = await deployment.ConnectAsync(options => Limit(change?.Invoke(options) ?? options, window)))
        {
            KwikStream stream = await session.AcceptStream();
            var scene = new DeliveryScene(world, deployment, content, session, stream, window);
            await play(scene);
            await stream.DisposeAsync();
            Assert.Equal(0, session.PendingBytes);
            Assert.InRange(scene.MostPending, 0, Math.Max(window, content.Offer.LeafSize));
        }

        foreach (RogueSecondary rogue in rogues)
        {
            await rogue.DisposeAsync();
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    });

    /// <summary>
    /// Reads the stream to its end, in order or into a positioned sink, and checks that what came is right. Returns the fault
    /// that ended it, null when all of it came.
    /// </summary>
    public async Task<KwikException?> ReadAsync(bool positioned = false)
    {
        KwikException? fault = null;
        try
        {
            await (positioned ? CopyAsync() : ReadInOrderAsync());
            Assert.Equal(Content.Offer.Length, Count);
        }
        catch (KwikException e)
        {
            fault = e;
            Assert.InRange(Count, 0, Content.Offer.Length - 1);
        }

        return fault;
    }

    /// <summary>Reads the stream to its end, which all of it reaches.</summary>
    public async Task ReadAllAsync(bool positioned = false)
    {
        KwikException? fault = await ReadAsync(positioned);
        Assert.True(fault is null, $"{Count} of {Content.Offer.Length} bytes came: {fault}");
        Assert.True(Content.Is(Received));
    }

    /// <summary>All that the session has told so far.</summary>
    public IReadOnlyList<SessionEvent> Happened()
    {
        while (Session.Events.TryRead(out SessionEvent? happened))
        {
            _happened.Add(happened);
        }

        return _happened;
    }

    /// <summary>All that the stream has told so far.</summary>
    public IReadOnlyList<StreamEvent> Told()
    {
        while (Stream.Events.TryRead(out StreamEvent? told))
        {
            _told.Add(told);
        }

        return _told;
    }

    /// <summary>The states that a path came into so far.</summary>
    public IEnumerable<PathState> States(int path) =>
        Happened().OfType<PathStateChanged>().Where(changed => changed.Path.Id == path).Select(changed => changed.Path.State);

    /// <summary>Waits until something is so, looking every millisecond; fails when it is not in a minute.</summary>
    public async Task UntilAsync(Func<bool> isSo)
    {
        for (int waited = 0; !isSo(); waited++)
        {
            Assert.InRange(waited, 0, 60_000);
            await World.Delay(TimeSpan.FromMilliseconds(1));
        }
    }

    private static KwikClientOptions Limit(KwikClientOptions options, long window) =>
        options with { Aggregation = options.Aggregation with { MaxPendingBytes = window } };

    private static async Task OfferAsync(PrimarySession session, MemoryContent content, List<SecondaryServer> secondaries)
    {
        foreach (SecondaryServer secondary in secondaries)
        {
            await session.AddPathAsync(secondary);
        }

        await using KwikStream stream = await session.OpenStreamSync();
        await stream.OfferContentAsync(content.Offer);
        await session.Closed;
    }

    private async Task ReadInOrderAsync()
    {
        while (true)
        {
            int room = (int)Math.Min(32 * 1024, Received.Length - Count);
            // One byte more than there is, to see the end.
            byte[] piece = new byte[Math.Max(1, room)];
            int read = await Stream.ReadAsync(piece);
            if (read == 0)
            {
                return;
            }

            Assert.InRange(read, 1, room);
            await TakeAsync(piece.AsMemory(0, read), Count);
        }
    }

    private Task<long> CopyAsync() => Stream.CopyToAsync(async (piece, offset) => await TakeAsync(piece, offset));

    private async Task TakeAsync(ReadOnlyMemory<byte> piece, long offset)
    {
        MostPending = Math.Max(MostPending, Session.PendingBytes);
        Assert.True(
            piece.Span.SequenceEqual(Content.Slice(offset, piece.Length)), $"Bytes from {offset} to {offset + piece.Length} are wrong.");
        piece.CopyTo(Received.AsMemory((int)offset));
        Count += piece.Length;
        await (Progressed?.Invoke() ?? Task.CompletedTask);
    }
}
