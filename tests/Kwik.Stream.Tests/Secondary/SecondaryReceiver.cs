using System.Diagnostics.CodeAnalysis;
using Kwik.Data;
using Kwik.Testing;

namespace Kwik.Streams.Tests;

/// <summary>
/// The Internal streams of a client in a simulation: a <see cref="SecondaryStreamHandler"/>, public streams in memory, and
/// an owner that writes down what it is told.
/// </summary>
internal sealed class SecondaryReceiver : ISecondaryStreamOwner, IStreamOwner
{
    private readonly SimulatedWorld _world;
    private readonly AggregatorOptions _aggregation;
    private readonly Dictionary<long, KwikStream> _streams = [];
    private readonly HashSet<long> _closed = [];
    private readonly List<RawSecondary> _servers = [];

    private SecondaryReceiver(SimulatedWorld world, SecondaryStreamOptions options, AggregatorOptions aggregation)
    {
        options.Validate();
        _world = world;
        _aggregation = aggregation;
        Options = options;
        Handler = new SecondaryStreamHandler(this, Mappings, options, world.Time, Pool);
    }

    public SecondaryStreamOptions Options { get; }

    public LeasePool Pool { get; } = new();

    public StreamMappingManager Mappings { get; } = new();

    public SecondaryStreamHandler Handler { get; }

    public TimeProvider Time => _world.Time;

    MessagePace? IStreamOwner.MessagePace => null;

    /// <summary>What is decided about a fault.</summary>
    public RecoveryAction Treatment { get; set; } = RecoveryAction.RequestRetransmission;

    /// <summary>Runs when a public stream was looked for, before the answer is given.</summary>
    public Action? Found { get; set; }

    public List<(int Path, long Stream, long Offset, TimeSpan At)> Asked { get; } = [];

    public List<(int Path, KwikException Fault)> Broken { get; } = [];

    public List<KwikException> Decided { get; } = [];

    public List<Ending> Ended { get; } = [];

    public long Placed => Mappings.Mapped().Concat(Ended.Select(ending => ending.Source)).Sum(source => source.Snapshot().BytesTransferred);

    public long Arrived { get; private set; }

    /// <summary>Runs the scenario, closes what it left open, and checks that everything has ended and no memory is out.</summary>
    public static void Run(
        int seed,
        Func<SecondaryReceiver, Task> scenario,
        SecondaryStreamOptions? options = null,
        AggregatorOptions? aggregation = null) => Simulation.Run(seed, async world =>
        {
            var receiver = new SecondaryReceiver(world, options ?? new(), aggregation ?? new());
            await scenario(receiver);
            await receiver.CloseAsync();
        });

    /// <summary>Lets everything run that can; time passes only when nothing can.</summary>
    public Task SettleAsync() => _world.Delay(TimeSpan.FromMilliseconds(1));

    public Task Delay(TimeSpan time) => _world.Delay(time);

    /// <summary>A public stream, whose peer stays silent.</summary>
    public KwikStream AddStream(long id)
    {
        var transport = new MemoryTransportStream(id, new MemoryPipe(int.MaxValue), new MemoryPipe(int.MaxValue));
        var errors = new MemoryTransportStream(id + 4, new MemoryPipe(int.MaxValue), new MemoryPipe(int.MaxValue));
        return _streams[id] = new KwikStream(transport, errors, XStreamDirection.Inbound, this, _aggregation, Pool);
    }

    public KwikStream Stream(long id) => _streams[id];

    /// <summary>An Internal stream, begun by a server; the handler is at it.</summary>
    public RawSecondary Open(int path)
    {
        var server = new RawSecondary(this, path, id: 3 + (4 * _servers.Count));
        _servers.Add(server);
        return server;
    }

    /// <summary>One that was granted everything and has been opened at an offset.</summary>
    public async Task<RawSecondary> PushAsync(int path, KwikStream stream, long offset = 0)
    {
        if (!Mappings.IsGranted(path, stream.Id, offset, offset + 1))
        {
            Grant(path, stream.Id, 0, StreamFrame.MaxOffset);
        }

        RawSecondary server = Open(path);
        await server.SendAsync(StreamFrame.Open(stream.Id, offset));
        return server;
    }

    public void Grant(int path, long streamId, long offset, long length)
    {
        Assert.True(Mappings.TryUpdateGrants(grants => grants.TryAdd(path, streamId, offset, length)));
        Handler.WakeWaiting();
    }

    public StreamMapping Expect(int path, long request, KwikStream stream, long offset, long length)
    {
        var mapping = new StreamMapping(path, request, stream, offset, length, new UncheckedReceiver(path, stream));
        Mappings.Expect(mapping);
        return mapping;
    }

    /// <summary>What a client does when a public stream is closed.</summary>
    public void CloseTarget(long streamId)
    {
        _streams.Remove(streamId);
        _closed.Add(streamId);
        Handler.CloseTarget(streamId);
    }

    /// <summary>Looks for stalled streams as often as a client does, for so long.</summary>
    public async Task SweepAsync(TimeSpan time)
    {
        for (TimeSpan end = _world.Time.Elapsed + time; _world.Time.Elapsed < end;)
        {
            await Delay(TimeSpan.FromMilliseconds(250));
            Handler.StopStalled(minimumRate: 240);
        }
    }

    /// <summary>One rule was broken, by this path.</summary>
    public void AssertBroken(KwikError code, int path = 1)
    {
        (int brokenPath, KwikException fault) = Assert.Single(Broken);
        Assert.Equal((path, code, KwikErrorSide.Remote), (brokenPath, fault.Code, fault.Side));
    }

    bool ISecondaryStreamOwner.TryFindStream(long streamId, [NotNullWhen(true)] out KwikStream? stream, out bool wasClosed)
    {
        wasClosed = _closed.Contains(streamId);
        bool found = _streams.TryGetValue(streamId, out stream);
        Found?.Invoke();
        return found;
    }

    void ISecondaryStreamOwner.AskForMapping(int pathId, long streamId, long offset) =>
        Asked.Add((pathId, streamId, offset, _world.Time.Elapsed));

    void ISecondaryStreamOwner.BytesArrived(InboundSecondaryStream source, int bytes) => Arrived += bytes;

    RecoveryAction ISecondaryStreamOwner.Decide(InboundSecondaryStream source, KwikException fault)
    {
        Decided.Add(fault);
        return Treatment;
    }

    void ISecondaryStreamOwner.StreamEnded(InboundSecondaryStream source, KwikException? fault, RecoveryAction? action)
    {
        Assert.Equal(-1, Mappings.FindTarget(source.Id));
        Ended.Add(new(source, fault, action));
    }

    void ISecondaryStreamOwner.RuleBroken(int pathId, KwikException fault) => Broken.Add((pathId, fault));

    ValueTask IStreamOwner.OfferAsync(KwikStream stream, ContentOffer offer, CancellationToken cancellationToken) =>
        throw new InvalidOperationException("Only a primary offers content.");

    Task<SecondaryStream> IStreamOwner.OpenSecondaryAsync(CancellationToken cancellationToken) =>
        throw new InvalidOperationException("Only servers write at offsets of their choice.");

    void IStreamOwner.StreamClosed(KwikStream stream) => CloseTarget(stream.Id);

    private async Task CloseAsync()
    {
        foreach (KwikStream stream in _streams.Values.ToArray())
        {
            await stream.DisposeAsync();
        }

        foreach (RawSecondary server in _servers)
        {
            await server.DisposeAsync();
        }

        Assert.Empty(Mappings.Mapped());
        Assert.Equal(Broken.Count, Handler.Violations);
        Assert.Equal(0, Pool.Outstanding);
    }

    /// <summary>How a mapped stream ended.</summary>
    public sealed record Ending(InboundSecondaryStream Source, KwikException? Fault, RecoveryAction? Action);
}
