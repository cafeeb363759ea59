using System.Diagnostics;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Load.Scenarios;

/// <summary>50 downloads on one session, of which 25 are never read: what the others get, and what the unread ones hold.</summary>
internal static class SlowReaders
{
    private const int Stopped = 25;
    private const int Reading = 25;
    private const long Bytes = 20_000_000;

    public static async Task<Figures> RunAsync(Rig rig, CancellationToken cancellationToken)
    {
        long before = MemoryUse.Now();
        await using ClientSession session = await rig.ConnectAsync(cancellationToken);
        var unread = new List<KwikStream>();
        for (int i = 0; i < Stopped; i++)
        {
            unread.Add(await Service.AskAsync(session, Bytes, cancellationToken));
        }

        long start = Stopwatch.GetTimestamp();
        await Parallel.ForEachAsync(
            Enumerable.Range(0, Reading),
            new ParallelOptions { MaxDegreeOfParallelism = Reading, CancellationToken = cancellationToken },
            async (_, token) => await Service.DownloadAsync(session, Bytes, _ => false, token));
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        var figures = new Figures
        {
            ["unread_streams"] = Stopped,
            ["read_streams"] = Reading,
            ["read_bits_per_second"] = Reading * Bytes * 8 / seconds,
            ["pending_bytes"] = session.PendingBytes,
            ["resident_bytes_both_ends"] = MemoryUse.Now() - before,
        };
        foreach (KwikStream stream in unread)
        {
            await stream.DisposeAsync();
        }

        return figures;
    }
}
