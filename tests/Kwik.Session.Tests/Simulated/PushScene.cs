using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// A primary that has opened one stream, secondaries that send what the test says, frame by frame, and their client; the
/// test plays all of them. At the end every gauge is back at zero.
/// </summary>
internal sealed class PushScene
{
    public required SimulatedWorld World { get; init; }

    public required SimulatedDeployment Deployment { get; init; }

    public required PrimarySession Primary { get; init; }

    /// <summary>The primary's end of the stream.</summary>
    public required KwikStream Written { get; init; }

    /// <summary>The client, and its end of the stream.</summary>
    public required ClientSession Session { get; init; }

    public required KwikStream Stream { get; init; }

    private RogueSecondary.Client[] Secondaries { get; init; } = [];

    public static void Run(
        int seed, int secondaries, Func<PushScene, Task> play, Func<KwikClientOptions, KwikClientOptions>? change = null) =>
        Simulation.Run(seed, world => RunAsync(world, secondaries, play, change));

    /// <summary>A secondary by the number of its path: 1 and up.</summary>
    public RogueSecondary.Client Secondary(int pathId) => Secondaries[pathId - 1];

    /// <summary>How a path stands, at the client.</summary>
    public PathInfo Path(int pathId) => Session.GetAllPaths().Single(path => path.Id == pathId);

    /// <summary>Grants a range; when this returns the client knows.</summary>
    public Task GrantAsync(int pathId, long offset, long length)
    {
        Primary.MapRange(Written, pathId, offset, length);
        return SettleAsync();
    }

    /// <summary>Lets everything arrive that is on its way: ten times as long as it takes from one host to another.</summary>
    public Task SettleAsync() => World.Delay(TimeSpan.FromMilliseconds(50));

    /// <summary>A whole stream of a secondary's: the pieces, each with its offset, the close frame and the end.</summary>
    public async Task<ITransportStream> PushAsync(int pathId, params (long Offset, byte[] Bytes)[] pieces)
    {
        ITransportStream stream = await BeginAsync(pathId, pieces);
        (long offset, byte[] bytes) = pieces[^1];
        await stream.WriteAsync(RawPeer.Bytes((StreamFrame.Close(offset + bytes.Length), [])), completeWrites: true);
        return stream;
    }

    /// <summary>The same without its end.</summary>
    public Task<ITransportStream> BeginAsync(int pathId, params (long Offset, byte[] Bytes)[] pieces) =>
        Secondary(pathId).OpenAsync(
            StreamType.Internal,
            [
                (StreamFrame.Open(Stream.Id, pieces[0].Offset), []),
                .. pieces.Select(piece => (StreamFrame.Data(piece.Bytes.Length, piece.Offset), piece.Bytes)),
            ]);

    /// <summary>What the client took a stream with: None, or the code that it was stopped with.</summary>
    public static Task<KwikError> OutcomeAsync(ITransportStream stream) => RogueSecondary.Client.OutcomeAsync(stream);

    /// <summary>Reads to the end, or to the fault.</summary>
    public async Task<(byte[] Received, KwikException? Fault)> ReadAsync()
    {
        var received = new MemoryStream();
        var buffer = new byte[64 * 1024];
        try
        {
            while (await Stream.ReadAsync(buffer) is int read and > 0)
            {
                received.Write(buffer, 0, read);
            }

            return (received.ToArray(), null);
        }
        catch (KwikException e)
        {
            return (received.ToArray(), e);
        }
    }

    /// <summary>What the client's session has told so far and nobody has read.</summary>
    public List<SessionEvent> Events() => Taken(Session.Events);

    /// <summary>The ranges that the primary was told of as lost, so far.</summary>
    public List<RangeLost> Lost() => [.. Taken(Primary.Events).OfType<RangeLost>()];

    public static byte[] RandomBytes(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    private static List<SessionEvent> Taken(System.Threading.Channels.ChannelReader<SessionEvent> events)
    {
        var taken = new List<SessionEvent>();
        while (events.TryRead(out SessionEvent? happened))
        {
            taken.Add(happened);
        }

        return taken;
    }

    private static async Task RunAsync(
        SimulatedWorld world, int secondaries, Func<PushScene, Task> play, Func<KwikClientOptions, KwikClientOptions>? change)
    {
        var deployment = new SimulatedDeployment(world);
        var clients = new List<TaskCompletionSource<RogueSecondary.Client>>();
        var rogues = new List<RogueSecondary>();
        for (int i = 1; i <= secondaries; i++)
        {
            var arrived = new TaskCompletionSource<RogueSecondary.Client>();
            clients.Add(arrived);
            rogues.Add(await RogueSecondary.StartAsync(world.Host($"secondary {i}"), client =>
            {
                arrived.SetResult(client);
                return client.ReceiveAsync();
            }));
        }

        var opened = new TaskCompletionSource<(PrimarySession, KwikStream)>();
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            foreach (RogueSecondary rogue in rogues)
            {
                await session.AddPathAsync(rogue.Address);
            }

            opened.SetResult((session, stream));
            await session.Closed;
        });

        ClientSession client = await deployment.ConnectAsync(change);
        KwikStream received = await client.AcceptStream();
        (PrimarySession primary, KwikStream written) = await opened.Task;
        await play(new PushScene
        {
            World = world,
            Deployment = deployment,
            Primary = primary,
            Written = written,
            Session = client,
            Stream = received,
            Secondaries = [.. clients.Select(arrived => arrived.Task.Result)],
        });

        await received.DisposeAsync();
        await client.DisposeAsync();
        foreach (RogueSecondary rogue in rogues)
        {
            await rogue.DisposeAsync();
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    }
}
