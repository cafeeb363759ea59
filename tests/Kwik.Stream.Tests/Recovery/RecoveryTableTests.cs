using Kwik.Data;

namespace Kwik.Streams.Tests;

public sealed class RecoveryTableTests
{
    private readonly RecoveryTable _table = new(
    [
        new(KwikError.Checksum, RecoveryAction.IgnoreCorrupted),
        new(KwikError.Timeout, RecoveryAction.IgnoreStream),
        new(KwikError.Checksum, RecoveryAction.RequestRetransmission),
        new(KwikError.Checksum, RecoveryAction.RequestRetransmission),
        new(KwikError.Checksum, RecoveryAction.IsolateSource),
        new(KwikError.Timeout, RecoveryAction.CloseStream),
    ]);

    [Fact]
    public void Next_FaultAfterFault_FollowsItsRulesInOrderAndStaysAtTheLast() => Assert.Equal(
        [
            RecoveryAction.IgnoreCorrupted, RecoveryAction.RequestRetransmission, RecoveryAction.RequestRetransmission,
            RecoveryAction.IsolateSource, RecoveryAction.IsolateSource, RecoveryAction.IsolateSource,
        ],
        Next(6, stream: 4, path: 1, KwikError.Checksum));

    [Fact]
    public void Next_AnotherStreamPathOrError_IsCountedApart()
    {
        Next(3, stream: 4, path: 1, KwikError.Checksum);
        Assert.Equal(RecoveryAction.IgnoreCorrupted, _table.Next(8, 1, KwikError.Checksum));
        Assert.Equal(RecoveryAction.IgnoreCorrupted, _table.Next(4, 2, KwikError.Checksum));
        Assert.Equal(RecoveryAction.IgnoreStream, _table.Next(4, 1, KwikError.Timeout));
        Assert.Equal(RecoveryAction.CloseStream, _table.Next(4, 1, KwikError.Timeout));
        Assert.Equal(RecoveryAction.IsolateSource, _table.Next(4, 1, KwikError.Checksum));
    }

    [Fact]
    public void Next_FaultThatNoRuleNames_IsAskedForAgainEveryTime()
    {
        Assert.All(
            Next(5, stream: 4, path: 1, KwikError.FinalSize), action => Assert.Equal(RecoveryAction.RequestRetransmission, action));
        Assert.Equal(RecoveryAction.RequestRetransmission, new RecoveryTable([]).Next(4, 1, KwikError.Checksum));
    }

    [Fact]
    public void Forget_OneStream_BeginsAnewForItAndNoOther()
    {
        Next(3, stream: 4, path: 1, KwikError.Checksum);
        Next(3, stream: 4, path: 2, KwikError.Checksum);
        Next(1, stream: 4, path: 1, KwikError.Timeout);
        Next(3, stream: 8, path: 1, KwikError.Checksum);
        _table.Forget(4);
        _table.Forget(100);
        Assert.Equal(RecoveryAction.IgnoreCorrupted, _table.Next(4, 1, KwikError.Checksum));
        Assert.Equal(RecoveryAction.IgnoreCorrupted, _table.Next(4, 2, KwikError.Checksum));
        Assert.Equal(RecoveryAction.IgnoreStream, _table.Next(4, 1, KwikError.Timeout));
        Assert.Equal(RecoveryAction.IsolateSource, _table.Next(8, 1, KwikError.Checksum));
    }

    private RecoveryAction[] Next(int times, long stream, int path, KwikError error) =>
        [.. Enumerable.Range(0, times).Select(_ => _table.Next(stream, path, error))];
}
