using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography;

namespace Kwik.RawQuic;

/// <summary>The measuring side: one stream, and the connection for everything else.</summary>
internal static class RawClient
{
    /// <summary>Connects to the address line of a server.</summary>
    public static ValueTask<QuicConnection> ConnectAsync(string address)
    {
        string[] parts = address.Split(' ');
        return QuicConnection.ConnectAsync(new QuicClientConnectionOptions
        {
            RemoteEndPoint = new IPEndPoint(IPAddress.Loopback, int.Parse(parts[0], CultureInfo.InvariantCulture)),
            DefaultStreamErrorCode = 1,
            DefaultCloseErrorCode = 0,
            // Memory is asked for connections that are idle for longer than the default.
            IdleTimeout = TimeSpan.FromMinutes(5),
            ClientAuthenticationOptions = new SslClientAuthenticationOptions
            {
                ApplicationProtocols = [Wire.Protocol],
                TargetHost = "localhost",
                // Pinned: the server has told us its certificate over the pipe.
                RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                    certificate?.GetCertHashString(HashAlgorithmName.SHA256) == parts[1],
            },
        });
    }

    /// <summary>Writes for a time, and then waits until the server has read the last byte and said so. Returns the bytes.</summary>
    public static async Task<long> WriteBulkAsync(QuicConnection connection, TimeSpan duration)
    {
        await using QuicStream stream = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional);
        await stream.WriteAsync(new byte[] { Wire.Bulk });
        var chunk = new byte[Wire.BulkSize];
        Random.Shared.NextBytes(chunk);
        long start = Stopwatch.GetTimestamp();
        long sent = 0;
        while (Stopwatch.GetElapsedTime(start) < duration)
        {
            await stream.WriteAsync(chunk);
            sent += chunk.Length;
        }

        stream.CompleteWrites();
        var report = new byte[Wire.ReportSize];
        await stream.ReadExactlyAsync(report);
        long received = BinaryPrimitives.ReadInt64LittleEndian(report);
        return received == sent ? sent : throw new InvalidDataException($"{sent} bytes were sent, {received} were received.");
    }

    /// <summary>Requests of 100 bytes, each on a stream of its own, so many at a time. Returns how many were answered.</summary>
    public static async Task<long> RequestAsync(QuicConnection connection, int atOnce, TimeSpan duration)
    {
        long start = Stopwatch.GetTimestamp();
        long[] answered = await Task.WhenAll(Enumerable.Range(0, atOnce).Select(async _ =>
        {
            var request = new byte[100];
            request[0] = Wire.Request;
            var answer = new byte[Wire.EchoSize];
            long count = 0;
            for (; Stopwatch.GetElapsedTime(start) < duration; count++)
            {
                await using QuicStream stream = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional);
                await stream.WriteAsync(request, completeWrites: true);
                await stream.ReadExactlyAsync(answer);
                if (await stream.ReadAsync(request) != 0)
                {
                    throw new InvalidDataException("An answer is too long.");
                }
            }

            return count;
        }));
        return answered.Sum();
    }

    /// <summary>The round trip of every message, in microseconds, sorted.</summary>
    public static async Task<double[]> EchoAsync(QuicConnection connection, int count)
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

    /// <summary>Opens a stream on which nothing more happens, once the server has it too.</summary>
    public static async Task<QuicStream> OpenIdleAsync(QuicConnection connection)
    {
        QuicStream stream = await connection.OpenOutboundStreamAsync(QuicStreamType.Bidirectional);
        await stream.WriteAsync(new byte[] { Wire.Idle });
        await stream.ReadExactlyAsync(new byte[1]);
        return stream;
    }
}
