namespace Kwik.Relay.Tests;

public class LinkOptionsTests
{
    public static TheoryData<string, LinkOptions> OutOfRange => new()
    {
        { nameof(LinkOptions.BitsPerSecond), new() { BitsPerSecond = 0 } },
        { nameof(LinkOptions.BitsPerSecond), new() { BitsPerSecond = 100_000_000_001 } },
        { nameof(LinkOptions.QueueBytes), new() { QueueBytes = 0 } },
        { nameof(LinkOptions.Delay), new() { Delay = TimeSpan.FromTicks(-1) } },
        { nameof(LinkOptions.Delay), new() { Delay = TimeSpan.FromSeconds(61) } },
        { nameof(LinkOptions.Jitter), new() { Jitter = TimeSpan.FromTicks(-1) } },
        { nameof(LinkOptions.Loss), new() { Loss = 1.01 } },
        { nameof(LinkOptions.Loss), new() { Loss = double.NaN } },
        { nameof(LinkOptions.LossBurst), new() { LossBurst = 0 } },
        { nameof(LinkOptions.Reordering), new() { Reordering = -0.1 } },
        { nameof(LinkOptions.ReorderingDelay), new() { ReorderingDelay = TimeSpan.FromTicks(-1) } },
        { nameof(LinkOptions.Duplication), new() { Duplication = 2 } },
        { nameof(LinkOptions.Corruption), new() { Corruption = -1 } },
        { nameof(LinkOptions.LongHeaderCorruption), new() { LongHeaderCorruption = 1.1 } },
        { nameof(LinkOptions.MaxDatagramBytes), new() { MaxDatagramBytes = 0 } },
    };

    [Theory]
    [MemberData(nameof(OutOfRange))]
    public void Validate_OutOfRange_NamesTheOption(string option, LinkOptions options)
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(options.Validate);
        Assert.Equal(option, error.ParamName);
        Assert.Contains(option, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Validate_LimitsThemselves_Pass() => new LinkOptions
    {
        BitsPerSecond = 1,
        QueueBytes = 1,
        Delay = TimeSpan.FromMinutes(1),
        Jitter = TimeSpan.FromMinutes(1),
        Loss = 1,
        Reordering = 1,
        Duplication = 1,
        Corruption = 1,
        LongHeaderCorruption = 1,
        MaxDatagramBytes = 1,
        DropPositions = new HashSet<long> { 0 },
    }.Validate();

    [Fact]
    public void Constructor_InvalidOptions_Throws() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new LinkShaper(new() { Loss = 2 }, 0));
}
