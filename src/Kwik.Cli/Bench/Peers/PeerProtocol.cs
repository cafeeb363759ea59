using System.Buffers.Binary;

namespace Kwik.Cli.Bench.Peers;

/// <summary>
/// What the servers of the comparisons do, the same over plain streams and over Kwik's. A stream begins with 8 bytes, big-endian:
/// so many bytes are the answer, or with <see cref="Echo"/> whatever else the client sends.
/// </summary>
internal static class PeerProtocol
{
    public const long Echo = -1;

    /// <summary>Of a message that is sent back.</summary>
    public const int MessageSize = 1024;

    /// <summary>Of one write. As Kwik's frames are, so that neither pays for shorter writes.</summary>
    public const int WriteSize = 64 * 1024;

    // Of one read, at both.
    private const int ReadSize = 256 * 1024;

    private static readonly byte[] Chunk = new byte[WriteSize];

    static PeerProtocol() => Random.Shared.NextBytes(Chunk);

    /// <summary>Asks for so many bytes, and reads them.</summary>
    /// <exception cref="InvalidDataException">There were more of them, or fewer.</exception>
    public static async Task<TimedDownload> DownloadAsync(IPeerConnection connection, long bytes, CancellationToken cancellationToken)
    {
        var download = new TimedDownload(TimeProvider.System);
        await using Stream stream = await AskAsync(connection, bytes, cancellationToken);
        connection.CompleteWrites(stream);
        var buffer = new byte[ReadSize];
        while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and int read)
        {
            download.Arrived(read);
        }

        return download.Bytes == bytes
            ? download
            : throw new InvalidDataException($"{download.Bytes} bytes came in place of {bytes}.");
    }

    /// <summary>A new stream with its request written: bytes, or <see cref="Echo"/>.</summary>
    public static async Task<Stream> AskAsync(IPeerConnection connection, long request, CancellationToken cancellationToken)
    {
        Stream stream = await connection.OpenAsync(cancellationToken);
        try
        {
            var header = new byte[sizeof(long)];
            BinaryPrimitives.WriteInt64BigEndian(header, request);
            await stream.WriteAsync(header, cancellationToken);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
    }

    /// <summary>The server's half of a stream, without the end of what it writes.</summary>
    /// <exception cref="EndOfStreamException">There was no request.</exception>
    /// <exception cref="InvalidDataException">There was more of it.</exception>
    public static async Task AnswerAsync(Stream stream, CancellationToken cancellationToken)
    {
        var buffer = new byte[MessageSize];
        await stream.ReadExactlyAsync(buffer.AsMemory(0, sizeof(long)), cancellationToken);
        long left = BinaryPrimitives.ReadInt64BigEndian(buffer);
        if (left == Echo)
        {
            while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and int read)
            {
                await stream.WriteAsync(buffer.AsMemory(0, read), cancellationToken);
            }

            return;
        }

        for (; left > 0; left -= Chunk.Length)
        {
            await stream.WriteAsync(Chunk.AsMemory(0, (int)Math.Min(left, Chunk.Length)), cancellationToken);
        }

        // A stream that is closed before its end was read tells the client that nobody wants its request.
        await ReadEndAsync(stream, cancellationToken);
    }

    /// <summary>Waits for the end of what the other side writes.</summary>
    /// <exception cref="InvalidDataException">It writes more.</exception>
    public static async Task ReadEndAsync(Stream stream, CancellationToken cancellationToken)
    {
        if (await stream.ReadAsync(new byte[1], cancellationToken) != 0)
        {
            throw new InvalidDataException("More comes than was asked for.");
        }
    }
}
