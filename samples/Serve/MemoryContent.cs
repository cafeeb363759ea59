namespace Kwik.Samples.Serve;

/// <summary>Bytes that are held in memory.</summary>
internal sealed class MemoryContent(byte[] bytes) : SingleContent(bytes.Length)
{
    public override ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ReadOnlySpan<byte> rest = bytes.AsSpan((int)offset);
        int read = Math.Min(rest.Length, buffer.Length);
        rest[..read].CopyTo(buffer.Span);
        return ValueTask.FromResult(read);
    }
}
