namespace Kwik.Streams.Tests;

public sealed class SecondaryStreamOptionsTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    /// <summary>Each value at both of its edges, and one step beyond.</summary>
    public static TheoryData<string, object, object, object> Bounds => new()
    {
        { nameof(SecondaryStreamOptions.MaxStreamsPerPath), 1, 1024, 1 },
        { nameof(SecondaryStreamOptions.StreamTimeout), TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10), Tick },
        { nameof(SecondaryStreamOptions.BufferSize), 4 * 1024, 64 * 1024, 1 },
        { nameof(SecondaryStreamOptions.MetadataTimeout), TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(1), Tick },
        { nameof(SecondaryStreamOptions.AggregationBatchSize), 1, 256, 1 },
        { nameof(SecondaryStreamOptions.MappingTryTimeout), TimeSpan.FromMilliseconds(10), TimeSpan.FromSeconds(10), Tick },
        { nameof(SecondaryStreamOptions.MappingRetries), 0, 8, 1 },
    };

    [Fact]
    public void Default_IsAsDocumentedAndValid()
    {
        var options = new SecondaryStreamOptions();
        options.Validate();

        Assert.Equal(64, options.MaxStreamsPerPath);
        Assert.Equal(TimeSpan.FromSeconds(10), options.StreamTimeout);
        Assert.Equal(64 * 1024, options.BufferSize);
        Assert.Equal(TimeSpan.FromSeconds(5), options.MetadataTimeout);
        Assert.Equal(16, options.AggregationBatchSize);
        Assert.Equal(TimeSpan.FromMilliseconds(500), options.MappingTryTimeout);
        Assert.Equal(3, options.MappingRetries);
    }

    [Fact]
    public void Bounds_AreThoseOfEveryOption() => Assert.Equal(
        typeof(SecondaryStreamOptions).GetProperties().Select(property => property.Name).Order(),
        Bounds.Select(row => row.Data.Item1).Order());

    [Theory]
    [MemberData(nameof(Bounds))]
    public void Validate_EdgeOfTheRange_Passes(string name, object lowest, object highest, object step)
    {
        Assert.NotNull(step);
        With(name, lowest).Validate();
        With(name, highest).Validate();
    }

    [Theory]
    [MemberData(nameof(Bounds))]
    public void Validate_BeyondTheRange_ThrowsAndNamesValueAndBound(string name, object lowest, object highest, object step)
    {
        AssertRefused(name, Add(lowest, step, -1), lowest);
        AssertRefused(name, Add(highest, step, 1), highest);
    }

    private static void AssertRefused(string name, object value, object bound)
    {
        ArgumentOutOfRangeException e = Assert.Throws<ArgumentOutOfRangeException>(With(name, value).Validate);
        Assert.Equal(name, e.ParamName);
        Assert.Contains($"'{value}'", e.Message, StringComparison.Ordinal);
        Assert.Contains($"'{bound}'", e.Message, StringComparison.Ordinal);
    }

    private static object Add(object value, object step, int sign) => value is TimeSpan time
        ? time + (sign * (TimeSpan)step)
        : (int)value + (sign * (int)step);

    private static SecondaryStreamOptions With(string name, object value)
    {
        var options = new SecondaryStreamOptions();
        typeof(SecondaryStreamOptions).GetProperty(name)!.SetValue(options, value);
        return options;
    }
}
