using Kwik.Data;
using Kwik.Sessions;

namespace Kwik.Samples.Serve;

/// <summary>
/// One content, and the provider that finds it. Where its bytes come from is the subclass's: anything that can be read at an
/// offset, the same bytes each time.
/// </summary>
internal abstract class SingleContent(long length) : IContentProvider, IContent
{
    private ContentTree? _tree;

    public long Length => length;

    /// <summary>What the primary vouches for.</summary>
    public ContentOffer Offer => Tree.Offer;

    private ContentTree Tree => _tree ?? throw new InvalidOperationException("Its tree has not been computed.");

    public abstract ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken);

    public virtual ValueTask DisposeAsync() => ValueTask.CompletedTask;

    /// <summary>Reads all of it once: the hashes of its leaves prove every byte to the clients.</summary>
    public async Task ComputeTreeAsync()
    {
        var leaves = new MemoryStream();
        using var hasher = new ContentHasher(leafHashed: hash => leaves.Write(hash.Span));
        var buffer = new byte[256 * 1024];
        while (hasher.Length < length)
        {
            int read = await ReadAsync(hasher.Length, buffer, CancellationToken.None);
            hasher.Append(buffer.AsSpan(0, read));
        }

        hasher.Finish();
        _tree = new ContentTree(leaves.ToArray(), length);
    }

    // Every client reads the same object, whose owner disposes of it in the end.
    public ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken) =>
        ValueTask.FromResult<IContent?>(root == Offer.Root ? new Shared(this) : null);

    public ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken) =>
        ValueTask.FromResult(Tree.GetLeafHashes(firstLeaf));

    private sealed class Shared(IContent content) : IContent
    {
        public long Length => content.Length;

        public ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
            content.ReadAsync(offset, buffer, cancellationToken);

        public ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken) =>
            content.GetLeafHashesAsync(firstLeaf, cancellationToken);

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
