using System.Diagnostics;
using Kwik.Cli.Bench.Peers;
using Kwik.Cli.Output;
using Kwik.Cli.Staging;
using Kwik.Sessions;

namespace Kwik.Cli.Bench;

/// <summary>
/// What Kwik adds to the round trip of a small message: to another process and back, straight over loopback, on a plain stream
/// and on a public one.
/// </summary>
/// <remarks>
/// On loopback it depends on the processors that four threads happen to run on whether a round trip takes 35 us or 70, for a whole
/// connection at a time. So each pair of connections is used for a few rounds only, in which the two take turns; what is added is
/// the median over all rounds of the difference between the two.
/// </remarks>
internal static class LatencyBench
{
    /// <summary>Most that the median may grow by, in microseconds.</summary>
    public const double P50Bar = 30;

    /// <summary>Most that the 99th percentile may grow by, in microseconds.</summary>
    public const double P99Bar = 300;

    private const int WarmUpPairs = 4;
    private const int RoundsPerPair = 4;

    /// <summary>Measures.</summary>
    /// <param name="pairs">Pairs of connections.</param>
    /// <param name="echoes">Messages on each connection in each round.</param>
    /// <param name="say">Tells people how far it is.</param>
    /// <param name="cancellationToken">Gives it up.</param>
    public static async Task<LatencyJson> RunAsync(int pairs, int echoes, Action<string> say, CancellationToken cancellationToken)
    {
        QuicLibrary library = QuicProvider.EnsureLoaded();
        say("starting the servers");
        await using ServerProcess plain = await ServerProcess.StartAsync(["bench", "server", "plain"], cancellationToken);
        await using ServerProcess kwik = await ServerProcess.StartAsync(["bench", "server", "kwik"], cancellationToken);
        say("warming up");
        var rounds = new List<Round>();
        for (int pair = 0; pair < WarmUpPairs; pair++)
        {
            await MeasureAsync(plain, kwik, pair, echoes, cancellationToken);
        }

        for (int pair = 0; pair < pairs; pair++)
        {
            say($"connections {pair + 1} of {pairs}");
            rounds.AddRange(await MeasureAsync(plain, kwik, pair, echoes, cancellationToken));
        }

        return Report(library, rounds);
    }

    private static async Task<List<Round>> MeasureAsync(
        ServerProcess plainServer, ServerProcess kwikServer, int pair, int echoes, CancellationToken cancellationToken)
    {
        // The library gives connections to its threads in turn: neither kind shall always be the first.
        bool plainFirst = pair % 2 == 0;
        IPeerConnection? early = plainFirst ? await ConnectAsync(PeerKind.Plain, plainServer) : null;
        await using IPeerConnection kwik = await ConnectAsync(PeerKind.Kwik, kwikServer);
        await using IPeerConnection plain = early ?? await ConnectAsync(PeerKind.Plain, plainServer);
        await using Stream plainStream = await PeerProtocol.AskAsync(plain, PeerProtocol.Echo, cancellationToken);
        await using Stream kwikStream = await PeerProtocol.AskAsync(kwik, PeerProtocol.Echo, cancellationToken);
        var rounds = new List<Round>();
        for (int i = 0; i <= RoundsPerPair; i++)
        {
            var round = new Round(
                await EchoAsync(plainStream, echoes, cancellationToken), await EchoAsync(kwikStream, echoes, cancellationToken));
            if (i > 0)
            {
                rounds.Add(round);
            }
        }

        plain.CompleteWrites(plainStream);
        kwik.CompleteWrites(kwikStream);
        await PeerProtocol.ReadEndAsync(plainStream, cancellationToken);
        await PeerProtocol.ReadEndAsync(kwikStream, cancellationToken);
        return rounds;

        Task<IPeerConnection> ConnectAsync(PeerKind kind, ServerProcess server) =>
            PeerConnection.ConnectAsync(kind, server.EndPoint, server.Pin, cancellationToken);
    }

    /// <summary>The round trip of every message, in microseconds, in the order of their length.</summary>
    /// <exception cref="InvalidDataException">What comes back is not what was sent.</exception>
    public static async Task<double[]> EchoAsync(Stream stream, int count, CancellationToken cancellationToken)
    {
        var message = new byte[PeerProtocol.MessageSize];
        var answer = new byte[PeerProtocol.MessageSize];
        Random.Shared.NextBytes(message);
        var times = new double[count];
        for (int i = 0; i < count; i++)
        {
            message[0] = (byte)i;
            long start = Stopwatch.GetTimestamp();
            await stream.WriteAsync(message, cancellationToken);
            await stream.ReadExactlyAsync(answer, cancellationToken);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            if (!answer.AsSpan().SequenceEqual(message))
            {
                throw new InvalidDataException("The echo is not what was sent.");
            }
        }

        Array.Sort(times);
        return times;
    }

    private static LatencyJson Report(QuicLibrary library, List<Round> rounds)
    {
        double addedP50 = Added(0.50);
        double addedP99 = Added(0.99);
        return new(
            LibraryJson.From(library),
            rounds.Sum(round => round.Plain.Length),
            Of(round => round.Plain, 0.50),
            Of(round => round.Plain, 0.99),
            Of(round => round.Kwik, 0.50),
            Of(round => round.Kwik, 0.99),
            addedP50,
            P50Bar,
            addedP99,
            P99Bar,
            addedP50 <= P50Bar && addedP99 <= P99Bar);

        double Of(Func<Round, double[]> kind, double share) => Math.Round(Figures.Percentile(rounds.SelectMany(kind), share) ?? 0, 1);

        double Added(double share) => Math.Round(
            Figures.Median(rounds.Select(round => Figures.Percentile(round.Kwik, share)!.Value - Figures.Percentile(round.Plain, share)!.Value)), 1);
    }

    /// <summary>Round trips in microseconds.</summary>
    private sealed record Round(double[] Plain, double[] Kwik);
}
