namespace Kwik.Data.Tests;

public sealed class DeliveryOptionsTests
{
    public static TheoryData<string, double, double> Ranges { get; } = new()
    {
        { nameof(DeliveryOptions.LeaseTime), 10, 10_000 },
        { nameof(DeliveryOptions.MaxLease), 65_536, 67_108_864 },
        { nameof(DeliveryOptions.Slack), 10, 5000 },
        { nameof(DeliveryOptions.SuspectAfter), 20, 60_000 },
        { nameof(DeliveryOptions.DeadAfter), 2, 20 },
        { nameof(DeliveryOptions.ProbeInterval), 100, 60_000 },
        { nameof(DeliveryOptions.DuplicateShare), 0, 1 },
        { nameof(DeliveryOptions.BlockedDuplicateShare), 0.02, 1 },
    };

    [Fact]
    public void Validate_OfTheDefaults_AcceptsThem() => new DeliveryOptions().Validate();

    [Theory]
    [MemberData(nameof(Ranges))]
    public void Validate_AtAndBesideTheBounds_NamesTheOptionThatIsOutside(string name, double lowest, double highest)
    {
        With(name, lowest).Validate();
        With(name, highest).Validate();

        double step = name.EndsWith("Share", StringComparison.Ordinal) ? 1e-6 : 1;
        Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(With(name, lowest - step).Validate).ParamName);
        Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(With(name, highest + step).Validate).ParamName);
    }

    [Theory]
    [InlineData(nameof(DeliveryOptions.DuplicateShare))]
    [InlineData(nameof(DeliveryOptions.BlockedDuplicateShare))]
    public void Validate_OfNotANumber_NamesTheOption(string name) =>
        Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(With(name, double.NaN).Validate).ParamName);

    private static DeliveryOptions With(string name, double value)
    {
        var options = new DeliveryOptions { BlockedDuplicateShare = name == nameof(DeliveryOptions.DuplicateShare) ? 1 : 0.05 };
        TimeSpan time = TimeSpan.FromMilliseconds(name.EndsWith("Share", StringComparison.Ordinal) ? 0 : value);
        return name switch
        {
            nameof(DeliveryOptions.LeaseTime) => options with { LeaseTime = time },
            nameof(DeliveryOptions.MaxLease) => options with { MaxLease = (int)value },
            nameof(DeliveryOptions.Slack) => options with { Slack = time },
            nameof(DeliveryOptions.SuspectAfter) => options with { SuspectAfter = time },
            nameof(DeliveryOptions.DeadAfter) => options with { DeadAfter = (int)value },
            nameof(DeliveryOptions.ProbeInterval) => options with { ProbeInterval = time },
            nameof(DeliveryOptions.DuplicateShare) => options with { DuplicateShare = value },
            _ => options with { BlockedDuplicateShare = value },
        };
    }
}
