using System.Globalization;
using System.Text;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Session.Tests.Real;

/// <summary>
/// An application of a primary and its secondaries: the primary grants parts of a stream, and says by raw data which; the
/// secondaries push them.
/// </summary>
internal static class PushOrders
{
    /// <summary>Bytes that are pushed in one piece.</summary>
    public const int BlockSize = 64 * 1024;

    /// <summary>Has a secondary push every <paramref name="stride"/>-th block of a range.</summary>
    public static async Task OrderAsync(
        PrimarySession session, KwikStream stream, int pathId, long start, long end, int first = 0, int stride = 1)
    {
        session.MapRange(stream, pathId, start, end - start);
        await session.SendRawDataAsync(
            pathId, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{stream.Id} {start} {end} {first} {stride}")));
    }

    /// <summary>
    /// Carries out orders until the session ends. <paramref name="stopAfter"/>: the connection is dropped without a word
    /// when so many bytes have been pushed.
    /// </summary>
    public static async Task ServeAsync(SecondarySession session, byte[] content, long stopAfter = long.MaxValue)
    {
        while (true)
        {
            long[] order =
            [
                .. Encoding.ASCII.GetString((await session.ReceiveRawDataAsync()).Data.Span).Split(' ')
                    .Select(number => long.Parse(number, CultureInfo.InvariantCulture)),
            ];
            await using SecondaryStream stream = await session.OpenStreamSync();
            foreach ((long offset, ReadOnlyMemory<byte> block) in Blocks(content, order[1], order[2], (int)order[3], (int)order[4]))
            {
                stream.SetKwikStreamMapping(order[0], offset);
                await stream.WriteAsync(block);
                stopAfter -= block.Length;
                if (stopAfter <= 0)
                {
                    session.Stop();
                    return;
                }
            }

            await stream.CompleteAsync();
            await stream.WritesClosed;
        }
    }

    public static IEnumerable<(long Offset, ReadOnlyMemory<byte> Block)> Blocks(
        byte[] content, long start, long end, int first, int stride)
    {
        for (long offset = start + ((long)first * BlockSize); offset < end; offset += (long)stride * BlockSize)
        {
            yield return (offset, content.AsMemory((int)offset, (int)Math.Min(BlockSize, end - offset)));
        }
    }

    public static byte[] RandomBytes(int length)
    {
        var bytes = new byte[length];
        new Random(1).NextBytes(bytes);
        return bytes;
    }

    /// <summary>The next loss that the primary is told of.</summary>
    public static async Task<RangeLost> NextLostAsync(PrimarySession session)
    {
        while (true)
        {
            if (await session.Events.ReadAsync() is RangeLost lost)
            {
                return lost;
            }
        }
    }
}
