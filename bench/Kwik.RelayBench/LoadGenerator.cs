using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace Kwik.RelayBench;

/// <summary>What to send: <paramref name="Share"/> times the rate of the link.</summary>
internal sealed record LinkLoad(long BitsPerSecond, double Share, TimeSpan Delay, TimeSpan Duration)
{
    public string[] Format() =>
        [.. new[] { BitsPerSecond, Share, Delay.TotalSeconds, Duration.TotalSeconds }
            .Select(x => x.ToString(CultureInfo.InvariantCulture))];

    public static LinkLoad Parse(string[] args)
    {
        double[] x = [.. args.Select(arg => double.Parse(arg, CultureInfo.InvariantCulture))];
        return new((long)x[0], x[1], TimeSpan.FromSeconds(x[2]), TimeSpan.FromSeconds(x[3]));
    }
}

/// <summary>What arrived in the measured time; delays in microseconds beyond an ideal link's.</summary>
internal sealed record LoadReport(long Sent, long Received, double BitsPerSecond, double AddedDelayP50, double AddedDelayP99);

/// <summary>Both ends of a link that is measured.</summary>
internal static class LoadGenerator
{
    public const string Verb = "generate";

    private const int DatagramBytes = 1200;

    private static readonly TimeSpan WarmUp = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Prints the port it receives on, reads the one to send to, prints a line when it starts to measure and a report at
    /// the end.
    /// </summary>
    public static void Run(LinkLoad load)
    {
        using var receiver = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        receiver.ReceiveBufferSize = 4 << 20;
        receiver.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        using var sender = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        Console.WriteLine(((IPEndPoint)receiver.LocalEndPoint!).Port);
        sender.Connect(IPAddress.Loopback, int.Parse(Console.ReadLine()!, CultureInfo.InvariantCulture));

        long start = Stopwatch.GetTimestamp();
        long from = start + Ticks(WarmUp);
        long to = from + Ticks(load.Duration);
        var sending = new Thread(() => Send(sender, load, start, to));
        sending.Start();

        // What is sent in the measured time but arrives after it still counts for delay and loss, not for the rate.
        receiver.ReceiveTimeout = 500 + (int)load.Delay.TotalMilliseconds;
        var added = new List<long>();
        byte[] datagram = new byte[DatagramBytes];
        long received = 0, inTime = 0, sent = 0;
        bool measuring = false;
        while (TryReceive(receiver, datagram))
        {
            long now = Stopwatch.GetTimestamp();
            if (!measuring && now >= from)
            {
                measuring = true;
                Console.WriteLine("measuring");
            }

            inTime += now >= from && now < to ? 1 : 0;
            received++;
            sent = Math.Max(sent, BinaryPrimitives.ReadInt64LittleEndian(datagram.AsSpan(8)));
            if (now >= from)
            {
                added.Add(now - BinaryPrimitives.ReadInt64LittleEndian(datagram));
            }
        }

        sending.Join();
        added.Sort();
        double bitsPerSecond = inTime * DatagramBytes * 8 / load.Duration.TotalSeconds;
        var report = new LoadReport(sent, received, bitsPerSecond, Percentile(added, 0.5), Percentile(added, 0.99));
        Console.WriteLine(JsonSerializer.Serialize(report));
    }

    /// <summary>
    /// Sends what is due each millisecond. Each datagram carries when an ideal link would deliver it, and its number.
    /// </summary>
    private static void Send(Socket sender, LinkLoad load, long start, long end)
    {
        double ticksPerDatagram = DatagramBytes * 8.0 * Stopwatch.Frequency / load.BitsPerSecond;
        double freeAt = 0;
        long sent = 0;
        byte[] datagram = new byte[DatagramBytes];
        using var never = new ManualResetEvent(false);
        for (long now = start; now < end; now = Stopwatch.GetTimestamp())
        {
            for (long due = (long)((now - start) * load.Share / ticksPerDatagram); sent < due;)
            {
                freeAt = Math.Max(freeAt, Stopwatch.GetTimestamp()) + ticksPerDatagram;
                BinaryPrimitives.WriteInt64LittleEndian(datagram, (long)freeAt + Ticks(load.Delay));
                BinaryPrimitives.WriteInt64LittleEndian(datagram.AsSpan(8), ++sent);
                sender.Send(datagram);
            }

            never.WaitOne(1);
        }
    }

    private static bool TryReceive(Socket receiver, byte[] datagram)
    {
        receiver.Receive(datagram, SocketFlags.None, out SocketError error);
        return error == SocketError.Success;
    }

    private static long Ticks(TimeSpan time) => (long)(time.TotalSeconds * Stopwatch.Frequency);

    private static double Percentile(List<long> sorted, double share) =>
        sorted.Count == 0 ? double.NaN : Math.Round(sorted[(int)((sorted.Count - 1) * share)] * 1e6 / Stopwatch.Frequency, 1);
}
