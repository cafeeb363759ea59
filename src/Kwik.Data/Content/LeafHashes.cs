namespace Kwik.Data;

/// <summary>
/// The hashes of up to <see cref="MaxCount"/> leaves of a content that follow each other, and what proves them against its
/// root.
/// </summary>
/// <param name="FirstLeaf">Number of the first one: a multiple of <see cref="MaxCount"/>.</param>
/// <param name="Hashes">32 bytes each.</param>
/// <param name="Proof">The nodes beside the way to the root, from the bottom up, 32 bytes each; at most 38.</param>
public sealed record LeafHashes(long FirstLeaf, ReadOnlyMemory<byte> Hashes, ReadOnlyMemory<byte> Proof)
{
    /// <summary>Leaves in one piece: 1,024, fewer at the end of a content.</summary>
    public const int MaxCount = 1024;

    /// <summary>Leaves in this piece.</summary>
    public int Count => Hashes.Length / MerkleTree.HashSize;

    /// <summary>Leaves of a content.</summary>
    public static long CountOf(long length, int leafSize) => Math.Max(1, (length + leafSize - 1) / leafSize);

    /// <summary>The piece that a leaf is in.</summary>
    public static long FirstOf(long leaf) => leaf / MaxCount * MaxCount;

    /// <summary>True when these are all the leaves from the first one to the end of their piece, and the root says so.</summary>
    public bool Prove(ContentOffer offer)
    {
        ArgumentNullException.ThrowIfNull(offer);
        long leaves = CountOf(offer.Length, offer.LeafSize);
        if (FirstLeaf < 0 || FirstLeaf % MaxCount != 0 || FirstLeaf >= leaves
            || Hashes.Length != Math.Min(MaxCount, leaves - FirstLeaf) * MerkleTree.HashSize)
        {
            return false;
        }

        long pieces = (leaves + MaxCount - 1) / MaxCount;
        return MerkleTree.IsProven(
            MerkleTree.Root(Hashes.Span), FirstLeaf / MaxCount, pieces, Proof.Span, offer.Root.ToByteArray());
    }

    /// <summary>The hash of one leaf.</summary>
    public ReadOnlySpan<byte> this[long leaf] => Hashes.Span.Slice((int)(leaf - FirstLeaf) * MerkleTree.HashSize, MerkleTree.HashSize);
}
