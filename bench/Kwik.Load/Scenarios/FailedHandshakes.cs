using System.Diagnostics;
using System.Net.Sockets;
using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Load.Scenarios;

/// <summary>
/// 1,000 handshakes that come to nothing, because the client does not know the server's key, among 10,000 datagrams that are no
/// QUIC; then one that must succeed.
/// </summary>
internal static class FailedHandshakes
{
    private const int Handshakes = 1000;
    private const int Datagrams = 10_000;
    private const int InFlight = 16;

    public static async Task<Figures> RunAsync(Rig rig, CancellationToken cancellationToken)
    {
        var wrong = new KwikClientOptions { Primary = rig.Listener.LocalEndPoint, Pins = [KeyHash.Parse($"sha256/{new string('A', 43)}=")] };
        int failed = 0;
        long start = Stopwatch.GetTimestamp();
        Task noise = Task.Run(() => SendNoise(rig), cancellationToken);
        await Parallel.ForEachAsync(
            Enumerable.Range(0, Handshakes),
            new ParallelOptions { MaxDegreeOfParallelism = InFlight, CancellationToken = cancellationToken },
            async (_, token) =>
            {
                try
                {
                    await using ClientSession session = await KwikClient.ConnectAsync(wrong, token);
                }
                catch (KwikException)
                {
                    Interlocked.Increment(ref failed);
                }
            });
        await noise;
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        if (failed != Handshakes)
        {
            throw new InvalidDataException($"{Handshakes - failed} clients accepted a server that they do not know.");
        }

        start = Stopwatch.GetTimestamp();
        await using ClientSession good = await rig.ConnectAsync(cancellationToken);
        await Service.EchoAsync(good, 64, cancellationToken);
        return new()
        {
            ["handshakes"] = failed,
            ["handshakes_per_second"] = Handshakes / seconds,
            ["next_connect_and_echo_ms"] = Stopwatch.GetElapsedTime(start).TotalMilliseconds,
        };
    }

    private static void SendNoise(Rig rig)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        var random = new Random(7);
        var datagram = new byte[1200];
        for (int i = 0; i < Datagrams; i++)
        {
            random.NextBytes(datagram);
            socket.SendTo(datagram.AsSpan(0, random.Next(1, datagram.Length)), rig.Listener.LocalEndPoint);
        }
    }
}
