using System.Net;
using System.Net.Quic;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>
/// The other process: any number of streams on each connection; what comes on one, up to 1 KiB, goes back when the client
/// has ended its writing. Over plain System.Net.Quic on one port and over Kwik on another.
/// </summary>
internal static class OpenServer
{
    public const int MaxStreams = 10_000;

    /// <summary>Serves clients, and says for each line of <paramref name="input"/> what memory it has, until that ends.</summary>
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
            MaxPublicStreams = MaxStreams,
        });
        await output.WriteLineAsync($"{plain.LocalEndPoint.Port} {kwik.LocalEndPoint.Port} {kwik.Pin}");
        await output.FlushAsync();
        // The console's reader blocks, also where it says that it does not.
        Task ended = Task.Run(() =>
        {
            while (input.ReadLine() is not null)
            {
                output.WriteLine(Memory.Measure());
                output.Flush();
            }
        });
        Task first = await Task.WhenAny(ended, ServePlainAsync(plain), ServeKwikAsync(kwik));
        await first;
        return 0;
    }

    private static async Task ServePlainAsync(QuicListener listener)
    {
        while (true)
        {
            _ = ServeAsync(await listener.AcceptConnectionAsync());
        }
    }

    private static async Task ServeKwikAsync(KwikListener listener)
    {
        while (true)
        {
            _ = ServeAsync((PrimarySession)await listener.AcceptSessionAsync());
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
                    _ = EchoAsync(await connection.AcceptInboundStreamAsync());
                }
            }
            catch (QuicException)
            {
                // The client is done.
            }
        }
    }

    private static async Task ServeAsync(PrimarySession session)
    {
        await using (session)
        {
            try
            {
                while (true)
                {
                    _ = EchoAsync(await session.AcceptStream());
                }
            }
            catch (KwikException)
            {
                // The client is done.
            }
        }
    }

    private static async Task EchoAsync(QuicStream stream)
    {
        await using (stream)
        {
            var buffer = new byte[OpenRate.MessageSize + 1];
            await stream.WriteAsync(buffer.AsMemory(0, await ReadAllAsync(stream, buffer)), completeWrites: true);
        }
    }

    private static async Task EchoAsync(KwikStream stream)
    {
        await using (stream)
        {
            var buffer = new byte[OpenRate.MessageSize + 1];
            await stream.WriteAsync(buffer.AsMemory(0, await ReadAllAsync(stream, buffer)));
            stream.CompleteWrites();
        }
    }

    private static async Task<int> ReadAllAsync(Stream stream, byte[] buffer)
    {
        int have = 0;
        try
        {
            // To the end: who closes a stream before that breaks off what the client is still saying.
            for (int read; (read = await stream.ReadAsync(buffer.AsMemory(have))) > 0;)
            {
                have += read;
            }
        }
        catch (IOException)
        {
            // The client is done, and this stream with it.
        }

        return have;
    }
}
