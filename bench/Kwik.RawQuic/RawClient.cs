using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography;

namespace Kwik.RawQuic;

/// <summary>The figures of one run; times in seconds, but the echoes' in microseconds.</summary>
internal sealed record Measurement(
    long Bytes,
    double Seconds,
    double ClientCpu,
    double ServerCpu,
    int Echoes,
    double EchoP50,
    double EchoP99);

/// <summary>The measuring side.</summary>
internal static class RawClient
{
    // Long enough for the compiler's second tier and for the congestion window.
    private static readonly Workload WarmUp = new(TimeSpan.FromSeconds(1), null, 1_000);

    /// <summary>Connects to the address line of a server, warms up, and measures once.</summary>
    public static async Task<Measurement> MeasureAsync(string address, Workload workload)
    {
        string[] parts = address.Split(' ');
        await using QuicConnection connection = await QuicConnection.ConnectAsync(new QuicClientConnectionOptions
        {
            RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, int.Parse(parts[0], CultureInfo.InvariantCulture)),
            DefaultStreamErrorCode = 1,
            DefaultCloseErrorCode = 0,
            ClientAuthenticationOptions = new SslClientAuthenticationOptions
            {
                ApplicationProtocols = [Wire.Protocol],
                TargetHost = "localhost",
                // Pinned: the server has told us its certificate over the pipe.
                RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                    certificate?.GetCertHashString(HashAlgorithmName.SHA256) == parts[1],
            },
        });
        await WriteBulkAsync(connection, WarmUp);
        Measurement measured = await WriteBulkAsync(connection, workload);
        await EchoAsync(connection, WarmUp.Echoes);
        double[] echoes = await EchoAsync(connection, workload.Echoes);
        await connection.CloseAsync(0);
        return measured with { Echoes = echoes.Length, EchoP50 = Percentile(echoes, 0.50), EchoP99 = Percentile(echoes, 0.99) };
    }

    /// <summary>From the first write until the server has read the last byte and said so.</summary>
    private static async Task<Measurement> WriteBulkAsync(QuicConnection connection, Workload workload)
    {
        await using QuicStream stream = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional);
        await stream.WriteAsync(new byte[] { Wire.Bulk });
        var chunk = new byte[Wire.BulkSize];
        Random.Shared.NextBytes(chunk);
        TimeSpan cpu = Wire.ProcessorTime();
        long start = Stopwatch.GetTimestamp();
        long sent = 0;
        while (workload.Bytes is long limit ? sent < limit : Stopwatch.GetElapsedTime(start) < workload.Duration)
        {
            int size = (int)Math.Min(chunk.Length, (workload.Bytes ?? long.MaxValue) - sent);
            await stream.WriteAsync(chunk.AsMemory(0, size));
            sent += size;
        }

        stream.CompleteWrites();
        var report = new byte[Wire.ReportSize];
        await stream.ReadExactlyAsync(report);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        long received = BinaryPrimitives.ReadInt64LittleEndian(report);
        if (received != sent)
        {
            throw new InvalidDataException($"{sent} bytes were sent, {received} were received.");
        }

        double serverCpu = TimeSpan.FromTicks(BinaryPrimitives.ReadInt64LittleEndian(report.AsSpan(8))).TotalSeconds;
        return new Measurement(sent, seconds, (Wire.ProcessorTime() - cpu).TotalSeconds, serverCpu, 0, 0, 0);
    }

    /// <summary>The round trip of every message, in microseconds, sorted.</summary>
    private static async Task<double[]> EchoAsync(QuicConnection connection, int count)
    {
        await using QuicStream stream = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional);
        await stream.WriteAsync(new byte[] { Wire.Echo });
        var message = new byte[Wire.EchoSize];
        var answer = new byte[Wire.EchoSize];
        var times = new double[count];
        for (int i = 0; i < count; i++)
        {
            long start = Stopwatch.GetTimestamp();
            await stream.WriteAsync(message);
            await stream.ReadExactlyAsync(answer);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        }

        stream.CompleteWrites();
        Array.Sort(times);
        return times;
    }

    private static double Percentile(double[] sorted, double share) =>
        sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))];
}
