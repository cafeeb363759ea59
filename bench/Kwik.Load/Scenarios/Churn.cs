using System.Diagnostics;
using Kwik.Data;
using Kwik.Relay;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Load.Scenarios;

/// <summary>
/// What sessions do, all at once: content fetched from three servers, of which one is cut off, loses datagrams or is well; a
/// download given up half-way; streams that are reset; messages sent back. Every byte is checked.
/// </summary>
internal static class Churn
{
    private const int Sessions = 4;
    private const int Resets = 100;
    private const int Echoes = 100;
    private const long Download = 4_000_000;

    private static readonly Random Faults = new(11);

    public static async Task<Figures> RunAsync(Rig rig, CancellationToken cancellationToken)
    {
        long start = Stopwatch.GetTimestamp();
        await Task.WhenAll(Enumerable.Range(0, Sessions).Select(_ => UseAsync(rig, cancellationToken)).Append(DisturbAsync(rig, cancellationToken)));
        rig.Replicas!.Heal();
        return new()
        {
            ["sessions"] = Sessions,
            ["fetched_bytes"] = Sessions * (double)Replicas.Length,
            ["seconds"] = Stopwatch.GetElapsedTime(start).TotalSeconds,
        };
    }

    private static async Task UseAsync(Rig rig, CancellationToken cancellationToken)
    {
        await using ClientSession session = await rig.ConnectAsync(cancellationToken);
        await Task.WhenAll(
            Service.DownloadAsync(session, Service.Offered, _ => false, cancellationToken),
            Service.DownloadAsync(session, Download, offset => offset >= Download / 2, cancellationToken),
            ResetAsync(),
            EchoAsync());

        async Task ResetAsync()
        {
            for (int i = 0; i < Resets; i++)
            {
                await using KwikStream stream = await Service.AskAsync(session, Download, cancellationToken);
                stream.Abort(KwikError.Cancelled);
            }
        }

        async Task EchoAsync()
        {
            for (int i = 0; i < Echoes; i++)
            {
                await Service.EchoAsync(session, 1024, cancellationToken);
            }
        }
    }

    private static async Task DisturbAsync(Rig rig, CancellationToken cancellationToken)
    {
        LinkOptions fault = Faults.Next(3) switch
        {
            0 => new() { BlackHole = true },
            1 => new() { Loss = 0.05, Reordering = 0.05, Delay = TimeSpan.FromMilliseconds(5) },
            _ => new(),
        };
        await Task.Delay(TimeSpan.FromMilliseconds(Faults.Next(100)), cancellationToken);
        rig.Replicas!.Set(Faults.Next(2), fault);
        await Task.Delay(TimeSpan.FromMilliseconds(500), cancellationToken);
        rig.Replicas.Heal();
    }
}
