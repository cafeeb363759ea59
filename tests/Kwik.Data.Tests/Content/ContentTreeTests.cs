using System.Security.Cryptography;

namespace Kwik.Data.Tests;

/// <summary>Leaf hashes and their proofs, against the root that <see cref="ContentHasher"/> computes on its own.</summary>
public sealed class ContentTreeTests
{
    private const int LeafSize = ContentHasher.MinLeafSize;

    /// <summary>Numbers of leaves around every edge: of a piece, of a power of two, of the right side.</summary>
    public static TheoryData<long> Leaves => [1, 2, 3, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 3073, 4096, 5000, 7 * 1024, (7 * 1024) + 1];

    [Theory]
    [MemberData(nameof(Leaves))]
    public void EveryPiece_OfATree_IsProvenAndNoOtherIs(long leaves)
    {
        ContentTree tree = Tree(leaves);
        for (long first = 0; first < leaves; first += LeafHashes.MaxCount)
        {
            LeafHashes piece = tree.GetLeafHashes(first);
            Assert.True(piece.Prove(tree.Offer));
            Assert.Equal(Math.Min(LeafHashes.MaxCount, leaves - first), piece.Count);
            Assert.False((piece with { Hashes = Flip(piece.Hashes) }).Prove(tree.Offer));
            Assert.False((piece with { FirstLeaf = first + LeafHashes.MaxCount }).Prove(tree.Offer));
            Assert.False((piece with { FirstLeaf = first - LeafHashes.MaxCount }).Prove(tree.Offer));
            Assert.False((piece with { Hashes = piece.Hashes[..^32] }).Prove(tree.Offer));
            Assert.False((piece with { Proof = new byte[32] }).Prove(tree.Offer));
            Assert.False((piece with { Proof = (byte[])[.. piece.Proof.Span, .. new byte[32]] }).Prove(tree.Offer));
            Assert.False((piece with { Proof = (byte[])[.. piece.Proof.Span, 1] }).Prove(tree.Offer));
            if (piece.Proof.Length > 0)
            {
                Assert.False((piece with { Proof = Flip(piece.Proof) }).Prove(tree.Offer));
                Assert.False((piece with { Proof = piece.Proof[..^32] }).Prove(tree.Offer));
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(LeafSize)]
    [InlineData(LeafSize + 1)]
    [InlineData((1024 * LeafSize) + 5)]
    [InlineData((3 * 1024 * LeafSize) + (17 * LeafSize))]
    public void Root_OfATree_IsTheHashers(int length)
    {
        var bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        var leaves = new List<byte>();
        using var hasher = new ContentHasher(LeafSize, hash => leaves.AddRange(hash.Span));
        hasher.Append(bytes);
        ContentRoot root = hasher.Finish();

        var tree = new ContentTree(leaves.ToArray(), length, LeafSize);
        Assert.Equal(new ContentOffer(root, length, LeafSize), tree.Offer);
        long last = LeafHashes.CountOf(length, LeafSize) - 1;
        byte[] expected = SHA256.HashData([0, .. bytes.AsSpan((int)last * LeafSize)]);
        Assert.True(tree.GetLeafHashes(LeafHashes.FirstOf(last))[last].SequenceEqual(expected));
    }

    [Fact]
    public void Tree_OfAnotherNumberOfLeaves_IsRefused() =>
        Assert.Throws<ArgumentException>(() => new ContentTree(new byte[32 * 3], 2 * LeafSize, LeafSize));

    [Theory]
    [InlineData(-1024)]
    [InlineData(1)]
    [InlineData(2048)]
    public void Piece_ThatATreeDoesNotHave_IsRefused(long first) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Tree(1025).GetLeafHashes(first));

    private static ContentTree Tree(long leaves)
    {
        var hashes = new byte[leaves * 32];
        new Random((int)leaves).NextBytes(hashes);
        return new ContentTree(hashes, leaves * LeafSize, LeafSize);
    }

    private static byte[] Flip(ReadOnlyMemory<byte> bytes)
    {
        byte[] flipped = bytes.ToArray();
        flipped[^1] ^= 1;
        return flipped;
    }
}
