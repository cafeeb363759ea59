namespace Kwik.Data.Tests;

public sealed class AggregatorOptionsTests
{
    [Fact]
    public void Default_IsAsDocumentedAndValid()
    {
        var options = new AggregatorOptions();
        options.Validate();

        Assert.Equal(16 * 1024 * 1024, options.MaxPendingBytes);
        Assert.Equal(1000, options.MaxGaps);
        Assert.Equal(ConflictResolution.FirstWins, options.ConflictResolution);
    }

    [Theory]
    [InlineData(64 * 1024, 1, ConflictResolution.FirstWins)]
    [InlineData(1L << 30, 100_000, ConflictResolution.Reject)]
    public void Validate_EdgeOfTheRange_Passes(long pending, int gaps, ConflictResolution resolution) =>
        new AggregatorOptions { MaxPendingBytes = pending, MaxGaps = gaps, ConflictResolution = resolution }.Validate();

    [Theory]
    [InlineData((64 * 1024) - 1, 1000, ConflictResolution.FirstWins, nameof(AggregatorOptions.MaxPendingBytes))]
    [InlineData((1L << 30) + 1, 1000, ConflictResolution.FirstWins, nameof(AggregatorOptions.MaxPendingBytes))]
    [InlineData(long.MinValue, 1000, ConflictResolution.FirstWins, nameof(AggregatorOptions.MaxPendingBytes))]
    [InlineData(1 << 20, 0, ConflictResolution.FirstWins, nameof(AggregatorOptions.MaxGaps))]
    [InlineData(1 << 20, 100_001, ConflictResolution.FirstWins, nameof(AggregatorOptions.MaxGaps))]
    [InlineData(1 << 20, 1000, (ConflictResolution)4, nameof(AggregatorOptions.ConflictResolution))]
    [InlineData(1 << 20, 1000, (ConflictResolution)(-1), nameof(AggregatorOptions.ConflictResolution))]
    public void Validate_ValueOutOfRange_ThrowsAndNamesIt(long pending, int gaps, ConflictResolution resolution, string name)
    {
        var options = new AggregatorOptions { MaxPendingBytes = pending, MaxGaps = gaps, ConflictResolution = resolution };
        Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(options.Validate).ParamName);
    }
}
