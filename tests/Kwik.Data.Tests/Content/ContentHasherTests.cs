using System.Security.Cryptography;
using FsCheck.Fluent;
using Kwik.Testing;

namespace Kwik.Data.Tests;

public sealed class ContentHasherTests
{
    private const int LeafSize = ContentHasher.MinLeafSize;

    private static readonly byte[] Content = Values.Bytes(seed: 7, length: (40 * LeafSize) + 100);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(LeafSize - 1)]
    [InlineData(LeafSize)]
    [InlineData(LeafSize + 1)]
    public void Finish_SizeAroundOneLeaf_IsTheRootOfRfc9162(int length) => AssertRoot(length);

    [Fact]
    public void Finish_AnyNumberOfLeaves_IsTheRootOfRfc9162()
    {
        for (int leaves = 2; leaves <= 40; leaves++)
        {
            AssertRoot(leaves * LeafSize);
            AssertRoot((leaves * LeafSize) + 1);
            AssertRoot((leaves * LeafSize) - 1);
        }
    }

    [Fact]
    public void Finish_NoBytes_IsTheHashOfAnEmptyLeaf()
    {
        using var hasher = new ContentHasher();
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData([0])), hasher.Finish().ToString());
    }

    [Fact]
    public void Append_InAnySplit_GivesTheSameRoot()
    {
        ContentRoot whole = Reference(Content.AsSpan(0, 5 * LeafSize));
        Property.HoldsForLists(
            Gen.OneOf(Gen.Elements(0, 1, LeafSize - 1, LeafSize, LeafSize + 1), Gen.Choose(0, 3 * LeafSize)),
            maxLength: 12,
            lengths =>
            {
                using var hasher = new ContentHasher(LeafSize);
                ReadOnlySpan<byte> rest = Content.AsSpan(0, 5 * LeafSize);
                foreach (int wanted in lengths)
                {
                    int length = Math.Min(wanted, rest.Length);
                    hasher.Append(rest[..length]);
                    rest = rest[length..];
                    Assert.Equal((5 * LeafSize) - rest.Length, hasher.Length);
                }

                hasher.Append(rest);
                Assert.Equal(whole, hasher.Finish());
            },
            count: 300);
    }

    [Fact]
    public void Finish_ThenMore_StartsAnew()
    {
        using var hasher = new ContentHasher(LeafSize);
        foreach (int length in (int[])[LeafSize + 1, 0, 3 * LeafSize, 5])
        {
            hasher.Append(Content.AsSpan(0, length));
            Assert.Equal(Reference(Content.AsSpan(0, length)), hasher.Finish());
            Assert.Equal(0, hasher.Length);
        }
    }

    [Fact]
    public void Finish_OneBitFlippedInAnyLeaf_GivesAnotherRoot()
    {
        byte[] content = Content[..(6 * LeafSize)];
        ContentRoot right = RootOf(content, LeafSize);
        for (int at = 0; at < content.Length; at += LeafSize / 2)
        {
            content[at] ^= 0x10;
            Assert.NotEqual(right, RootOf(content, LeafSize));
            content[at] ^= 0x10;
        }
    }

    [Fact]
    public void Finish_LeavesSwapped_GivesAnotherRoot()
    {
        byte[] swapped = [.. Content[LeafSize..(2 * LeafSize)], .. Content[..LeafSize]];
        Assert.NotEqual(RootOf(Content.AsSpan(0, 2 * LeafSize), LeafSize), RootOf(swapped, LeafSize));
    }

    [Fact]
    public void Finish_NodeOfferedAsLeaf_GivesAnotherRoot()
    {
        // Leaves and nodes are hashed apart, so the two hashes of a node are not a shorter content with the same root.
        byte[] node = [.. LeafHash(Content.AsSpan(0, LeafSize)), .. LeafHash(Content.AsSpan(LeafSize, LeafSize))];
        Assert.NotEqual(RootOf(Content.AsSpan(0, 2 * LeafSize), LeafSize), RootOf(node, LeafSize));
    }

    [Fact]
    public void IsLeafSize_EverySizeUpTo8MiB_IsTrueForTheNinePowersOfTwo()
    {
        var sizes = Enumerable.Range(0, (8 * 1024 * 1024) + 1).Where(size => ContentHasher.IsLeafSize(size)).ToList();
        Assert.Equal(Enumerable.Range(14, 9).Select(power => 1 << power), sizes);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    [InlineData(8 * 1024)]
    [InlineData((16 * 1024) + 1)]
    [InlineData(8 * 1024 * 1024)]
    public void Constructor_OtherLeafSize_Throws(int leafSize) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new ContentHasher(leafSize));

    private static void AssertRoot(int length)
    {
        Assert.Equal(Reference(Content.AsSpan(0, length)), RootOf(Content.AsSpan(0, length), LeafSize));
    }

    private static ContentRoot RootOf(ReadOnlySpan<byte> content, int leafSize)
    {
        using var hasher = new ContentHasher(leafSize);
        hasher.Append(content);
        return hasher.Finish();
    }

    /// <summary>The definition in RFC 9162, section 2.1.1, with leaves of LeafSize bytes; empty content is one empty leaf.</summary>
    private static ContentRoot Reference(ReadOnlySpan<byte> content) => new(Subtree(content));

    private static byte[] Subtree(ReadOnlySpan<byte> content)
    {
        int leaves = (content.Length + LeafSize - 1) / LeafSize;
        if (leaves <= 1)
        {
            return LeafHash(content);
        }

        int left = 1;
        while (left * 2 < leaves)
        {
            left *= 2;
        }

        return SHA256.HashData([1, .. Subtree(content[..(left * LeafSize)]), .. Subtree(content[(left * LeafSize)..])]);
    }

    private static byte[] LeafHash(ReadOnlySpan<byte> bytes) => SHA256.HashData([0, .. bytes]);
}
