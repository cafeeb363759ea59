using System.Collections.Concurrent;
using System.Diagnostics;
using Kwik.Sessions;

namespace Kwik.Load.Scenarios;

/// <summary>1,000 sessions at once: connected, a message sent back on each, all still there, and closed.</summary>
internal static class ManySessions
{
    private const int Sessions = 1000;
    private const int MessageSize = 1024;
    private const int InFlight = 32;

    public static async Task<Figures> RunAsync(Rig rig, CancellationToken cancellationToken)
    {
        long before = MemoryUse.Now();
        var sessions = new ConcurrentBag<ClientSession>();
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = InFlight, CancellationToken = cancellationToken };
        try
        {
            long start = Stopwatch.GetTimestamp();
            await Parallel.ForEachAsync(
                Enumerable.Range(0, Sessions), parallel, async (_, token) => sessions.Add(await rig.ConnectAsync(token)));
            double connected = Stopwatch.GetElapsedTime(start).TotalSeconds;

            start = Stopwatch.GetTimestamp();
            await Parallel.ForEachAsync(sessions, parallel, async (session, token) => await Service.EchoAsync(session, MessageSize, token));
            double echoed = Stopwatch.GetElapsedTime(start).TotalSeconds;
            long open = MemoryUse.Now();
            return new()
            {
                ["sessions"] = sessions.Count,
                ["connects_per_second"] = Sessions / connected,
                ["echoes_per_second"] = Sessions / echoed,
                ["resident_bytes_per_session_both_ends"] = (double)(open - before) / Sessions,
            };
        }
        finally
        {
            await Parallel.ForEachAsync(sessions, CancellationToken.None, async (session, _) => await session.DisposeAsync());
        }
    }
}
