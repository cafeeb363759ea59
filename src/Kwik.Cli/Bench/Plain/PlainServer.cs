using System.Buffers.Binary;
using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Kwik.Cli.Bench.Plain;

/// <summary>
/// System.Net.Quic without Kwik. A client's stream asks with 8 bytes, a length, big-endian; so many bytes are the answer, on a
/// one-way stream of the server's. One client after the other.
/// </summary>
internal sealed class PlainServer : IAsyncDisposable
{
    /// <summary>As Kwik's frames are, so that neither pays for shorter writes.</summary>
    private const int ChunkSize = 64 * 1024;

    private readonly QuicListener _listener;

    private PlainServer(QuicListener listener) => _listener = listener;

    public static SslApplicationProtocol Protocol { get; } = new("plain");

    public IPEndPoint EndPoint => _listener.LocalEndPoint;

    /// <summary>Listens on loopback, on a port that the system chooses.</summary>
    public static async Task<PlainServer> ListenAsync(X509Certificate2 certificate, CancellationToken cancellationToken) =>
        new(await QuicListener.ListenAsync(
            new QuicListenerOptions
            {
                ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
                ApplicationProtocols = [Protocol],
                ConnectionOptionsCallback = (_, _, _) => ValueTask.FromResult(new QuicServerConnectionOptions
                {
                    DefaultStreamErrorCode = 1,
                    DefaultCloseErrorCode = 1,
                    MaxInboundUnidirectionalStreams = 1,
                    ServerAuthenticationOptions = new SslServerAuthenticationOptions
                    {
                        ApplicationProtocols = [Protocol],
                        ServerCertificate = certificate,
                    },
                }),
            },
            cancellationToken));

    /// <summary>Serves until it is cancelled; throws then.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        var chunk = new byte[ChunkSize];
        Random.Shared.NextBytes(chunk);
        while (true)
        {
            try
            {
                await using QuicConnection connection = await _listener.AcceptConnectionAsync(cancellationToken);
                await AnswerAsync(connection, chunk, cancellationToken);
            }
            catch (Exception e) when (e is QuicException or EndOfStreamException)
            {
                // The client has left, or never really came; the next may.
            }
        }
    }

    public ValueTask DisposeAsync() => _listener.DisposeAsync();

    private static async Task AnswerAsync(QuicConnection connection, byte[] chunk, CancellationToken cancellationToken)
    {
        var request = new byte[sizeof(long)];
        await using QuicStream asked = await connection.AcceptInboundStreamAsync(cancellationToken);
        await asked.ReadExactlyAsync(request, cancellationToken);
        await using QuicStream answer = await connection.OpenOutboundStreamAsync(QuicStreamType.Unidirectional, cancellationToken);
        for (long left = BinaryPrimitives.ReadInt64BigEndian(request); left > 0; left -= chunk.Length)
        {
            await answer.WriteAsync(chunk.AsMemory(0, (int)Math.Min(left, chunk.Length)), cancellationToken);
        }

        answer.CompleteWrites();
        // Throws when the client has closed the connection. What it has received and not read would be lost if we did.
        await connection.AcceptInboundStreamAsync(cancellationToken);
    }
}
