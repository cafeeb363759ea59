namespace Kwik.Data;

/// <summary>What a primary says a public stream contains: its whole length, no more and no less.</summary>
/// <param name="Root">Names and proves the content.</param>
/// <param name="Length">Bytes, 0 to 2^48.</param>
/// <param name="LeafSize">Leaf size that <paramref name="Root"/> was computed with; see <see cref="ContentHasher"/>.</param>
public sealed record ContentOffer(ContentRoot Root, long Length, int LeafSize = ContentHasher.DefaultLeafSize)
{
    /// <summary>Longest content, bytes: 2^48.</summary>
    public const long MaxLength = 1L << 48;

    /// <summary>Checks the ranges.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message names it.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(Length, nameof(Length));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Length, MaxLength, nameof(Length));
        if (!ContentHasher.IsLeafSize(LeafSize))
        {
            throw new ArgumentOutOfRangeException(nameof(LeafSize), LeafSize, "A leaf size is a power of two from 16 KiB to 4 MiB.");
        }
    }
}
