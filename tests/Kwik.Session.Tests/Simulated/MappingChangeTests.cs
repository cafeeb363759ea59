using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Ranges that a primary takes back or gives another length while secondaries write in them.</summary>
public sealed class MappingChangeTests
{
    private const int Size = 4000;
    private static readonly byte[] Content = PushScene.RandomBytes(1, Size);

    [Fact]
    public void UnmapRange_BeforeAnythingWasWritten_StopsThePush() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, Size);
        scene.Primary.UnmapRange(scene.Written, 1, 0);
        await scene.SettleAsync();
        ITransportStream pushed = await scene.BeginAsync(1, (0, Content));

        // Who has not heard of it breaks no rule.
        Assert.Equal(KwikError.Cancelled, await PushScene.OutcomeAsync(pushed));
        Assert.Equal(0, scene.Path(1).Violations);
        Assert.Empty(scene.Lost());
        await AssertWholeAsync(scene, 0);
    });

    [Fact]
    public void UnmapRange_InTheMiddle_KeepsWhatWasWrittenAndStopsTheRest() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, Size);
        ITransportStream pushed = await scene.BeginAsync(1, (0, Content[..1000]));
        await scene.SettleAsync();
        scene.Primary.UnmapRange(scene.Written, 1, 0);
        await scene.SettleAsync();
        await pushed.WriteAsync(RawPeer.Bytes((StreamFrame.Data(1000), Content[1000..2000])));

        Assert.Equal(KwikError.Cancelled, await PushScene.OutcomeAsync(pushed));
        Assert.Equal(0, scene.Path(1).Violations);
        Assert.Equal([(1000, Size - 1000)], scene.Stream.Incoming.Missing(0, Size));
        // Who took it back knows.
        Assert.Empty(scene.Lost());
        await AssertWholeAsync(scene, 1000);
    });

    [Fact]
    public void UnmapRange_ThenGrantedToAnother_IsWrittenByThatOne() => PushScene.Run(1, secondaries: 2, async scene =>
    {
        await scene.GrantAsync(1, 0, Size);
        await (await scene.PushAsync(1, (0, Content[..1000]))).WritesClosed;
        scene.Primary.UnmapRange(scene.Written, 1, 0);
        await scene.GrantAsync(2, 1000, Size - 1000);
        ITransportStream late = await scene.BeginAsync(1, (1000, new byte[100]));
        await (await scene.PushAsync(2, (1000, Content[1000..]))).WritesClosed;
        scene.Written.CompleteWrites(Size);

        Assert.Equal(Content, (await scene.ReadAsync()).Received);
        Assert.Equal(KwikError.Cancelled, await PushScene.OutcomeAsync(late));
    });

    [Fact]
    public void ResizeRange_ToMore_LetsTheSameStreamGoOn() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, 1000);
        ITransportStream pushed = await scene.BeginAsync(1, (0, Content[..1000]));
        scene.Primary.ResizeRange(scene.Written, 1, 0, Size);
        await scene.SettleAsync();
        await pushed.WriteAsync(
            RawPeer.Bytes((StreamFrame.Data(Size - 1000), Content[1000..]), (StreamFrame.Close(Size), [])), completeWrites: true);
        scene.Written.CompleteWrites(Size);

        Assert.Equal(Content, (await scene.ReadAsync()).Received);
        Assert.Equal(0, scene.Path(1).Violations);
        Assert.Equal(KwikError.None, await PushScene.OutcomeAsync(pushed));
    });

    [Fact]
    public void ResizeRange_ToLess_StopsWhatGoesOnBehind() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, Size);
        ITransportStream pushed = await scene.BeginAsync(1, (0, Content[..1000]));
        await scene.SettleAsync();
        scene.Primary.ResizeRange(scene.Written, 1, 0, 2000);
        await scene.SettleAsync();
        await pushed.WriteAsync(RawPeer.Bytes((StreamFrame.Data(1000), Content[1000..2000])));
        await scene.SettleAsync();
        Assert.Equal(0, scene.Path(1).Violations);
        await pushed.WriteAsync(RawPeer.Bytes((StreamFrame.Data(1), Content[2000..2001])));

        Assert.Equal(KwikError.Cancelled, await PushScene.OutcomeAsync(pushed));
        Assert.Equal(0, scene.Path(1).Violations);
        Assert.Equal([(2000, Size - 2000)], scene.Stream.Incoming.Missing(0, Size));
        await AssertWholeAsync(scene, 2000);
    });

    [Fact]
    public void Ranges_ThatCannotBeSo_AreRefusedByThePrimaryAndTheClientHearsNothing() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, 1000);
        await scene.GrantAsync(1, 2000, 1000);
        KwikStream stream = scene.Written;
        Action[] wrong =
        [
            () => scene.Primary.MapRange(stream, 1, 0, 1000),
            () => scene.Primary.MapRange(stream, 1, 999, 2),
            () => scene.Primary.MapRange(stream, 1, 1000, 1001),
            () => scene.Primary.MapRange(stream, 1, 5000, 0),
            () => scene.Primary.MapRange(stream, 1, StreamFrame.MaxOffset, 1),
            () => scene.Primary.MapRange(stream, 1, 5000, StreamFrame.MaxOffset),
            () => scene.Primary.ResizeRange(stream, 1, 0, 2001),
            () => scene.Primary.ResizeRange(stream, 1, 0, 0),
            () => scene.Primary.ResizeRange(stream, 1, 1, 10),
            () => scene.Primary.UnmapRange(stream, 1, 1),
            () => scene.Primary.UnmapRange(stream, 2, 0),
        ];
        Assert.All(wrong, call => Assert.Throws<InvalidOperationException>(call));
        await scene.SettleAsync();

        Assert.False(scene.Session.Closed.IsCompleted);
        await (await scene.PushAsync(1, (0, Content[..1000]), (2000, Content[2000..3000]))).WritesClosed;
        Assert.Equal([(1000, 1000), (3000, 1000)], scene.Stream.Incoming.Missing(0, Size));
    });

    /// <summary>A range is lost at the client while the primary, which has not heard of it, changes or takes it back.</summary>
    [Theory]
    [SimulationSeeds]
    public void RangeLost_WhileThePrimaryChangesIt_HarmsNobody(int seed) => PushScene.Run(seed, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, 2000);
        ITransportStream pushed = await scene.BeginAsync(1, (0, Content[..500]));
        Task change = ChangeAsync(scene, seed % 3);
        if (seed % 2 == 0)
        {
            await scene.Secondary(1).LeaveAsync();
        }
        else
        {
            pushed.AbortWrites(KwikError.Internal);
        }

        await change;
        await scene.SettleAsync();
        Assert.False(scene.Session.Closed.IsCompleted);
        scene.Written.CompleteWrites(Size);
        List<RangeLost> lost = scene.Lost();
        Assert.NotEmpty(lost);
        foreach (RangeLost range in lost)
        {
            await scene.Written.WriteAtAsync(range.Offset, Content.AsMemory((int)range.Offset, (int)range.Length));
        }

        // Of what nobody was granted nobody is told.
        long granted = lost.Max(range => range.Offset + range.Length);
        await scene.Written.WriteAtAsync(granted, Content.AsMemory((int)granted));
        (byte[] received, KwikException? fault) = await scene.ReadAsync();
        Assert.Null(fault);
        Assert.Equal(Content, received);
    });

    private static async Task ChangeAsync(PushScene scene, int which)
    {
        await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(1, 20)));
        try
        {
            switch (which)
            {
                case 0:
                    scene.Primary.ResizeRange(scene.Written, 1, 0, Size);
                    break;
                case 1:
                    scene.Primary.UnmapRange(scene.Written, 1, 0);
                    break;
                default:
                    scene.Primary.MapRange(scene.Written, 1, 2000, Size - 2000);
                    break;
            }
        }
        catch (InvalidOperationException)
        {
            // The primary heard first.
        }
    }

    /// <summary>The primary writes the rest, and the reader gets all of it.</summary>
    private static async Task AssertWholeAsync(PushScene scene, int from)
    {
        await scene.Written.WriteAtAsync(from, Content.AsMemory(from));
        scene.Written.CompleteWrites(Size);
        (byte[] received, KwikException? fault) = await scene.ReadAsync();
        Assert.Null(fault);
        Assert.Equal(Content, received);
    }
}
