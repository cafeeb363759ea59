using System.Buffers.Binary;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Load;

/// <summary>
/// A stream begins with 8 bytes, big-endian: so many bytes of <see cref="Pattern"/> are the answer; 0 asks for whatever else is
/// sent, <see cref="Offered"/> for the content of the <see cref="Replicas"/>.
/// </summary>
internal static class Service
{
    public const long Offered = -1;

    private const int BufferSize = 64 * 1024;

    /// <summary>The byte at every offset of every answer: the same after so many bytes, which is a prime.</summary>
    private const int Period = 65_521;

    private static readonly byte[] Pattern = MakePattern();

    /// <summary>Asks for so many bytes, checks each, and returns how many came before <paramref name="enough"/> said stop.</summary>
    /// <exception cref="InvalidDataException">A byte is not what it must be, or some are missing.</exception>
    public static async Task<long> DownloadAsync(
        ClientSession session, long bytes, Func<long, bool> enough, CancellationToken cancellationToken)
    {
        await using KwikStream stream = await AskAsync(session, bytes, cancellationToken);
        stream.CompleteWrites();
        var buffer = new byte[BufferSize];
        long offset = 0;
        long length = bytes == Offered ? Replicas.Length : bytes;
        while (!enough(offset) && await stream.ReadAsync(buffer, cancellationToken) is > 0 and int read)
        {
            Check(buffer.AsSpan(0, read), offset);
            offset += read;
        }

        if (!enough(offset) && offset != length)
        {
            throw new InvalidDataException($"{offset} bytes came in place of {length}.");
        }

        return offset;
    }

    /// <summary>A message there and back.</summary>
    /// <exception cref="InvalidDataException">Something else came back.</exception>
    public static async Task EchoAsync(ClientSession session, int length, CancellationToken cancellationToken)
    {
        await using KwikStream stream = await AskAsync(session, 0, cancellationToken);
        await EchoAsync(stream, length, cancellationToken);
        await EndAsync(stream, cancellationToken);
    }

    /// <summary>The same on a stream that was asked for with 0.</summary>
    public static async Task EchoAsync(KwikStream stream, int length, CancellationToken cancellationToken)
    {
        byte[] message = Pattern[..length];
        var answer = new byte[length];
        await stream.WriteAsync(message, cancellationToken);
        await stream.ReadExactlyAsync(answer, cancellationToken);
        if (!answer.AsSpan().SequenceEqual(message))
        {
            throw new InvalidDataException("The echo is not what was sent.");
        }
    }

    /// <summary>Ends a stream that was asked for with 0, and waits for the other side's end.</summary>
    public static async Task EndAsync(KwikStream stream, CancellationToken cancellationToken)
    {
        stream.CompleteWrites();
        if (await stream.ReadAsync(new byte[1], cancellationToken) != 0)
        {
            throw new InvalidDataException("More comes back than was sent.");
        }
    }

    /// <summary>A new stream, asked for so many bytes.</summary>
    public static async Task<KwikStream> AskAsync(ClientSession session, long bytes, CancellationToken cancellationToken)
    {
        KwikStream stream = await session.OpenStreamSync(cancellationToken);
        try
        {
            var header = new byte[sizeof(long)];
            BinaryPrimitives.WriteInt64BigEndian(header, bytes);
            await stream.WriteAsync(header, cancellationToken);
            return stream;
        }
        catch
        {
            await stream.DisposeAsync();
            throw;
        }
    }

    /// <summary>The server's side. Never throws.</summary>
    public static async Task AnswerAsync(KwikStream stream, ContentOffer? offer)
    {
        await using (stream)
        {
            try
            {
                var buffer = new byte[sizeof(long)];
                await stream.ReadExactlyAsync(buffer);
                long bytes = BinaryPrimitives.ReadInt64BigEndian(buffer);
                if (bytes == Offered && offer is not null)
                {
                    await stream.OfferContentAsync(offer);
                }
                else
                {
                    await (bytes == 0 ? SendBackAsync(stream) : SendAsync(stream, bytes));
                }

                stream.CompleteWrites();
                await stream.WritesClosed;
            }
            catch (Exception e) when (e is KwikException or EndOfStreamException or ObjectDisposedException)
            {
                // Clients of load tests leave at any moment.
            }
        }
    }

    /// <summary>Whole bytes of the pattern.</summary>
    public static byte[] Content(int length)
    {
        var content = new byte[length];
        for (int offset = 0; offset < length; offset += Period)
        {
            Pattern.AsSpan(0, Math.Min(Period, length - offset)).CopyTo(content.AsSpan(offset));
        }

        return content;
    }

    private static async Task SendBackAsync(KwikStream stream)
    {
        var buffer = new byte[1024];
        while (await stream.ReadAsync(buffer) is > 0 and int read)
        {
            await stream.WriteAsync(buffer.AsMemory(0, read));
        }
    }

    private static async Task SendAsync(KwikStream stream, long bytes)
    {
        for (long offset = 0; offset < bytes;)
        {
            int start = (int)(offset % Period);
            int length = (int)Math.Min(bytes - offset, Period - start);
            await stream.WriteAsync(Pattern.AsMemory(start, length));
            offset += length;
        }
    }

    private static void Check(ReadOnlySpan<byte> bytes, long offset)
    {
        while (!bytes.IsEmpty)
        {
            ReadOnlySpan<byte> expected = Pattern.AsSpan((int)(offset % Period));
            int length = Math.Min(bytes.Length, expected.Length);
            if (!bytes[..length].SequenceEqual(expected[..length]))
            {
                throw new InvalidDataException($"Bytes from offset {offset} on are not the ones that were sent.");
            }

            bytes = bytes[length..];
            offset += length;
        }
    }

    private static byte[] MakePattern()
    {
        var pattern = new byte[Period];
        new Random(1).NextBytes(pattern);
        return pattern;
    }
}
