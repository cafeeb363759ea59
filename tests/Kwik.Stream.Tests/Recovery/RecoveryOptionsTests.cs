using Kwik.Data;

namespace Kwik.Streams.Tests;

public sealed class RecoveryOptionsTests
{
    private static readonly TimeSpan Tick = TimeSpan.FromTicks(1);

    private static readonly TimeSpan Shortest = TimeSpan.FromMilliseconds(10);

    [Fact]
    public void Default_IsAsDocumentedAndValid()
    {
        var options = new RecoveryOptions();
        options.Validate();

        Assert.Equal(TimeSpan.FromSeconds(2), options.ReorderTimeout);
        Assert.Equal(TimeSpan.FromSeconds(30), options.AggregationTimeout);
        Assert.Same(RecoveryOptions.DefaultRules, options.Rules);
    }

    [Fact]
    public void DefaultRules_EveryFaultOfAServer_IsolateTheSecondTimeAndALieAtOnce()
    {
        foreach (IGrouping<KwikError, RecoveryRule> rules in RecoveryOptions.DefaultRules.GroupBy(rule => rule.Error))
        {
            RecoveryAction first = rules.Key == KwikError.MetadataProtocolViolation
                ? RecoveryAction.RequestResend
                : RecoveryAction.RequestRetransmission;
            RecoveryAction[] expected = rules.Key switch
            {
                KwikError.Timeout => [first],
                KwikError.ContentMismatch => [RecoveryAction.IsolateSource],
                _ => [first, RecoveryAction.IsolateSource],
            };
            Assert.Equal(expected, rules.Select(rule => rule.Action));
        }

        Assert.Equal(
            [
                KwikError.Timeout, KwikError.FinalSize, KwikError.Checksum, KwikError.ContentMismatch, KwikError.StreamMappingConflict,
                KwikError.OffsetSyncFailure, KwikError.MetadataProtocolViolation, KwikError.AggregationTimeout,
            ],
            RecoveryOptions.DefaultRules.Select(rule => rule.Error).Distinct().Order());
    }

    [Fact]
    public void Validate_EdgeOfTheRange_Passes()
    {
        With(Shortest, Shortest).Validate();
        With(Shortest, TimeSpan.FromHours(1)).Validate();
        With(TimeSpan.FromMinutes(5), TimeSpan.FromMinutes(5)).Validate();
        new RecoveryOptions { Rules = [] }.Validate();
    }

    [Fact]
    public void Validate_TimeBeyondItsRange_ThrowsAndNamesValueAndBound()
    {
        TimeSpan longest = TimeSpan.FromMinutes(5);
        AssertRefused(With(Shortest - Tick, longest), nameof(RecoveryOptions.ReorderTimeout), Shortest - Tick, Shortest);
        AssertRefused(With(longest + Tick, longest + Tick), nameof(RecoveryOptions.ReorderTimeout), longest + Tick, longest);
        AssertRefused(With(longest, longest - Tick), nameof(RecoveryOptions.AggregationTimeout), longest - Tick, longest);
        TimeSpan hour = TimeSpan.FromHours(1);
        AssertRefused(With(longest, hour + Tick), nameof(RecoveryOptions.AggregationTimeout), hour + Tick, hour);
    }

    [Fact]
    public void Validate_EveryActionForEveryError_TakesThoseThatFit()
    {
        foreach (KwikError error in Enum.GetValues<KwikError>().Where(error => error != KwikError.None))
        {
            bool isMetadata = error is KwikError.MetadataProtocolViolation or KwikError.Timeout;
            foreach (RecoveryAction action in Enum.GetValues<RecoveryAction>())
            {
                bool fits = action switch
                {
                    RecoveryAction.IgnoreCorrupted => error == KwikError.Checksum,
                    RecoveryAction.RequestResend or RecoveryAction.UseDefaults or RecoveryAction.IgnoreStream => isMetadata,
                    _ => true,
                };
                var options = new RecoveryOptions { Rules = [new(error, action)] };
                if (fits)
                {
                    options.Validate();
                    continue;
                }

                ArgumentException e = Assert.Throws<ArgumentException>(options.Validate);
                Assert.Equal(nameof(RecoveryOptions.Rules), e.ParamName);
                Assert.Contains($"{action} is no way to treat {error}", e.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Validate_BadRuleBehindGoodOnes_Throws()
    {
        var options = new RecoveryOptions { Rules = [.. RecoveryOptions.DefaultRules, new(KwikError.Checksum, (RecoveryAction)99)] };
        ArgumentException e = Assert.Throws<ArgumentException>(options.Validate);
        Assert.Contains("99 is no way to treat Checksum", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(KwikError.None)]
    [InlineData((KwikError)0x7f)]
    public void Validate_RuleForWhatIsNoFault_Throws(KwikError error)
    {
        var options = new RecoveryOptions { Rules = [new(error, RecoveryAction.CloseStream)] };
        ArgumentException e = Assert.Throws<ArgumentException>(options.Validate);
        Assert.Equal(nameof(RecoveryOptions.Rules), e.ParamName);
        Assert.Contains($"{error}", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Validate_NullForTheRules_Throws()
    {
        ArgumentException e = Assert.ThrowsAny<ArgumentException>(new RecoveryOptions { Rules = null! }.Validate);
        Assert.Equal(nameof(RecoveryOptions.Rules), e.ParamName);
        e = Assert.ThrowsAny<ArgumentException>(new RecoveryOptions { Rules = [null!] }.Validate);
        Assert.Equal(nameof(RecoveryOptions.Rules), e.ParamName);
    }

    private static RecoveryOptions With(TimeSpan reorder, TimeSpan aggregation) =>
        new() { ReorderTimeout = reorder, AggregationTimeout = aggregation };

    private static void AssertRefused(RecoveryOptions options, string name, TimeSpan value, TimeSpan bound)
    {
        ArgumentOutOfRangeException e = Assert.Throws<ArgumentOutOfRangeException>(options.Validate);
        Assert.Equal(name, e.ParamName);
        Assert.Contains($"'{value}'", e.Message, StringComparison.Ordinal);
        Assert.Contains($"'{bound}'", e.Message, StringComparison.Ordinal);
    }
}
