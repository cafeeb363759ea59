using System.Buffers.Binary;
using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.RawQuic;

/// <summary>The other process: accepts one client after the other until its input ends.</summary>
internal static class RawServer
{
    /// <summary>Writes one line, "PORT SHA256-OF-THE-CERTIFICATE", and serves until <paramref name="input"/> ends.</summary>
    public static async Task RunAsync(TextReader input, TextWriter output)
    {
        using X509Certificate2 certificate = MakeCertificate();
        await using QuicListener listener = await QuicListener.ListenAsync(new QuicListenerOptions
        {
            ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            ApplicationProtocols = [Wire.Protocol],
            ConnectionOptionsCallback = (_, _, _) => ValueTask.FromResult(new QuicServerConnectionOptions
            {
                DefaultStreamErrorCode = 1,
                DefaultCloseErrorCode = 1,
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
        await Task.WhenAny(input.ReadToEndAsync(), serving);
    }

    private static async Task ServeAsync(QuicListener listener)
    {
        while (true)
        {
            await using QuicConnection connection = await listener.AcceptConnectionAsync();
            try
            {
                while (true)
                {
                    await using QuicStream stream = await connection.AcceptInboundStreamAsync();
                    var kind = new byte[1];
                    await stream.ReadExactlyAsync(kind);
                    await (kind[0] == Wire.Bulk ? ReadBulkAsync(stream) : EchoAsync(stream));
                }
            }
            catch (QuicException e) when (e.QuicError == QuicError.ConnectionAborted)
            {
                // The client is done.
            }
        }
    }

    private static async Task ReadBulkAsync(QuicStream stream)
    {
        var buffer = new byte[Wire.BulkSize];
        TimeSpan before = Wire.ProcessorTime();
        long bytes = 0;
        for (int read; (read = await stream.ReadAsync(buffer)) > 0;)
        {
            bytes += read;
        }

        var report = new byte[Wire.ReportSize];
        BinaryPrimitives.WriteInt64LittleEndian(report, bytes);
        BinaryPrimitives.WriteInt64LittleEndian(report.AsSpan(8), (Wire.ProcessorTime() - before).Ticks);
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

    private static X509Certificate2 MakeCertificate()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=localhost", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}
