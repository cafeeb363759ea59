using System.Buffers;

namespace Kwik.Testing;

/// <summary>Memory that gives no array away, and cannot be pinned.</summary>
internal sealed class ForeignMemory(int length) : MemoryManager<byte>
{
    private readonly byte[] _bytes = new byte[length];

    public override Span<byte> GetSpan() => _bytes;

    public override MemoryHandle Pin(int elementIndex = 0) => throw new NotSupportedException("Nobody has to pin it.");

    public override void Unpin() => throw new NotSupportedException("Nobody has pinned it.");

    protected override void Dispose(bool disposing)
    {
    }
}
