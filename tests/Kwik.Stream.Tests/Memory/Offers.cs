using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>Offers of test content.</summary>
internal static class Offers
{
    public static ContentOffer Of(ReadOnlySpan<byte> content, int leafSize = ContentHasher.MinLeafSize)
    {
        using var hasher = new ContentHasher(leafSize);
        hasher.Append(content);
        return new ContentOffer(hasher.Finish(), content.Length, leafSize);
    }
}
