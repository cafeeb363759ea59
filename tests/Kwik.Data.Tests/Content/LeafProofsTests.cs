using System.Security.Cryptography;

namespace Kwik.Data.Tests;

/// <summary>What a client may deliver: leaves whose hashes the root proves, and no others.</summary>
public sealed class LeafProofsTests
{
    private const int Leaf = ContentHasher.MinLeafSize;

    [Fact]
    public void Judge_BeforeTheHashesAreHere_IsUnknown()
    {
        (LeafProofs proofs, byte[] bytes, ContentTree tree) = Make(3);
        Assert.Equal(LeafVerdict.Unknown, proofs.Judge(Leaf, Hash(bytes, Leaf)));
        Assert.True(proofs.Needs(0));
        Assert.True(proofs.TryAdd(tree.GetLeafHashes(0)));
        Assert.False(proofs.Needs(0));
        Assert.Equal(LeafVerdict.Right, proofs.Judge(Leaf, Hash(bytes, Leaf)));
    }

    [Fact]
    public void Judge_BytesOfAnotherLeaf_AreWrong()
    {
        (LeafProofs proofs, byte[] bytes, ContentTree tree) = Make(3);
        proofs.TryAdd(tree.GetLeafHashes(0));
        Assert.Equal(LeafVerdict.Wrong, proofs.Judge(0, Hash(bytes, Leaf)));
        bytes[^1] ^= 1;
        Assert.Equal(LeafVerdict.Wrong, proofs.Judge(2 * Leaf, Hash(bytes, 2 * Leaf)));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(Leaf)]
    public void Judge_TheOnlyLeaf_NeedsNoHashes(int length)
    {
        byte[] bytes = RandomNumberGenerator.GetBytes(length);
        var proofs = new LeafProofs(ContentTree.Compute(bytes, Leaf).Offer);
        Assert.False(proofs.Needs(0));
        Assert.Equal(LeafVerdict.Right, proofs.Judge(0, Hash(bytes, 0)));
        Assert.Equal(LeafVerdict.Wrong, proofs.Judge(0, new byte[32]));
    }

    [Fact]
    public void TryAdd_HashesOfAnotherContent_IsRefused()
    {
        (LeafProofs proofs, _, _) = Make(3);
        (_, _, ContentTree other) = Make(3, seed: 2);
        Assert.False(proofs.TryAdd(other.GetLeafHashes(0)));
        Assert.True(proofs.Needs(0));
    }

    [Fact]
    public void Done_EveryLeafOfAPiece_DropsItsHashes()
    {
        (LeafProofs proofs, byte[] bytes, ContentTree tree) = Make(LeafHashes.MaxCount + 2);
        Assert.True(proofs.TryAdd(tree.GetLeafHashes(0)));
        Assert.True(proofs.TryAdd(tree.GetLeafHashes(LeafHashes.MaxCount)));
        Assert.Equal(2, proofs.Held);

        proofs.Done(Leaf, LeafHashes.MaxCount * (long)Leaf);
        Assert.Equal(2, proofs.Held);
        proofs.Done(0, Leaf);
        Assert.Equal(1, proofs.Held);
        Assert.Equal(LeafVerdict.Known, proofs.Judge(5 * Leaf, Hash(bytes, 5 * Leaf)));
        Assert.False(proofs.Needs(0));

        // Late, of one that was asked twice: nothing is kept.
        Assert.True(proofs.TryAdd(tree.GetLeafHashes(0)));
        Assert.Equal(1, proofs.Held);
        proofs.Done(LeafHashes.MaxCount * (long)Leaf, tree.Offer.Length);
        Assert.Equal(0, proofs.Held);
    }

    [Fact]
    public void FindMissing_LeavesAtBothEndsAreHere_IsWhatLiesBetween()
    {
        (LeafProofs proofs, _, ContentTree tree) = Make(6);
        long end = tree.Offer.Length;
        Assert.Equal((0L, end), proofs.FindMissing(0, end));
        proofs.Done(0, 2 * Leaf);
        proofs.Done(5 * Leaf, end);
        proofs.Done(3 * Leaf, 4 * Leaf);
        Assert.Equal((2L * Leaf, 3L * Leaf), proofs.FindMissing(0, end));
        Assert.Null(proofs.FindMissing(0, 2 * Leaf));
        proofs.Done(0, end);
        Assert.Null(proofs.FindMissing(0, end));
    }

    [Fact]
    public void EndOf_TheLastLeaf_IsTheEndOfTheContent()
    {
        (LeafProofs proofs, _, ContentTree tree) = Make(3);
        Assert.Equal(Leaf, proofs.EndOf(0));
        Assert.Equal(Leaf, proofs.EndOf(Leaf - 1));
        Assert.Equal(2 * Leaf, proofs.EndOf(Leaf));
        Assert.Equal(tree.Offer.Length, proofs.EndOf(2 * Leaf));
    }

    /// <summary>So many leaves, the last one short.</summary>
    private static (LeafProofs Proofs, byte[] Bytes, ContentTree Tree) Make(int leaves, int seed = 1)
    {
        var bytes = new byte[(leaves * Leaf) - 100];
        new Random(seed).NextBytes(bytes);
        ContentTree tree = ContentTree.Compute(bytes, Leaf);
        return (new LeafProofs(tree.Offer), bytes, tree);
    }

    private static byte[] Hash(byte[] bytes, int offset) =>
        SHA256.HashData([0, .. bytes.AsSpan(offset, Math.Min(Leaf, bytes.Length - offset))]);
}
