using Kwik.Cli.Output;

namespace Kwik.Cli.Tests.Output;

/// <summary>What people write and read: sizes, rates and times.</summary>
public sealed class ByteSizeTests
{
    [Theory]
    [InlineData("0", 0)]
    [InlineData("1500", 1500)]
    [InlineData("17B", 17)]
    [InlineData("64KiB", 65_536)]
    [InlineData("1.5MiB", 1_572_864)]
    [InlineData("2G", 2_147_483_648)]
    [InlineData("1GB", 1_000_000_000)]
    public void Parse_Size_IsBytes(string text, long bytes)
    {
        Assert.True(ByteSize.TryParse(text, out long parsed));
        Assert.Equal(bytes, parsed);
    }

    [Theory]
    [InlineData("")]
    [InlineData("MiB")]
    [InlineData("-1")]
    [InlineData("1,5MiB")]
    [InlineData("1 MiB")]
    [InlineData("99999999999TiB")]
    public void Parse_WhatIsNoSize_IsRefused(string text) => Assert.False(ByteSize.TryParse(text, out _));

    [Theory]
    [InlineData("10Mbit/s", 1_250_000)]
    [InlineData("10mbit/s", 1_250_000)]
    [InlineData("10Mbit", 1_250_000)]
    [InlineData("500kbit/s", 62_500)]
    [InlineData("2.5Gbit/s", 312_500_000)]
    [InlineData("80000bit/s", 10_000)]
    [InlineData("2MiB/s", 2_097_152)]
    [InlineData("2MiB", 2_097_152)]
    [InlineData("1.5MB/s", 1_500_000)]
    public void Parse_Rate_IsBytesPerSecond(string text, long bytesPerSecond)
    {
        Assert.True(ByteSize.TryParseRate(text, out long parsed));
        Assert.Equal(bytesPerSecond, parsed);
    }

    // Half of the people would mean bits, and the other half bytes.
    [Theory]
    [InlineData("10")]
    [InlineData("10M")]
    [InlineData("10Mb/s")]
    [InlineData("10Mbps")]
    [InlineData("10M/s")]
    [InlineData("-1Mbit/s")]
    [InlineData("fast")]
    [InlineData("bit/s")]
    [InlineData("/s")]
    [InlineData("")]
    public void Parse_WhatIsNoRate_IsRefused(string text) => Assert.False(ByteSize.TryParseRate(text, out _));

    [Theory]
    [InlineData(0, "0 B")]
    [InlineData(1023, "1023 B")]
    [InlineData(1024, "1.0 KiB")]
    [InlineData(268_435_456, "256.0 MiB")]
    public void Format_Size_HasABinaryUnit(long bytes, string text) => Assert.Equal(text, ByteSize.Format(bytes));

    [Theory]
    [InlineData(0, "0 bit/s")]
    [InlineData(870, "870 bit/s")]
    [InlineData(64_000, "64.0 kbit/s")]
    [InlineData(149_812_345, "149.8 Mbit/s")]
    [InlineData(999_960_000, "1.0 Gbit/s")]
    [InlineData(2_500_000_000, "2.5 Gbit/s")]
    public void Format_Rate_HasADecimalUnit(double bitsPerSecond, string text) => Assert.Equal(text, ByteSize.FormatRate(bitsPerSecond));

    [Theory]
    [InlineData(0, "0 s")]
    [InlineData(0.2, "1 s")]
    [InlineData(59, "59 s")]
    [InlineData(59.5, "1 min 00 s")]
    [InlineData(200, "3 min 20 s")]
    [InlineData(7500, "2 h 05 min")]
    [InlineData(273_600, "3 d 4 h")]
    public void Format_Time_IsAsPeopleSayIt(double seconds, string text) =>
        Assert.Equal(text, ByteSize.FormatTime(TimeSpan.FromSeconds(seconds)));
}
