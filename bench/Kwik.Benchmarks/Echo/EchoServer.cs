using System.Net;
using System.Net.Quic;
using System.Security.Cryptography.X509Certificates;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>The other process: sends back what comes, over plain System.Net.Quic on one port and over Kwik on another.</summary>
internal static class EchoServer
{
    /// <summary>Writes one line, "PLAIN-PORT KWIK-PORT PIN", and serves clients until <paramref name="input"/> ends.</summary>
    public static async Task<int> RunAsync(TextReader input, TextWriter output)
    {
        QuicProvider.EnsureLoaded();
        using X509Certificate2 certificate = KwikCertificate.CreateSelfSigned(["localhost"], TimeSpan.FromDays(1), DateTimeOffset.UtcNow);
        await using QuicListener plain = await PlainQuic.ListenAsync(certificate);
        await using KwikListener kwik = await KwikListener.ListenAsync(new KwikListenerOptions
        {
            Role = ServerRole.Primary,
            ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            Certificate = certificate,
        });
        await output.WriteLineAsync($"{plain.LocalEndPoint.Port} {kwik.LocalEndPoint.Port} {kwik.Pin}");
        await output.FlushAsync();
        // The console's reader blocks, also where it says that it does not.
        Task ended = Task.Run(input.ReadToEnd);
        Task first = await Task.WhenAny(ended, ServePlainAsync(plain), ServeKwikAsync(kwik));
        await first;
        return 0;
    }

    private static async Task ServePlainAsync(QuicListener listener)
    {
        while (true)
        {
            await using QuicConnection connection = await listener.AcceptConnectionAsync();
            await using QuicStream stream = await connection.AcceptInboundStreamAsync();
            await EchoAsync(stream);
            stream.CompleteWrites();
            await stream.WritesClosed;
        }
    }

    private static async Task ServeKwikAsync(KwikListener listener)
    {
        while (true)
        {
            await using var session = (PrimarySession)await listener.AcceptSessionAsync();
            await using KwikStream stream = await session.AcceptStream();
            await EchoAsync(stream);
            stream.CompleteWrites();
            await stream.WritesClosed;
        }
    }

    private static async Task EchoAsync(Stream stream)
    {
        var buffer = new byte[EchoLatency.MessageSize];
        for (int read; (read = await stream.ReadAsync(buffer)) > 0;)
        {
            await stream.WriteAsync(buffer.AsMemory(0, read));
        }
    }
}
