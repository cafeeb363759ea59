using System.Buffers.Binary;

namespace Kwik.Samples.Serve;

/// <summary>
/// A provider of one's own: bytes that are stored nowhere. Every 8 of them are computed from their place, as others would come
/// from a database or an object store.
/// </summary>
internal sealed class GeneratedContent(long length) : SingleContent(length)
{
    public override ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int read = (int)Math.Min(buffer.Length, Length - offset);
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        for (int i = 0; i < read; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(word, (ulong)((offset + i) / sizeof(ulong)) * 0x9E3779B97F4A7C15);
            buffer.Span[i] = word[(int)((offset + i) % sizeof(ulong))];
        }

        return ValueTask.FromResult(read);
    }
}
