using System.Text;
using FsCheck.Fluent;
using Kwik.Testing;

namespace Kwik.Data.Tests;

public sealed class Crc32CTests
{
    // The vectors of RFC 3720, appendix B.4, and the usual check value.
    [Fact]
    public void Compute_KnownVectors_GivesKnownSums()
    {
        Assert.Equal(0u, Crc32C.Compute([]));
        Assert.Equal(0xe3069283u, Crc32C.Compute(Encoding.ASCII.GetBytes("123456789")));
        Assert.Equal(0x8a9136aau, Crc32C.Compute(new byte[32]));
        Assert.Equal(0x62a8ab43u, Crc32C.Compute(Enumerable.Repeat((byte)0xff, 32).ToArray()));
        Assert.Equal(0x46dd794eu, Crc32C.Compute(Enumerable.Range(0, 32).Select(i => (byte)i).ToArray()));
        Assert.Equal(0x113fdb5cu, Crc32C.Compute(Enumerable.Range(0, 32).Select(i => (byte)(31 - i)).ToArray()));
    }

    [Fact]
    public void Compute_AnyBytes_IsTheBitwiseDefinition() =>
        Property.Holds(Gen.Choose(0, 100).Two(), seedAndLength =>
        {
            byte[] bytes = Values.Bytes(seedAndLength.Item1, seedAndLength.Item2);
            Assert.Equal(Defined(bytes), Crc32C.Compute(bytes));
        });

    // Around 256 bytes, which are one step where products are used, around 3 KiB, which is summed in three runs elsewhere, their
    // multiples, and the largest payload that we write.
    [Theory]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(511)]
    [InlineData(512)]
    [InlineData(3 * 1024 - 1)]
    [InlineData(3 * 1024)]
    [InlineData(3 * 1024 + 1)]
    [InlineData(6 * 1024 + 1031)]
    [InlineData(64 * 1024)]
    public void Compute_OfLongData_IsTheBitwiseDefinition(int length)
    {
        byte[] bytes = Values.Bytes(seed: length, length);
        Assert.Equal(Defined(bytes), Crc32C.Compute(bytes));
        Assert.Equal(Defined(bytes), ~Crc32C.AppendInRuns(~0u, bytes));
        // Where memory of the same payload may begin.
        Assert.Equal(Defined(bytes.AsSpan(12)), Crc32C.Compute(bytes.AsSpan(12)));
    }

    [Fact]
    public void Append_InPiecesOfAnySize_IsComputeOfTheWhole()
    {
        byte[] bytes = Values.Bytes(seed: 1, length: 3000);
        Property.HoldsForLists(Gen.Choose(0, 600), maxLength: 20, cuts =>
        {
            uint crc = ~0u;
            ReadOnlySpan<byte> rest = bytes;
            foreach (int cut in cuts)
            {
                int length = Math.Min(cut, rest.Length);
                crc = Crc32C.Append(crc, rest[..length]);
                rest = rest[length..];
            }

            Assert.Equal(Crc32C.Compute(bytes), ~Crc32C.Append(crc, rest));
        });
    }

    [Fact]
    public void Compute_AnySingleBitFlipped_Differs()
    {
        byte[] bytes = Values.Bytes(seed: 2, length: 100);
        uint whole = Crc32C.Compute(bytes);
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.NotEqual(whole, Crc32C.Compute(bytes));
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    private static uint Defined(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte b in bytes)
        {
            crc ^= b;
            for (int bit = 0; bit < 8; bit++)
            {
                crc = (crc & 1) == 1 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
            }
        }

        return ~crc;
    }
}
