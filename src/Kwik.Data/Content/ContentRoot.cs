using System.Buffers.Binary;

namespace Kwik.Data;

/// <summary>
/// Names a content everywhere: the root of the SHA-256 Merkle tree over its leaves (see <see cref="ContentHasher"/>).
/// Equal roots mean equal bytes, for a given leaf size.
/// </summary>
public readonly record struct ContentRoot
{
    /// <summary>Size of a root: 32 bytes.</summary>
    public const int Size = 32;

    private readonly UInt128 _high;
    private readonly UInt128 _low;

    /// <summary>Reads 32 bytes.</summary>
    /// <exception cref="ArgumentException">The span has another length.</exception>
    public ContentRoot(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Size)
        {
            throw new ArgumentException($"A content root has {Size} bytes, not {bytes.Length}.", nameof(bytes));
        }

        _high = BinaryPrimitives.ReadUInt128BigEndian(bytes);
        _low = BinaryPrimitives.ReadUInt128BigEndian(bytes[16..]);
    }

    /// <summary>The 32 bytes.</summary>
    public byte[] ToByteArray()
    {
        var bytes = new byte[Size];
        BinaryPrimitives.WriteUInt128BigEndian(bytes, _high);
        BinaryPrimitives.WriteUInt128BigEndian(bytes.AsSpan(16), _low);
        return bytes;
    }

    /// <summary>64 lower-case hexadecimal digits.</summary>
    public override string ToString() => Convert.ToHexStringLower(ToByteArray());
}
