namespace Kwik.Streams.Tests;

public sealed class MessageOptionsTests
{
    private static readonly MessageOptions Default = new();

    public static TheoryData<MessageOptions> Allowed =>
    [
        Default,
        Default with { MaxMessageSize = 1, MaxIncompleteBytes = 3, MaxIncompleteMessages = 3, CompressionThreshold = 64 },
        Default with { MaxMessageSize = 256 * 1024 * 1024, MaxIncompleteBytes = 1024 * 1024 * 1024, MaxIncompleteMessages = 1024 },
        Default with { CompressionThreshold = 1024 * 1024, Rate = new() { MessagesPerSecond = 1, BytesPerSecond = 1024 } },
        Default with { Rate = new() { MessagesPerSecond = 1_000_000, BytesPerSecond = int.MaxValue } },
    ];

    public static TheoryData<MessageOptions> Refused =>
    [
        Default with { MaxMessageSize = 0 },
        Default with { MaxMessageSize = (256 * 1024 * 1024) + 1, MaxIncompleteBytes = 1024 * 1024 * 1024 },
        Default with { MaxMessageSize = 1000, MaxIncompleteBytes = 2999 },
        Default with { MaxIncompleteBytes = (1024 * 1024 * 1024) + 1 },
        Default with { MaxIncompleteMessages = 2 },
        Default with { MaxIncompleteMessages = 1025 },
        Default with { CompressionThreshold = 63 },
        Default with { CompressionThreshold = (1024 * 1024) + 1 },
        Default with { Rate = new() { MessagesPerSecond = 0 } },
        Default with { Rate = new() { MessagesPerSecond = 1_000_001 } },
        Default with { Rate = new() { BytesPerSecond = 1023 } },
    ];

    [Theory]
    [MemberData(nameof(Allowed))]
    public void Validate_InRange_Passes(MessageOptions options) => options.Validate();

    [Theory]
    [MemberData(nameof(Refused))]
    public void Validate_OutOfRange_Throws(MessageOptions options) => Assert.Throws<ArgumentOutOfRangeException>(options.Validate);

    [Fact]
    public async Task Channel_WithAnOptionOutOfRange_IsNotMade()
    {
        await using var pair = new StreamPair();
        Assert.Throws<ArgumentOutOfRangeException>(() => new MessageChannel(pair.Client, new() { MaxMessageSize = 0 }));
    }
}
