using FsCheck;
using FsCheck.Fluent;

namespace Kwik.Data.Tests;

/// <summary>Random values that favour the edges.</summary>
internal static class Values
{
    public static Gen<ulong> UInt64 { get; } =
        from shift in Gen.Choose(0, 63)
        from high in Gen.Choose(int.MinValue, int.MaxValue)
        from low in Gen.Choose(int.MinValue, int.MaxValue)
        from edge in Gen.Choose(0, 9)
        select edge switch
        {
            0 => 1UL << shift,
            1 => (1UL << shift) - 1,
            _ => (((ulong)(uint)high << 32) | (uint)low) >> shift,
        };

    /// <summary>0 to 2^62-1.</summary>
    public static Gen<long> Offset { get; } = UInt64.Select(value => (long)(value & (ulong)StreamFrame.MaxOffset));

    /// <summary>0 to 1 MiB.</summary>
    public static Gen<int> PayloadLength { get; } = Gen.OneOf(
        Gen.Elements(0, 1, 127, 128, 16_383, 16_384, 65_536, StreamFrame.MaxPayloadSize),
        Gen.Choose(0, StreamFrame.MaxPayloadSize));

    public static Gen<uint> UInt32 { get; } = UInt64.Select(value => (uint)value);

    public static byte[] Bytes(int seed, int length)
    {
        var bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
