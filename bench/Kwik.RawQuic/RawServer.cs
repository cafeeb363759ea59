using System.Buffers.Binary;
using System.Globalization;
using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.RawQuic;

/// <summary>The other process: serves all clients until its input ends, and answers each line of it with its memory.</summary>
internal static class RawServer
{
    /// <summary>
    /// Writes one line, "PORT SHA256-OF-THE-CERTIFICATE", serves until <paramref name="input"/> ends, and answers each line of
    /// it with its resident bytes.
    /// </summary>
    public static async Task RunAsync(TextReader input, TextWriter output)
    {
        using X509Certificate2 certificate = MakeCertificate();
        await using QuicListener listener = await QuicListener.ListenAsync(new QuicListenerOptions
        {
            ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            ApplicationProtocols = [Wire.Protocol],
            ListenBacklog = 1_000,
            ConnectionOptionsCallback = (_, _, _) => ValueTask.FromResult(new QuicServerConnectionOptions
            {
                DefaultStreamErrorCode = 1,
                DefaultCloseErrorCode = 1,
                MaxInboundBidirectionalStreams = Wire.MaxStreams,
                ServerAuthenticationOptions = new SslServerAuthenticationOptions
                {
                    ApplicationProtocols = [Wire.Protocol],
                    ServerCertificate = certificate,
                },
            }),
        });
        await output.WriteLineAsync($"{listener.LocalEndPoint.Port} {certificate.GetCertHashString(HashAlgorithmName.SHA256)}");
        await output.FlushAsync();

        Task serving = ServeAsync(listener);
        await Task.WhenAny(AnswerAsync(input, output), serving);
    }

    private static async Task AnswerAsync(TextReader input, TextWriter output)
    {
        while (await input.ReadLineAsync() is not null)
        {
            await output.WriteLineAsync(Wire.ResidentBytes().ToString(CultureInfo.InvariantCulture));
            await output.FlushAsync();
        }
    }

    private static async Task ServeAsync(QuicListener listener)
    {
        while (true)
        {
            _ = ServeAsync(await listener.AcceptConnectionAsync());
        }
    }

    private static async Task ServeAsync(QuicConnection connection)
    {
        await using (connection)
        {
            try
            {
                while (true)
                {
                    _ = ServeAsync(await connection.AcceptInboundStreamAsync());
                }
            }
            catch (QuicException e) when (e.QuicError == QuicError.ConnectionAborted)
            {
                // The client is done.
            }
        }
    }

    private static async Task ServeAsync(QuicStream stream)
    {
        await using (stream)
        {
            try
            {
                var kind = new byte[1];
                await stream.ReadExactlyAsync(kind);
                await (kind[0] switch
                {
                    Wire.Bulk => ReadBulkAsync(stream),
                    Wire.Request => AnswerRequestAsync(stream),
                    Wire.Idle => IdleAsync(stream),
                    _ => EchoAsync(stream),
                });
            }
            catch (Exception e) when (e is QuicException { QuicError: QuicError.ConnectionAborted or QuicError.StreamAborted } or EndOfStreamException)
            {
                // The client is done.
            }
        }
    }

    private static async Task ReadBulkAsync(QuicStream stream)
    {
        var buffer = new byte[Wire.BulkSize];
        long bytes = 0;
        for (int read; (read = await stream.ReadAsync(buffer)) > 0;)
        {
            bytes += read;
        }

        var report = new byte[Wire.ReportSize];
        BinaryPrimitives.WriteInt64LittleEndian(report, bytes);
        await stream.WriteAsync(report, completeWrites: true);
        await stream.WritesClosed;
    }

    private static async Task EchoAsync(QuicStream stream)
    {
        var buffer = new byte[Wire.EchoSize];
        for (int read; (read = await stream.ReadAsync(buffer)) > 0;)
        {
            await stream.WriteAsync(buffer.AsMemory(0, read));
        }

        stream.CompleteWrites();
    }

    private static async Task AnswerRequestAsync(QuicStream stream)
    {
        var buffer = new byte[Wire.EchoSize];
        while (await stream.ReadAsync(buffer) > 0)
        {
            // To the end of the request.
        }

        await stream.WriteAsync(buffer, completeWrites: true);
    }

    private static async Task IdleAsync(QuicStream stream)
    {
        var one = new byte[1];
        await stream.WriteAsync(one);
        if (await stream.ReadAsync(one) > 0)
        {
            throw new InvalidDataException("The stream was to be idle.");
        }
    }

    private static X509Certificate2 MakeCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}
