using Google.Protobuf;
using Kwik.Testing;

namespace Kwik.Data.Tests;

public sealed class VarIntTests
{
    [Fact]
    public void Write_AnyValue_IsWhatProtobufWrites() => Property.Holds(Values.UInt64, value =>
    {
        var bytes = new byte[VarInt.MaxSize];
        int written = VarInt.Write(bytes, value);

        using var expected = new MemoryStream();
        using (var output = new CodedOutputStream(expected, leaveOpen: true))
        {
            output.WriteUInt64(value);
        }

        Assert.Equal(expected.ToArray(), bytes[..written]);
        Assert.Equal(written, VarInt.SizeOf(value));
    });

    [Fact]
    public void Read_WrittenValue_GivesItBackAndIgnoresWhatFollows() => Property.Holds(Values.UInt64, value =>
    {
        var bytes = new byte[VarInt.MaxSize + 1];
        bytes.AsSpan().Fill(0xff);
        int written = VarInt.Write(bytes, value);

        Assert.Equal(written, VarInt.Read(bytes, out ulong read));
        Assert.Equal(value, read);
    });

    [Fact]
    public void Read_CutAnywhere_AsksForMore() => Property.Holds(Values.UInt64, value =>
    {
        var bytes = new byte[VarInt.MaxSize];
        int written = VarInt.Write(bytes, value);
        for (int length = 0; length < written; length++)
        {
            Assert.Equal(0, VarInt.Read(bytes.AsSpan(0, length), out _));
        }
    });

    [Theory]
    [InlineData("00", 1, 0UL)]
    [InlineData("7f", 1, 127UL)]
    [InlineData("8001", 2, 128UL)]
    [InlineData("8000", 2, 0UL)] // Longer than needed, which protobuf allows.
    [InlineData("ffffffffffffffffff01", 10, ulong.MaxValue)]
    [InlineData("80808080808080808000", 10, 0UL)]
    public void Read_ValidForm_GivesValue(string hex, int length, ulong value)
    {
        Assert.Equal(length, VarInt.Read(Convert.FromHexString(hex), out ulong read));
        Assert.Equal(value, read);
    }

    [Theory]
    [InlineData("ffffffffffffffffff02")] // 2^64 and more
    [InlineData("ffffffffffffffffff7f")]
    [InlineData("ffffffffffffffffffff")]
    [InlineData("8080808080808080808001")] // eleven bytes
    public void Read_NoNumberOf64Bits_IsRefused(string hex) => Assert.Equal(-1, VarInt.Read(Convert.FromHexString(hex), out _));
}
