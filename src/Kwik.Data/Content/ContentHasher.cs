namespace Kwik.Data;

/// <summary>
/// Computes a <see cref="ContentRoot"/> from bytes in order, in memory that grows with the logarithm of the length.
/// Not safe for concurrent use.
/// </summary>
/// <remarks>
/// The tree is that of RFC 9162: a leaf is SHA-256(0x00, bytes), a node SHA-256(0x01, left, right); the left subtree is
/// the largest perfect one that leaves something to the right. Empty content is one empty leaf.
/// </remarks>
public sealed class ContentHasher : IDisposable
{
    /// <summary>Leaf size unless an offer says otherwise: 256 KiB.</summary>
    public const int DefaultLeafSize = 256 * 1024;

    /// <summary>Smallest leaf size: 16 KiB.</summary>
    public const int MinLeafSize = 16 * 1024;

    /// <summary>Largest leaf size: 4 MiB.</summary>
    public const int MaxLeafSize = 4 * 1024 * 1024;

    private readonly LeafHasher _hash = new();
    private readonly int _leafSize;
    private readonly Action<ReadOnlyMemory<byte>>? _leafHashed;

    // Roots of perfect subtrees, from left to right; level i is there when bit i of the leaf count is set.
    private readonly Stack<byte[]> _subtrees = new();
    private long _leaves;
    private int _inLeaf;

    /// <summary>Starts with no bytes.</summary>
    /// <param name="leafSize">A power of two from <see cref="MinLeafSize"/> to <see cref="MaxLeafSize"/>.</param>
    /// <param name="leafHashed">Gets the hash of each leaf, in order, to keep: all of them are a <see cref="ContentTree"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The leaf size is not one of these.</exception>
    public ContentHasher(int leafSize = DefaultLeafSize, Action<ReadOnlyMemory<byte>>? leafHashed = null)
    {
        if (!IsLeafSize(leafSize))
        {
            throw new ArgumentOutOfRangeException(nameof(leafSize), leafSize, "A leaf size is a power of two from 16 KiB to 4 MiB.");
        }

        _leafSize = leafSize;
        _leafHashed = leafHashed;
    }

    /// <summary>Bytes appended so far.</summary>
    public long Length => (_leaves * _leafSize) + _inLeaf;

    /// <summary>True for a power of two from <see cref="MinLeafSize"/> to <see cref="MaxLeafSize"/>.</summary>
    public static bool IsLeafSize(long leafSize) =>
        leafSize is >= MinLeafSize and <= MaxLeafSize && (leafSize & (leafSize - 1)) == 0;

    /// <summary>Appends the next bytes of the content.</summary>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        while (!bytes.IsEmpty)
        {
            int take = Math.Min(bytes.Length, _leafSize - _inLeaf);
            _hash.Append(bytes[..take]);
            bytes = bytes[take..];
            _inLeaf += take;
            if (_inLeaf == _leafSize)
            {
                CloseLeaf();
            }
        }
    }

    /// <summary>The root over everything appended; the hasher then starts anew.</summary>
    public ContentRoot Finish()
    {
        if (_inLeaf > 0 || _leaves == 0)
        {
            CloseLeaf();
        }

        byte[] root = _subtrees.Pop();
        while (_subtrees.TryPop(out byte[]? left))
        {
            root = Node(left, root);
        }

        _leaves = 0;
        return new ContentRoot(root);
    }

    /// <inheritdoc/>
    public void Dispose() => _hash.Dispose();

    private static byte[] Node(byte[] left, byte[] right)
    {
        var node = new byte[ContentRoot.Size];
        MerkleTree.Combine(left, right, node);
        return node;
    }

    private void CloseLeaf()
    {
        var subtree = new byte[ContentRoot.Size];
        _hash.Finish(subtree);
        _leafHashed?.Invoke(subtree);
        for (long level = _leaves; (level & 1) == 1; level >>= 1)
        {
            subtree = Node(_subtrees.Pop(), subtree);
        }

        _subtrees.Push(subtree);
        _leaves++;
        _inLeaf = 0;
    }
}
