namespace Kwik.Data;

/// <summary>
/// The leaf hashes of a whole content, for a server that proves what it sends: 32 bytes for each leaf, one part in 8,192 of the
/// content at the default leaf size. Immutable; safe for concurrent use.
/// </summary>
public sealed class ContentTree
{
    private readonly ReadOnlyMemory<byte> _leaves;

    // The roots of pieces of 1,024 leaves.
    private readonly byte[] _pieces;

    /// <summary>Takes the hashes of all leaves, in order, as <see cref="ContentHasher"/> gives them.</summary>
    /// <param name="leafHashes">32 bytes for each leaf of the content.</param>
    /// <param name="length">Bytes of the content.</param>
    /// <param name="leafSize">Of the leaves.</param>
    /// <exception cref="ArgumentException">They are not as many as such a content has.</exception>
    public ContentTree(ReadOnlyMemory<byte> leafHashes, long length, int leafSize = ContentHasher.DefaultLeafSize)
    {
        long leaves = LeafHashes.CountOf(length, leafSize);
        if (leafHashes.Length != leaves * MerkleTree.HashSize)
        {
            throw new ArgumentException($"A content of {length} bytes has {leaves} leaves of {leafSize} bytes.", nameof(leafHashes));
        }

        _leaves = leafHashes;
        _pieces = new byte[(leaves + LeafHashes.MaxCount - 1) / LeafHashes.MaxCount * MerkleTree.HashSize];
        for (int piece = 0; piece < _pieces.Length / MerkleTree.HashSize; piece++)
        {
            MerkleTree.Root(Piece(piece).Span).CopyTo(_pieces.AsSpan(piece * MerkleTree.HashSize));
        }

        Offer = new ContentOffer(new ContentRoot(MerkleTree.Root(_pieces)), length, leafSize);
    }

    /// <summary>Computes the tree of bytes in memory; <see cref="ContentHasher"/> does it for any others.</summary>
    public static ContentTree Compute(ReadOnlySpan<byte> bytes, int leafSize = ContentHasher.DefaultLeafSize)
    {
        var leaves = new List<byte>();
        using var hasher = new ContentHasher(leafSize, hash => leaves.AddRange(hash.Span));
        hasher.Append(bytes);
        hasher.Finish();
        return new(leaves.ToArray(), bytes.Length, leafSize);
    }

    /// <summary>What the content is: root, length and leaf size.</summary>
    public ContentOffer Offer { get; }

    /// <summary>The hash of every leaf, in order, 32 bytes each: what the constructor takes.</summary>
    public ReadOnlyMemory<byte> Leaves => _leaves;

    /// <summary>The hashes of the leaves from this one on, with their proof.</summary>
    /// <param name="firstLeaf">A multiple of <see cref="LeafHashes.MaxCount"/>, within the content.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is not.</exception>
    public LeafHashes GetLeafHashes(long firstLeaf)
    {
        long piece = firstLeaf / LeafHashes.MaxCount;
        if (firstLeaf < 0 || firstLeaf % LeafHashes.MaxCount != 0 || piece >= _pieces.Length / MerkleTree.HashSize)
        {
            throw new ArgumentOutOfRangeException(nameof(firstLeaf), firstLeaf, "Not the first leaf of a piece of this content.");
        }

        return new(firstLeaf, Piece((int)piece), MerkleTree.Proof(_pieces, (int)piece));
    }

    private ReadOnlyMemory<byte> Piece(int piece)
    {
        int start = piece * LeafHashes.MaxCount * MerkleTree.HashSize;
        return _leaves.Slice(start, Math.Min(LeafHashes.MaxCount * MerkleTree.HashSize, _leaves.Length - start));
    }
}
