using System.Security.Cryptography;

namespace Kwik.Data;

/// <summary>Hashes one leaf after the other: SHA-256(0x00, bytes), so that no leaf can pass for a node. Not safe for concurrent use.</summary>
internal sealed class LeafHasher : IDisposable
{
    private static readonly byte[] Prefix = [0];

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);

    public LeafHasher() => _hash.AppendData(Prefix);

    public void Append(ReadOnlySpan<byte> bytes) => _hash.AppendData(bytes);

    /// <summary>The hash of the leaf, 32 bytes; the next one begins.</summary>
    public void Finish(Span<byte> hash)
    {
        _hash.GetHashAndReset(hash);
        _hash.AppendData(Prefix);
    }

    public void Dispose() => _hash.Dispose();
}
