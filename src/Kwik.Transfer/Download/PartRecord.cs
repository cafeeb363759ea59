using System.Buffers.Binary;
using System.Security.Cryptography;
using Kwik.Data;

namespace Kwik.Transfer;

/// <summary>Which leaves of a content a part file has on the disk, as it is recorded beside it.</summary>
/// <remarks>
/// Little-endian: "kwikpart", version (4 bytes), leaf size (4), length (8), root (32), then offset (8) and length (8) of every
/// range, in order, and the SHA-256 of all this. Replaced as a whole, under another name first.
/// </remarks>
internal sealed record PartRecord(ContentOffer Offer, IReadOnlyList<(long Offset, long Length)> Ranges)
{
    /// <summary>What is beyond, of a part with so many holes, is fetched again: the record stays within 1 MiB.</summary>
    public const int MaxRanges = 65_536;

    private const uint Version = 1;
    private const int HeaderSize = 56;
    private const int RangeSize = 16;
    private const string TemporarySuffix = "-new";

    /// <summary>Bytes that it vouches for.</summary>
    public long Bytes => Ranges.Sum(range => range.Length);

    /// <summary>What the file says; null when it is not there, damaged, or of another version of this program.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">This process may not read it.</exception>
    public static PartRecord? Read(string path) =>
        FileKind.IsRegular(path) && new FileInfo(path).Length <= HeaderSize + (MaxRanges * RangeSize) + SHA256.HashSizeInBytes
            ? Decode(File.ReadAllBytes(path))
            : null;

    /// <summary>Removes the file, and what an interrupted writing of it left.</summary>
    public static void Delete(string path)
    {
        File.Delete(path);
        File.Delete(path + TemporarySuffix);
    }

    /// <summary>Replaces the file, and has it on the disk.</summary>
    public void Write(string path)
    {
        byte[] bytes = Encode();
        using (var file = new FileStream(path + TemporarySuffix, FileMode.Create, FileAccess.Write))
        {
            file.Write(bytes);
            file.Flush(flushToDisk: true);
        }

        File.Move(path + TemporarySuffix, path, overwrite: true);
    }

    private byte[] Encode()
    {
        var bytes = new byte[HeaderSize + (Ranges.Count * RangeSize) + SHA256.HashSizeInBytes];
        "kwikpart"u8.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), Version);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), Offer.LeafSize);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(16), Offer.Length);
        Offer.Root.ToByteArray().CopyTo(bytes.AsSpan(24));
        int at = HeaderSize;
        foreach ((long offset, long length) in Ranges)
        {
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(at), offset);
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(at + 8), length);
            at += RangeSize;
        }

        SHA256.HashData(bytes.AsSpan(0, at), bytes.AsSpan(at));
        return bytes;
    }

    private static PartRecord? Decode(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.Length - SHA256.HashSizeInBytes;
        if (end < HeaderSize || !bytes.StartsWith("kwikpart"u8) || BinaryPrimitives.ReadUInt32LittleEndian(bytes[8..]) != Version
            || !SHA256.HashData(bytes[..end]).AsSpan().SequenceEqual(bytes[end..]))
        {
            return null;
        }

        var offer = new ContentOffer(
            new ContentRoot(bytes.Slice(24, ContentRoot.Size)),
            BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]),
            BinaryPrimitives.ReadInt32LittleEndian(bytes[12..]));
        var ranges = new List<(long Offset, long Length)>();
        for (int at = HeaderSize; at < end; at += RangeSize)
        {
            ranges.Add((BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]), BinaryPrimitives.ReadInt64LittleEndian(bytes[(at + 8)..])));
        }

        return new(offer, ranges);
    }
}
