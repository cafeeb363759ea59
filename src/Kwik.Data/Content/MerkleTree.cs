using System.Numerics;
using System.Security.Cryptography;

namespace Kwik.Data;

/// <summary>
/// The tree of RFC 9162, 2.1, over hashes that are there already, 32 bytes each: a node is SHA-256(0x01, left, right), and the
/// left subtree is the largest perfect one that leaves something to the right.
/// </summary>
internal static class MerkleTree
{
    /// <summary>Bytes of a hash.</summary>
    public const int HashSize = SHA256.HashSizeInBytes;

    /// <summary>The hash over two.</summary>
    public static void Combine(ReadOnlySpan<byte> left, ReadOnlySpan<byte> right, Span<byte> into)
    {
        Span<byte> input = stackalloc byte[1 + (2 * HashSize)];
        input[0] = 1;
        left.CopyTo(input[1..]);
        right.CopyTo(input[(1 + HashSize)..]);
        SHA256.HashData(input, into);
    }

    /// <summary>The root over one hash or more.</summary>
    public static byte[] Root(ReadOnlySpan<byte> hashes)
    {
        int count = hashes.Length / HashSize;
        if (count == 1)
        {
            return hashes.ToArray();
        }

        int left = LeftOf(count) * HashSize;
        var root = new byte[HashSize];
        Combine(Root(hashes[..left]), Root(hashes[left..]), root);
        return root;
    }

    /// <summary>What proves the hash at an index, from the bottom up (RFC 9162, 2.1.3.1).</summary>
    public static byte[] Proof(ReadOnlySpan<byte> hashes, int index)
    {
        int count = hashes.Length / HashSize;
        if (count == 1)
        {
            return [];
        }

        int left = LeftOf(count);
        ReadOnlySpan<byte> lower = hashes[..(left * HashSize)];
        ReadOnlySpan<byte> upper = hashes[(left * HashSize)..];
        return index < left ? [.. Proof(lower, index), .. Root(upper)] : [.. Proof(upper, index - left), .. Root(lower)];
    }

    /// <summary>True when the proof leads from the hash at an index, of so many, to the root (RFC 9162, 2.1.3.2).</summary>
    public static bool IsProven(ReadOnlySpan<byte> hash, long index, long count, ReadOnlySpan<byte> proof, ReadOnlySpan<byte> root)
    {
        if (index < 0 || index >= count || proof.Length % HashSize != 0)
        {
            return false;
        }

        Span<byte> node = stackalloc byte[HashSize];
        hash.CopyTo(node);
        (long at, long last) = (index, count - 1);
        for (; !proof.IsEmpty; proof = proof[HashSize..])
        {
            if (last == 0)
            {
                return false;
            }

            ReadOnlySpan<byte> sibling = proof[..HashSize];
            if ((at & 1) == 1 || at == last)
            {
                Combine(sibling, node, node);
                // A right edge skips the levels where it has no sibling.
                int levels = at == 0 ? 0 : BitOperations.TrailingZeroCount(at);
                (at, last) = (at >> levels, last >> levels);
            }
            else
            {
                Combine(node, sibling, node);
            }

            (at, last) = (at >> 1, last >> 1);
        }

        return last == 0 && node.SequenceEqual(root);
    }

    private static int LeftOf(int count) => (int)(BitOperations.RoundUpToPowerOf2((uint)count) / 2);
}
