using System.Diagnostics;
using System.Net.Quic;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Benchmarks;

/// <summary>
/// What two decisions cost on System.Net.Quic itself, on loopback in one process: a stream for each range of 1 MiB (ADR 10),
/// and a frame in the same write as its payload (ADR 11). The ways take turns; medians of all rounds.
/// </summary>
internal static class StreamCost
{
    private const int WriteSize = 64 * 1024;
    private const int RangeSize = 1024 * 1024;
    private const int RoundSize = 64 * RangeSize;
    private const int Rounds = 15;
    private const int Opens = 2000;

    // A header and an open frame; a data frame.
    private static readonly byte[] Head = new byte[32];
    private static readonly byte[] Frame = new byte[12];
    private static readonly byte[] Payload = new byte[WriteSize];

    public static async Task<int> RunAsync(bool json)
    {
        QuicProvider.EnsureLoaded();
        using X509Certificate2 certificate = KwikCertificate.CreateSelfSigned(["localhost"], TimeSpan.FromDays(1), DateTimeOffset.UtcNow);
        await using QuicListener listener = await PlainQuic.ListenAsync(certificate);
        Task<QuicConnection> accepting = listener.AcceptConnectionAsync().AsTask();
        await using QuicConnection sender = await PlainQuic.ConnectAsync(listener.LocalEndPoint, KeyHash.OfCertificate(certificate));
        await using QuicConnection receiver = await accepting;
        Task draining = DrainAsync(receiver);

        (double open, double acknowledged) = await OpenAsync(sender);
        double write = await WriteSmallAsync(sender);
        Func<Task>[] ways =
        [
            () => SendAsync(sender, RoundSize, separateFrames: false),
            () => SendAsync(sender, RangeSize, separateFrames: false),
            () => SendAsync(sender, RoundSize, separateFrames: true),
        ];
        double[] rates = await CompareAsync(ways);
        var result = new
        {
            open_us = Math.Round(open, 1),
            open_to_acknowledged_us = Math.Round(acknowledged, 1),
            small_write_us = Math.Round(write, 1),
            one_stream_bits_per_second = Math.Round(rates[0]),
            stream_per_range_bits_per_second = Math.Round(rates[1]),
            separate_frames_bits_per_second = Math.Round(rates[2]),
            stream_per_range_ratio = Math.Round(rates[1] / rates[0], 3),
            separate_frames_ratio = Math.Round(rates[2] / rates[0], 3),
        };
        Console.WriteLine(json ? JsonSerializer.Serialize(result) : $"""
            open a stream, write {Head.Length} bytes, end it   {result.open_us,7:0.0} us, acknowledged after {result.open_to_acknowledged_us:0.0} us
            write {Head.Length} bytes on an open stream        {result.small_write_us,7:0.0} us
            one stream                             {rates[0] / 1e9,7:0.00} Gbit/s
            a stream for each MiB                  {rates[1] / 1e9,7:0.00} Gbit/s, {result.stream_per_range_ratio:0.000} of it
            one stream, frames written apart       {rates[2] / 1e9,7:0.00} Gbit/s, {result.separate_frames_ratio:0.000} of it
            """);
        await sender.CloseAsync(0);
        await draining;
        return 0;
    }

    private static async Task DrainAsync(QuicConnection receiver)
    {
        var reading = new List<Task>();
        try
        {
            while (true)
            {
                QuicStream stream = await receiver.AcceptInboundStreamAsync();
                reading.RemoveAll(task => task.IsCompletedSuccessfully);
                reading.Add(Task.Run(() => DrainAsync(stream)));
            }
        }
        catch (QuicException e) when (e.QuicError == QuicError.ConnectionAborted)
        {
            // The sender is done, and so is every stream.
        }

        await Task.WhenAll(reading);
    }

    private static async Task DrainAsync(QuicStream stream)
    {
        await using (stream)
        {
            var buffer = new byte[WriteSize];
            while (await stream.ReadAsync(buffer) > 0)
            {
            }
        }
    }

    /// <summary>Microseconds until the calls return, and until the peer has all of it.</summary>
    private static async Task<(double Open, double Acknowledged)> OpenAsync(QuicConnection sender)
    {
        var opened = new double[Opens];
        var acknowledged = new double[Opens];
        for (int i = 0; i < Opens; i++)
        {
            long start = Stopwatch.GetTimestamp();
            await using QuicStream stream = await sender.OpenOutboundStreamAsync(QuicStreamType.Unidirectional);
            await stream.WriteAsync(Head, completeWrites: true);
            opened[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
            await stream.WritesClosed;
            acknowledged[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        return (Median(opened), Median(acknowledged));
    }

    private static async Task<double> WriteSmallAsync(QuicConnection sender)
    {
        await using QuicStream stream = await sender.OpenOutboundStreamAsync(QuicStreamType.Unidirectional);
        var times = new double[Opens];
        for (int i = 0; i < Opens; i++)
        {
            long start = Stopwatch.GetTimestamp();
            await stream.WriteAsync(Head);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        stream.CompleteWrites();
        await stream.WritesClosed;
        return Median(times);
    }

    /// <summary>Sends one round, <paramref name="streamSize"/> bytes on each stream; a stream begins before the last one is acknowledged.</summary>
    private static async Task SendAsync(QuicConnection sender, int streamSize, bool separateFrames)
    {
        var closing = new List<Task>();
        for (int sent = 0; sent < RoundSize; sent += streamSize)
        {
            QuicStream stream = await sender.OpenOutboundStreamAsync(QuicStreamType.Unidirectional);
            for (int written = 0; written < streamSize; written += WriteSize)
            {
                if (separateFrames)
                {
                    await stream.WriteAsync(Frame);
                }

                await stream.WriteAsync(Payload);
            }

            stream.CompleteWrites();
            closing.Add(CloseAsync(stream));
        }

        await Task.WhenAll(closing);
    }

    private static async Task CloseAsync(QuicStream stream)
    {
        await stream.WritesClosed;
        await stream.DisposeAsync();
    }

    /// <summary>Bits a second of each way.</summary>
    private static async Task<double[]> CompareAsync(Func<Task>[] ways)
    {
        var rates = new double[ways.Length][];
        for (int way = 0; way < ways.Length; way++)
        {
            rates[way] = new double[Rounds];
            await ways[way]();
        }

        for (int round = 0; round < Rounds; round++)
        {
            for (int way = 0; way < ways.Length; way++)
            {
                long start = Stopwatch.GetTimestamp();
                await ways[way]();
                rates[way][round] = 8.0 * RoundSize / Stopwatch.GetElapsedTime(start).TotalSeconds;
            }
        }

        return [.. rates.Select(Median)];
    }

    private static double Median(double[] values) => values.Order().ElementAt(values.Length / 2);
}
