using System.Diagnostics;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Load.Scenarios;

/// <summary>
/// One client opens 100,000 streams and gives each up at once, half of them after a request, while another has small messages
/// sent back: how long that one waits.
/// </summary>
internal static class ResetFlood
{
    private const int Streams = 100_000;
    private const int MessageSize = 64;
    private const int InFlight = 16;

    public static async Task<Figures> RunAsync(Rig rig, CancellationToken cancellationToken)
    {
        await using ClientSession honest = await rig.ConnectAsync(cancellationToken);
        var waits = new List<double>();
        using var over = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task serving = EchoUntilAsync(honest, waits, over.Token);

        long start = Stopwatch.GetTimestamp();
        int done = 0;
        int sessions = 0;
        while (done < Streams)
        {
            // The server puts an end to a session that asks for more than its limits; the flood comes back.
            await using ClientSession flood = await rig.ConnectAsync(cancellationToken);
            sessions++;
            done += await FloodAsync(flood, Streams - done, cancellationToken);
        }

        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        await over.CancelAsync();
        await serving;
        return new()
        {
            ["streams"] = Streams,
            ["sessions_that_were_ended"] = sessions - 1,
            ["resets_per_second"] = Streams / seconds,
            ["honest_echoes"] = waits.Count,
            ["honest_p50_ms"] = Figures.Percentile(waits, 0.50),
            ["honest_p99_ms"] = Figures.Percentile(waits, 0.99),
        };
    }

    /// <summary>How many streams the server let it open and reset.</summary>
    private static async Task<int> FloodAsync(ClientSession flood, int streams, CancellationToken cancellationToken)
    {
        int next = 0;
        int done = 0;
        await Task.WhenAll(Enumerable.Range(0, InFlight).Select(_ => OpenAndResetAsync()));
        return done;

        async Task OpenAndResetAsync()
        {
            try
            {
                for (int i; (i = Interlocked.Increment(ref next)) <= streams;)
                {
                    await using KwikStream stream = i % 2 == 0
                        ? await flood.OpenStreamSync(cancellationToken)
                        : await Service.AskAsync(flood, 1_000_000, cancellationToken);
                    stream.Abort(KwikError.Cancelled);
                    Interlocked.Increment(ref done);
                }
            }
            catch (KwikException)
            {
                // Ended, as it should be.
            }
        }
    }

    private static async Task EchoUntilAsync(ClientSession session, List<double> waits, CancellationToken over)
    {
        await using KwikStream stream = await Service.AskAsync(session, 0, CancellationToken.None);
        while (!over.IsCancellationRequested)
        {
            long start = Stopwatch.GetTimestamp();
            await Service.EchoAsync(stream, MessageSize, CancellationToken.None);
            waits.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }

        await Service.EndAsync(stream, CancellationToken.None);
    }
}
