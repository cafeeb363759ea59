using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Samples.Serve;

/// <summary>One content, held in memory, and the provider that finds it.</summary>
internal sealed class MemoryContent : IContentProvider, IContent
{
    private readonly byte[] _bytes;

    public MemoryContent(byte[] bytes)
    {
        _bytes = bytes;
        using var hasher = new ContentHasher();
        hasher.Append(bytes);
        Offer = new ContentOffer(hasher.Finish(), bytes.Length);
    }

    /// <summary>What the primary vouches for.</summary>
    public ContentOffer Offer { get; }

    public long Length => _bytes.Length;

    public ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken) =>
        ValueTask.FromResult<IContent?>(root == Offer.Root ? this : null);

    public ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        ReadOnlySpan<byte> rest = _bytes.AsSpan((int)offset);
        int read = Math.Min(rest.Length, buffer.Length);
        rest[..read].CopyTo(buffer.Span);
        return ValueTask.FromResult(read);
    }

    // The memory outlives every reader.
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
