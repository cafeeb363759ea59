using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;
using RangeLost = Kwik.Sessions.RangeLost;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// What each line of <see cref="RecoveryOptions.Rules"/> does about pushed bytes. <see cref="RecoveryTests"/> is about those
/// that were asked for, <see cref="SlowServerTests"/> about servers that are too slow.
/// </summary>
public sealed class PushRecoveryTests
{
    private const int Size = 3000;
    private static readonly byte[] Content = PushScene.RandomBytes(1, Size);

    public enum Fault
    {
        BeyondTheEnd,
        OutsideTheRange,
        WrongSum,
        OpenedTwice,
        NoCloseFrame,
    }

    private static Dictionary<Fault, KwikError> Codes { get; } = new()
    {
        [Fault.BeyondTheEnd] = KwikError.FinalSize,
        [Fault.OutsideTheRange] = KwikError.StreamMappingConflict,
        [Fault.WrongSum] = KwikError.Checksum,
        [Fault.OpenedTwice] = KwikError.MetadataProtocolViolation,
        [Fault.NoCloseFrame] = KwikError.MetadataProtocolViolation,
    };

    [Theory]
    [InlineData(Fault.BeyondTheEnd, RecoveryAction.RequestRetransmission)]
    [InlineData(Fault.OutsideTheRange, RecoveryAction.RequestRetransmission)]
    [InlineData(Fault.WrongSum, RecoveryAction.RequestRetransmission)]
    [InlineData(Fault.OpenedTwice, RecoveryAction.RequestRetransmission)]
    [InlineData(Fault.OpenedTwice, RecoveryAction.RequestResend)]
    [InlineData(Fault.NoCloseFrame, RecoveryAction.RequestRetransmission)]
    public void Fault_Once_NamesWhatIsMissingToThePrimary(Fault fault, RecoveryAction action) => Run(fault, [action], async scene =>
    {
        await CommitAsync(scene, fault, 0);

        RangeLost lost = Assert.Single(scene.Lost());
        Assert.Equal((1000, Size - 1000, 1, Codes[fault]), (lost.Offset, lost.Length, lost.PathId, lost.Error));
        Assert.Equal([(Codes[fault], action)], Treated(scene));
        Assert.Equal(PathState.Active, scene.Path(1).State);
        await AssertWholeAsync(scene, lost);
    });

    [Theory]
    [InlineData(Fault.BeyondTheEnd)]
    [InlineData(Fault.OutsideTheRange)]
    [InlineData(Fault.WrongSum)]
    [InlineData(Fault.OpenedTwice)]
    public void Fault_WithIsolateSource_TakesTheServerOutAndNamesWhatIsMissing(Fault fault) =>
        Run(fault, [RecoveryAction.IsolateSource], async scene =>
        {
            await CommitAsync(scene, fault, 0);
            Assert.Equal(PathState.Removed, scene.Path(1).State);
            await AssertWholeAsync(scene, Assert.Single(scene.Lost()));
        });

    [Theory]
    [InlineData(Fault.BeyondTheEnd)]
    [InlineData(Fault.OutsideTheRange)]
    [InlineData(Fault.WrongSum)]
    [InlineData(Fault.OpenedTwice)]
    public void Fault_WithCloseStream_FailsTheStreamAndLeavesThePath(Fault fault) => Run(fault, [RecoveryAction.CloseStream], async scene =>
    {
        await CommitAsync(scene, fault, 0);
        (byte[] received, KwikException? e) = await scene.ReadAsync();
        Assert.Equal((Codes[fault], 1, scene.Stream.Id), (e?.Code, e?.PathId, e?.StreamId));
        Assert.True(Content.AsSpan().StartsWith(received));
        Assert.Equal(PathState.Active, scene.Path(1).State);
    });

    [Theory]
    [InlineData(Fault.BeyondTheEnd)]
    [InlineData(Fault.OutsideTheRange)]
    [InlineData(Fault.WrongSum)]
    [InlineData(Fault.OpenedTwice)]
    public void Fault_TwiceWithTheDefaultRules_TakesTheServerOut(Fault fault) => Run(fault, null, async scene =>
    {
        await CommitAsync(scene, fault, 0);
        Assert.Equal(PathState.Active, scene.Path(1).State);
        // It is given another chance.
        await scene.GrantAsync(1, 1000, fault == Fault.BeyondTheEnd ? 2 * Size : Size - 1000);
        await CommitAsync(scene, fault, 1000);
        Assert.Equal(PathState.Removed, scene.Path(1).State);
        Assert.Equal(
            RecoveryOptions.DefaultRules.Where(rule => rule.Error == Codes[fault]).Select(rule => (rule.Error, rule.Action)),
            Treated(scene));
        await AssertWholeAsync(scene, scene.Lost()[^1]);
    });

    [Fact]
    public void CorruptPiece_WithIgnoreCorrupted_IsLeftOutAndTheStreamGoesOn() =>
        Run(Fault.WrongSum, [RecoveryAction.IgnoreCorrupted], async scene =>
        {
            ITransportStream pushed = await scene.BeginAsync(1, (0, Content[..1000]));
            await pushed.WriteAsync(
                RawPeer.Bytes(
                    (StreamFrame.Data(500, checksum: 1), Content[1000..1500]),
                    (StreamFrame.Data(1500), Content[1500..]),
                    (StreamFrame.Close(Size), [])),
                completeWrites: true);
            await scene.SettleAsync();

            Assert.Equal(KwikError.None, await PushScene.OutcomeAsync(pushed));
            RangeLost lost = Assert.Single(scene.Lost());
            Assert.Equal((1000, 500), (lost.Offset, lost.Length));
            await AssertWholeAsync(scene, lost);
        });

    [Fact]
    public void EndWithoutCloseFrame_WithUseDefaults_IsAnEnd() => Run(Fault.NoCloseFrame, [RecoveryAction.UseDefaults], async scene =>
    {
        (await scene.BeginAsync(1, (0, Content))).CompleteWrites();
        Assert.Equal(Content, (await scene.ReadAsync()).Received);
        Assert.Empty(scene.Lost());
    });

    /// <summary>A grant may be longer than the stream turns out to be: what lies beyond the end is missed by nobody.</summary>
    [Fact]
    public void Loss_OfARangeThatEndsBehindTheStream_IsNamedUpToTheEnd() => PushScene.Run(1, secondaries: 2, async scene =>
    {
        await scene.GrantAsync(1, 0, StreamFrame.MaxOffset);
        await scene.GrantAsync(2, Size, 1000);
        await scene.PushAsync(1, (0, Content[..1000]));
        scene.Written.CompleteWrites(Size);
        await scene.SettleAsync();
        await scene.Secondary(2).LeaveAsync();
        await scene.Secondary(1).LeaveAsync();
        await scene.SettleAsync();

        RangeLost lost = Assert.Single(scene.Lost());
        Assert.Equal((1000, Size - 1000, 1), (lost.Offset, lost.Length, lost.PathId));
        await AssertWholeAsync(scene, lost);
    });

    /// <summary>Path 2 pushes, and pauses; when the client asks it about the next byte, path 1 answers in its place.</summary>
    [Fact]
    public void AnswerAboutAHole_FromAPathThatWasNotAsked_CostsNobodyItsGrant() => PushScene.Run(1, secondaries: 2, async scene =>
    {
        await scene.GrantAsync(2, 0, Size);
        scene.Written.CompleteWrites(Size);
        Task<(byte[], KwikException?)> reading = scene.ReadAsync();
        ITransportStream pushed = await scene.BeginAsync(2, (0, Content[..1000]));
        for (int i = 0; i < 400; i++)
        {
            await scene.Secondary(1).SendAsync(new ControlFrame
            {
                OffsetSyncResponse = new OffsetSyncResponse { KwikStreamId = (ulong)scene.Stream.Id, SyncRequired = true },
            });
            await scene.World.Delay(TimeSpan.FromMilliseconds(10));
        }

        await pushed.WriteAsync(
            RawPeer.Bytes((StreamFrame.Data(Size - 1000), Content[1000..]), (StreamFrame.Close(Size), [])), completeWrites: true);
        (byte[] received, KwikException? fault) = await reading;

        Assert.Null(fault);
        Assert.Equal(Content, received);
        Assert.Empty(Treated(scene));
        Assert.Empty(scene.Lost());
    });

    /// <summary>Path 1 may write the stream, and with the first fault beyond it; nobody has yet.</summary>
    private static void Run(Fault fault, RecoveryAction[]? actions, Func<PushScene, Task> play)
    {
        IReadOnlyList<RecoveryRule> rules = actions is null
            ? RecoveryOptions.DefaultRules
            : [.. actions.Select(action => new RecoveryRule(Codes[fault], action))];
        PushScene.Run(
            1,
            secondaries: 1,
            async scene =>
            {
                await scene.GrantAsync(1, 0, fault == Fault.BeyondTheEnd ? 2 * Size : Size);
                scene.Written.CompleteWrites(Size);
                await scene.SettleAsync();
                await play(scene);
            },
            options => options with { Recovery = new() { Rules = rules } });
    }

    /// <summary>Path 1 sends bytes up to offset 1,000 and then does what it should not.</summary>
    private static async Task CommitAsync(PushScene scene, Fault fault, int from)
    {
        ITransportStream pushed = await scene.BeginAsync(1, (from, Content[from..1000]));
        byte[] wrong = fault switch
        {
            Fault.BeyondTheEnd => RawPeer.Bytes((StreamFrame.Data(2, Size - 1), [1, 2])),
            Fault.OutsideTheRange => RawPeer.Bytes((StreamFrame.Data(2, Size - 1), [1, 2])),
            Fault.WrongSum => RawPeer.Bytes((StreamFrame.Data(500, checksum: 1), Content[1000..1500])),
            Fault.OpenedTwice => RawPeer.Bytes((StreamFrame.Open(scene.Stream.Id, 1000), [])),
            _ => [],
        };
        await pushed.WriteAsync(wrong, completeWrites: fault == Fault.NoCloseFrame);
        await scene.SettleAsync();
        Assert.Equal(fault == Fault.NoCloseFrame ? KwikError.None : Codes[fault], await PushScene.OutcomeAsync(pushed));
    }

    private static List<(KwikError, RecoveryAction)> Treated(PushScene scene) =>
        [.. scene.Events().OfType<FaultTreated>().Select(treated => (treated.Error, treated.Action))];

    private static async Task AssertWholeAsync(PushScene scene, RangeLost lost)
    {
        await scene.Written.WriteAtAsync(lost.Offset, Content.AsMemory((int)lost.Offset, (int)lost.Length));
        (byte[] received, KwikException? fault) = await scene.ReadAsync();
        Assert.Null(fault);
        Assert.Equal(Content, received);
    }
}
