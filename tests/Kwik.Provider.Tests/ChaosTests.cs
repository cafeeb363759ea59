using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Quic;
using Kwik.Relay;

namespace Kwik.Provider.Tests;

/// <summary>
/// Ten seconds, or KWIK_CHAOS_SECONDS, of streams that end in every way at any moment, on connections that do too.
/// Whatever arrives is right, what is meant to end well does, and nothing hangs. A seed makes the choices; KWIK_SEED
/// repeats one, as far as timing lets it.
/// </summary>
public sealed class ChaosTests
{
    private const int Workers = 3;
    private const int StreamsPerConnection = 8;
    private const int LongestContent = 200_000;

    private static readonly TimeSpan Duration = TimeSpan.FromSeconds(
        int.TryParse(Environment.GetEnvironmentVariable("KWIK_CHAOS_SECONDS"), CultureInfo.InvariantCulture, out int given) ? given : 10);

    /// <summary>What a side does to a stream when it reaches its turning point.</summary>
    private enum Deed
    {
        /// <summary>Nothing: the stream is to end well, on both sides.</summary>
        Finish,
        AbortWrites,
        AbortReads,
        AbortBoth,
        Cancel,
        Dispose,
    }

    [Fact]
    public Task Streams_AbortedCancelledDisposedAndClosedAtRandom_NeverDeliverAWrongByteNorHang() => LiveAsync(link: null);

    [Fact]
    public Task Streams_TheSameOverALinkThatLosesAndReorders_NeverDeliverAWrongByteNorHang() => LiveAsync(new LinkOptions
    {
        Delay = TimeSpan.FromMilliseconds(1),
        Loss = 0.02,
        Reordering = 0.03,
        Duplication = 0.01,
    });

    private static async Task LiveAsync(LinkOptions? link)
    {
        int seed = int.TryParse(Environment.GetEnvironmentVariable("KWIK_SEED"), CultureInfo.InvariantCulture, out int given)
            ? given
            : Environment.TickCount;
        var counts = new Counts();
        try
        {
            await using QuicListener listener = await Loopback.ListenAsync();
            using UdpRelay? relay = link is null
                ? null
                : UdpRelay.Start(new() { Target = listener.LocalEndPoint, Seed = (ulong)seed, ToServer = link, ToClient = link });
            IPEndPoint remote = relay?.LocalEndPoint ?? listener.LocalEndPoint;
            var clock = Stopwatch.StartNew();
            await Task.WhenAll(Enumerable.Range(0, Workers).Select(async worker =>
            {
                var random = new Random(seed + worker);
                while (clock.Elapsed < Duration)
                {
                    await LiveOneConnectionAsync(listener, remote, random.Next(), counts, clock);
                }
            })).WaitAsync(Duration + (2 * Patience.Limit));
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"KWIK_SEED={seed} ({counts}): {Expect.Describe(e)}", e);
        }

        TestContext.Current.TestOutputHelper?.WriteLine($"KWIK_SEED={seed}: {counts}");
        // A run that did little proves little.
        Assert.True(counts.Connections >= Workers && counts.Streams >= 100 && counts.Finished > 0, $"{counts}");
    }

    private static async Task LiveOneConnectionAsync(
        QuicListener listener,
        IPEndPoint remote,
        int seed,
        Counts counts,
        Stopwatch clock)
    {
        var random = new Random(seed);
        // Workers take turns at the listener: each accepts what it connected.
        await counts.Connecting.WaitAsync().Bounded();
        QuicConnection client;
        QuicConnection server;
        try
        {
            (client, server) = await Loopback.ConnectAsync(listener, remote);
        }
        finally
        {
            counts.Connecting.Release();
        }

        Interlocked.Increment(ref counts.Connections);
        var life = new Life();
        Task serving = ServeAsync(server, life);
        int budget = random.Next(20, 400);
        await Task.WhenAll(Enumerable.Range(0, StreamsPerConnection).Select(async lane =>
        {
            var choices = new Random(seed + lane);
            while (clock.Elapsed < Duration && !life.IsOver)
            {
                await LiveOneStreamAsync(client, choices, counts, life);
                if (Interlocked.Decrement(ref budget) == 0)
                {
                    // In the middle of the other lanes' work.
                    life.IsOver = true;
                    await (choices.Next(2) == 0 ? client : server).CloseAsync(choices.Next()).Bounded();
                }
            }
        })).Bounded();

        life.IsOver = true;
        await client.DisposeAsync().Bounded();
        await serving.Bounded();
        await server.DisposeAsync().Bounded();
    }

    private static async Task LiveOneStreamAsync(QuicConnection client, Random random, Counts counts, Life life)
    {
        bool oneWay = random.Next(3) == 0;
        Deed deed = random.Next(2) == 0 ? Deed.Finish : (Deed)random.Next(6);
        Deed peersDeed = random.Next(2) == 0 ? Deed.Finish : (Deed)random.Next(6);
        var plan = new Plan(
            Seed: random.NextInt64(),
            Length: random.Next(LongestContent),
            peersDeed,
            ToFinish: deed == Deed.Finish && peersDeed == Deed.Finish);
        bool well = false;
        Interlocked.Increment(ref counts.Streams);
        try
        {
            await using QuicStream stream = await client
                .OpenOutboundStreamAsync(oneWay ? QuicStreamType.Unidirectional : QuicStreamType.Bidirectional).Bounded();
            await stream.WriteAsync(plan.ToHeader()).Bounded();
            well = await EndBothAsync(
                plan,
                life,
                WriteAsync(stream, plan.Seed, plan.Length, deed, new Random(random.Next())),
                oneWay ? Task.CompletedTask : ReadAsync(stream, plan.Seed + 1, plan));
        }
        catch (Exception e) when (IsExpected(e, plan.ToFinish, life))
        {
            // The connection ended before the stream could begin.
        }

        Interlocked.Increment(ref well && plan.ToFinish ? ref counts.Finished : ref counts.Cut);
    }

    private static async Task ServeAsync(QuicConnection server, Life life)
    {
        var streams = new List<Task>();
        try
        {
            while (true)
            {
                streams.Add(ServeOneAsync(await server.AcceptInboundStreamAsync(), life));
                streams.RemoveAll(stream => stream.IsCompletedSuccessfully);
            }
        }
        catch (QuicException e) when (
            e.QuicError is QuicError.ConnectionAborted or QuicError.OperationAborted || IsUnheardEnd(e, life))
        {
            await Task.WhenAll(streams).Bounded();
        }
    }

    private static async Task ServeOneAsync(QuicStream stream, Life life)
    {
        await using (stream)
        {
            var header = new byte[Plan.HeaderSize];
            try
            {
                await stream.ReadExactlyAsync(header).Bounded();
            }
            catch (Exception e) when (IsExpected(e, toFinish: false, life))
            {
                return;
            }

            Plan plan = Plan.FromHeader(header);
            await EndBothAsync(
                plan,
                life,
                ReadAsync(stream, plan.Seed, plan),
                WriteAsync(stream, plan.Seed + 1, plan.Length, plan.PeersDeed, new Random((int)plan.Seed)));
        }
    }

    /// <summary>Waits for both halves of a stream; true when both ended well. What is not expected of either is thrown.</summary>
    private static async Task<bool> EndBothAsync(Plan plan, Life life, params Task[] halves)
    {
        bool well = true;
        foreach (Task half in halves)
        {
            try
            {
                await half.Bounded();
            }
            catch (Exception e) when (IsExpected(e, plan.ToFinish, life))
            {
                well = false;
            }
        }

        return well;
    }

    /// <summary>Writes the content in pieces of any size; somewhere on the way does the deed, if there is one.</summary>
    private static async Task WriteAsync(QuicStream stream, long seed, int length, Deed deed, Random random)
    {
        int turn = deed == Deed.Finish ? int.MaxValue : random.Next(length + 1);
        using var cancellation = new CancellationTokenSource();
        for (int offset = 0; offset < length && stream.CanWrite;)
        {
            if (offset >= turn)
            {
                await DoAsync(stream, deed, random, cancellation);
                turn = int.MaxValue;
            }

            byte[] piece = new byte[Math.Min(length - offset, 1 + random.Next(random.Next(2) == 0 ? 100 : 100_000))];
            Content.Fill(piece, seed, offset);
            await stream.WriteAsync(piece, cancellation.Token).Bounded();
            offset += piece.Length;
        }

        if (!stream.CanWrite && deed != Deed.Finish)
        {
            await DoAsync(stream, deed, random, cancellation);
        }
        else if (stream.CanWrite)
        {
            stream.CompleteWrites();
        }
    }

    private static async Task DoAsync(QuicStream stream, Deed deed, Random random, CancellationTokenSource cancellation)
    {
        switch (deed)
        {
            case Deed.AbortWrites:
                stream.Abort(QuicAbortDirection.Write, random.Next());
                break;
            case Deed.AbortReads:
                stream.Abort(QuicAbortDirection.Read, random.Next());
                break;
            case Deed.AbortBoth:
                stream.Abort(QuicAbortDirection.Both, random.Next());
                break;
            case Deed.Cancel:
                await cancellation.CancelAsync();
                break;
            case Deed.Dispose:
                await stream.DisposeAsync().Bounded();
                break;
            case Deed.Finish:
            default:
                throw new UnreachableException();
        }
    }

    private static async Task ReadAsync(QuicStream stream, long seed, Plan plan)
    {
        var buffer = new byte[20_000];
        long offset = 0;
        for (int read; (read = await stream.ReadAsync(buffer).Bounded()) > 0; offset += read)
        {
            Content.AssertAt(buffer.AsSpan(0, read), seed, offset);
        }

        Assert.InRange(offset, plan.ToFinish ? plan.Length : 0, plan.Length);
    }

    /// <summary>
    /// Failures that the test itself brought about. A stream that both sides meant to finish may only fail with its
    /// connection.
    /// </summary>
    private static bool IsExpected(Exception e, bool toFinish, Life life) =>
        IsUnheardEnd(e, life)
        || ((!toFinish || life.IsOver)
            && e is OperationCanceledException or ObjectDisposedException or EndOfStreamException
                or QuicException { QuicError: QuicError.StreamAborted or QuicError.ConnectionAborted or QuicError.OperationAborted });

    /// <summary>The peer has closed, and the link has lost the word of it, which it does not repeat for ever.</summary>
    private static bool IsUnheardEnd(Exception e, Life life) =>
        life.IsOver && e is QuicException { QuicError: QuicError.ConnectionIdle };

    /// <summary>What a stream is to carry each way, as its first bytes tell the server.</summary>
    private sealed record Plan(long Seed, int Length, Deed PeersDeed, bool ToFinish)
    {
        public const int HeaderSize = 14;

        public static Plan FromHeader(ReadOnlySpan<byte> header) => new(
            BinaryPrimitives.ReadInt64LittleEndian(header),
            BinaryPrimitives.ReadInt32LittleEndian(header[8..]),
            (Deed)header[12],
            header[13] != 0);

        public byte[] ToHeader()
        {
            var header = new byte[HeaderSize];
            BinaryPrimitives.WriteInt64LittleEndian(header, Seed);
            BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(8), Length);
            header[12] = (byte)PeersDeed;
            header[13] = ToFinish ? (byte)1 : (byte)0;
            return header;
        }
    }

    /// <summary>Of a connection: set before anything ends it.</summary>
    private sealed class Life
    {
        private volatile bool _isOver;

        public bool IsOver
        {
            get => _isOver;
            set => _isOver = value;
        }
    }

    private sealed class Counts
    {
        public int Connections;
        public int Streams;
        public int Finished;
        public int Cut;

        public SemaphoreSlim Connecting { get; } = new(1);

        public override string ToString() => $"{Connections} connections, {Streams} streams, {Finished} finished, {Cut} cut";
    }
}
