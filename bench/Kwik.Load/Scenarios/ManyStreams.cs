using System.Diagnostics;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Load.Scenarios;

/// <summary>10,000 public streams of one session at once: opened, a message sent back on each, all still open, and closed.</summary>
internal static class ManyStreams
{
    private const int Streams = Rig.MaxStreams;
    private const int MessageSize = 64;
    private const int InFlight = 64;

    public static async Task<Figures> RunAsync(Rig rig, CancellationToken cancellationToken)
    {
        long before = MemoryUse.Now();
        await using ClientSession session = await rig.ConnectAsync(cancellationToken);
        var streams = new KwikStream[Streams];
        long start = Stopwatch.GetTimestamp();
        await EachAsync(async (i, token) =>
        {
            streams[i] = await Service.AskAsync(session, 0, token);
            await Service.EchoAsync(streams[i], MessageSize, token);
        });
        double opened = Stopwatch.GetElapsedTime(start).TotalSeconds;
        long open = MemoryUse.Now();

        // All of them work while all of them are open.
        start = Stopwatch.GetTimestamp();
        await EachAsync(async (i, token) => await Service.EchoAsync(streams[i], MessageSize, token));
        double echoed = Stopwatch.GetElapsedTime(start).TotalSeconds;

        start = Stopwatch.GetTimestamp();
        await EachAsync(async (i, token) =>
        {
            await Service.EndAsync(streams[i], token);
            await streams[i].DisposeAsync();
        });
        double closed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new()
        {
            ["streams"] = Streams,
            ["opened_per_second"] = Streams / opened,
            ["echoes_per_second"] = Streams / echoed,
            ["closed_per_second"] = Streams / closed,
            ["resident_bytes_per_stream_both_ends"] = (double)(open - before) / Streams,
        };

        Task EachAsync(Func<int, CancellationToken, ValueTask> body) => Parallel.ForEachAsync(
            Enumerable.Range(0, Streams), new ParallelOptions { MaxDegreeOfParallelism = InFlight, CancellationToken = cancellationToken }, body);
    }
}
