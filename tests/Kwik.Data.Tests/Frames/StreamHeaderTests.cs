using FsCheck.Fluent;
using Kwik.Testing;

namespace Kwik.Data.Tests;

public sealed class StreamHeaderTests
{
    [Fact]
    public void Write_AnyHeader_IsReadBack() => Property.Holds(Values.UInt64.Two(), pair =>
    {
        var id = new UInt128(pair.Item1, pair.Item2);
        foreach (StreamType type in Enum.GetValues<StreamType>())
        {
            var bytes = new byte[StreamHeader.Size];
            new StreamHeader(id, type).Write(bytes);

            Assert.True(StreamHeader.TryRead(bytes, out StreamHeader read));
            Assert.Equal(new StreamHeader(id, type), read);
        }
    });

    [Fact]
    public void Write_KnownHeader_IsIdInNetworkOrderThenType()
    {
        var bytes = new byte[StreamHeader.Size];
        new StreamHeader(new UInt128(0x0001020304050607, 0x08090a0b0c0d0e0f), StreamType.Internal).Write(bytes);

        Assert.Equal("000102030405060708090a0b0c0d0e0f03", Convert.ToHexStringLower(bytes));
    }

    [Fact]
    public void TryRead_EveryTypeByte_AcceptsTheFourOfVersion1()
    {
        var bytes = new byte[StreamHeader.Size];
        for (int type = 0; type < 256; type++)
        {
            bytes[16] = (byte)type;
            Assert.Equal(type <= 3, StreamHeader.TryRead(bytes, out _));
        }
    }

    [Fact]
    public void Create_Twice_GivesDifferentIds()
    {
        StreamHeader first = StreamHeader.Create(StreamType.Main);
        StreamHeader second = StreamHeader.Create(StreamType.Main);

        Assert.NotEqual(first.Id, second.Id);
        Assert.Equal(StreamType.Main, first.Type);
    }
}
