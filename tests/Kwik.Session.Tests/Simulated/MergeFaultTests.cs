using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// Servers that push what cannot be merged as it is: what the reader gets is always a correct prefix, every wait ends with
/// data or a typed error, and nothing is left (<see cref="PushScene"/>). Conflicts have <see cref="ConflictTests"/>.
/// </summary>
public sealed class MergeFaultTests
{
    private const int Size = 6000;
    private static readonly byte[] Content = PushScene.RandomBytes(1, Size);

    [Theory]
    [SimulationSeeds]
    public void HoleNeverFilled_ByAnybody_EndsTheReaderBehindACorrectPrefix(int seed) => PushScene.Run(
        seed,
        secondaries: 2,
        async scene =>
        {
            int hole = scene.World.Random.Next(0, Size - 1);
            int end = scene.World.Random.Next(hole + 1, Size);
            await scene.GrantAsync(1, 0, end);
            await scene.GrantAsync(2, end, Size - end);
            Task<(byte[], KwikException?)> reading = scene.ReadAsync();
            await scene.PushAsync(2, (end, Content[end..]));
            await scene.PushAsync(1, (0, Content[..hole]));
            scene.Written.CompleteWrites(Size);

            (byte[] received, KwikException? fault) = await reading;

            Assert.Equal(Content[..hole], received);
            Assert.Contains(fault?.Code, new KwikError?[] { KwikError.AggregationTimeout, KwikError.OffsetSyncFailure });
            // The primary could have filled it.
            RangeLost lost = Assert.Single(scene.Lost().DistinctBy(range => (range.Offset, range.Length)));
            Assert.Equal((hole, end - hole), (lost.Offset, lost.Length));
        },
        options => options with
        {
            Recovery = new() { ReorderTimeout = TimeSpan.FromSeconds(1), AggregationTimeout = TimeSpan.FromSeconds(3) },
        });

    [Fact]
    public void HoleNeverFilled_BySourceThatWasLost_IsFilledByThePrimary() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 1000, 2000);
        Task<(byte[], KwikException?)> reading = scene.ReadAsync();
        await scene.PushAsync(1, (2500, Content[2500..3000]));
        await scene.Written.WriteAsync(Content.AsMemory(0, 1000));
        scene.Written.CompleteWrites(3000);
        while (await scene.Primary.Events.ReadAsync() is var happened)
        {
            if (happened is RangeLost lost)
            {
                Assert.Equal((1000, 1500, 1), (lost.Offset, lost.Length, lost.PathId));
                await scene.Written.WriteAtAsync(lost.Offset, Content.AsMemory(1000, 1500));
                break;
            }
        }

        (byte[] received, KwikException? fault) = await reading;

        Assert.Null(fault);
        Assert.Equal(Content[..3000], received);
    });

    [Fact]
    public void DataPastFin_OfASecondary_IsRefusedAndTheRestArrives() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, 2 * Size);
        await scene.Written.WriteAtAsync(3000, Content.AsMemory(3000));
        scene.Written.CompleteWrites(Size);
        await scene.SettleAsync();
        ITransportStream across = await scene.BeginAsync(1, (0, Content[..3000]), (Size - 1, [1, 2]));

        Assert.Equal(KwikError.FinalSize, await PushScene.OutcomeAsync(across));
        (byte[] received, KwikException? fault) = await scene.ReadAsync();

        Assert.Null(fault);
        Assert.Equal(Content, received);
        Assert.Equal((PathState.Active, 1), (scene.Path(1).State, scene.Path(1).Violations));
    });

    [Fact]
    public void DataPastFin_ThatCameBeforeTheFin_FailsTheStream() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await scene.GrantAsync(1, 0, 2 * Size);
        await (await scene.PushAsync(1, (0, Content[..100]), (Size, [1]))).WritesClosed;
        scene.Written.CompleteWrites(Size);

        (byte[] received, KwikException? fault) = await scene.ReadAsync();

        Assert.Equal(KwikError.FinalSize, fault?.Code);
        Assert.True(Content.AsSpan().StartsWith(received));
    });

    [Theory]
    [InlineData((1L << 62) - 1 - 8, false)]
    [InlineData((1L << 62) - 8, true)]
    [InlineData((1L << 62) - 1, true)]
    public void OffsetsAtTheEndOfTheNumbers_Pushed_AreHeldBackOrRefused(long offset, bool isRefused) => PushScene.Run(1, secondaries: 2, async scene =>
    {
        await scene.GrantAsync(1, 0, StreamFrame.MaxOffset);
        await scene.GrantAsync(2, 1000, 2000);
        ITransportStream far = await scene.BeginAsync(1, (0, Content[..1000]), (offset, new byte[8]));
        Task<KwikError> outcome = PushScene.OutcomeAsync(far);
        await scene.SettleAsync();
        Assert.Equal(isRefused, outcome.IsCompleted);

        await scene.PushAsync(2, (1000, Content[1000..3000]));
        await scene.Written.WriteAtAsync(3000, Content.AsMemory(3000));
        var received = new byte[Size];
        await scene.Stream.FillAsync(received);
        Assert.Equal(Content, received);
        Assert.Equal(isRefused ? 1 : 0, scene.Path(1).Violations);

        // What was held back lies beyond the end now.
        scene.Written.CompleteWrites(Size);
        Assert.Equal(isRefused ? KwikError.MetadataProtocolViolation : KwikError.FinalSize, await outcome);
        Assert.Equal(1, scene.Path(1).Violations);
        (byte[] rest, KwikException? fault) = await scene.ReadAsync();
        Assert.Empty(rest);
        Assert.Null(fault);
    });

    /// <summary>A source that is held back because of too many holes goes on when another one has closed some.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void HolesThatAnotherSourceCloses_ReleaseWhoWaitsForThem(bool readsAgain) => PushScene.Run(
        1,
        secondaries: 2,
        async scene =>
        {
            await scene.GrantAsync(1, 0, Size);
            await scene.GrantAsync(2, 0, Size);
            using var cancel = new CancellationTokenSource();
            Task<int> early = scene.Stream.ReadAsync(new byte[1], cancel.Token).AsTask();
            ITransportStream one = await scene.PushAsync(1, (1000, Content[1000..2000]), (3000, Content[3000..]), (0, Content[..1000]));
            await scene.SettleAsync();
            Assert.Equal([(0, 1000), (2000, Size - 2000)], scene.Stream.Incoming.Missing(0, Size));

            await scene.PushAsync(2, (2000, Content[2000..3000]));
            scene.Written.CompleteWrites(Size);
            if (readsAgain)
            {
                cancel.Cancel();
                await Assert.ThrowsAnyAsync<OperationCanceledException>(() => early);
            }

            TimeSpan began = scene.World.Time.Elapsed;
            int first = readsAgain ? 0 : await early;
            (byte[] received, KwikException? fault) = await scene.ReadAsync();

            Assert.Null(fault);
            Assert.Equal(Content[first..], received);
            Assert.InRange(scene.World.Time.Elapsed - began, TimeSpan.Zero, TimeSpan.FromMilliseconds(100));
            Assert.Equal(KwikError.None, await PushScene.OutcomeAsync(one));
        },
        options => options with { Aggregation = new() { MaxGaps = 1 } });

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public void OneBytePieces_AtAlternateOffsets_AllArriveInBoundedMemory(int first) => PushScene.Run(1, secondaries: 2, async scene =>
    {
        const int pieces = 100_000;
        byte[] content = PushScene.RandomBytes(2, 2 * pieces);
        await scene.GrantAsync(1, 0, 2 * pieces);
        await scene.GrantAsync(2, 0, 2 * pieces);
        Task<ITransportStream> one = scene.PushAsync(1, Alternate(content, first));
        await scene.SettleAsync();
        // More holes than it may have are not made: what would make one waits with its sender.
        int heldAlone = scene.Stream.Incoming.Missing(0, 2 * pieces).Count;
        Assert.InRange(heldAlone, 1000, 1002);
        Assert.False(one.IsCompleted);

        Task<(byte[], KwikException?)> reading = scene.ReadAsync();
        Task<ITransportStream> two = scene.PushAsync(2, Alternate(content, 1 - first));
        scene.Written.CompleteWrites(2 * pieces);
        (byte[] received, KwikException? fault) = await reading;

        Assert.Null(fault);
        Assert.Equal(content, received);
        Assert.Equal(KwikError.None, await PushScene.OutcomeAsync(await one));
        Assert.Equal(KwikError.None, await PushScene.OutcomeAsync(await two));
    });

    [Fact]
    public void EmptyPieces_InAFlood_ChangeNothingAndFillNoHole() => PushScene.Run(1, secondaries: 2, async scene =>
    {
        await scene.GrantAsync(1, 0, Size);
        await scene.GrantAsync(2, 0, Size);
        (long, byte[])[] flood = [.. Enumerable.Range(0, 100_000).Select(i => ((long)(i * 7919 % Size), Array.Empty<byte>()))];
        ITransportStream empty = await scene.PushAsync(1, flood);
        await scene.PushAsync(2, (1000, Content[1000..]));
        await scene.SettleAsync();
        Assert.Equal([(0, 1000)], scene.Stream.Incoming.Missing(0, Size));

        await scene.Written.WriteAsync(Content.AsMemory(0, 1000));
        scene.Written.CompleteWrites(Size);
        (byte[] received, KwikException? fault) = await scene.ReadAsync();

        Assert.Null(fault);
        Assert.Equal(Content, received);
        Assert.Equal(KwikError.None, await PushScene.OutcomeAsync(empty));
        Assert.Equal(0, scene.Path(1).BytesReceived);
    });

    [Fact]
    public void EmptyPieces_WithoutEnd_DoNotKeepAHoleWaiting() => PushScene.Run(
        1,
        secondaries: 1,
        async scene =>
        {
            await scene.GrantAsync(1, 0, Size);
            scene.Written.CompleteWrites(Size);
            ITransportStream empty = await scene.BeginAsync(1, (0, Content[..100]));
            Task flooding = FloodAsync(scene, empty);

            (byte[] received, KwikException? fault) = await scene.ReadAsync();

            Assert.Equal(Content[..100], received);
            Assert.Contains(fault?.Code, new KwikError?[] { KwikError.AggregationTimeout, KwikError.OffsetSyncFailure });
            await scene.Stream.DisposeAsync();
            await flooding;
        },
        options => options with
        {
            Recovery = new() { ReorderTimeout = TimeSpan.FromSeconds(1), AggregationTimeout = TimeSpan.FromSeconds(3) },
        });

    [Fact]
    public void PiecesForAStreamThatIsUnknownClosedOrForeign_AreRefusedAndTouchNothing() => PushScene.Run(1, secondaries: 1, async scene =>
    {
        await using KwikStream closedThere = await scene.Primary.OpenStreamSync();
        KwikStream closed = await scene.Session.AcceptStream();
        await using KwikStream foreignThere = await scene.Primary.OpenStreamSync();
        await using KwikStream foreign = await scene.Session.AcceptStream();
        await scene.GrantAsync(1, 0, 8);
        await closed.DisposeAsync();
        RogueSecondary.Client secondary = scene.Secondary(1);
        (long Stream, KwikError Expected)[] cases =
        [
            (closed.Id, KwikError.Cancelled),
            (foreign.Id, KwikError.StreamMappingConflict),
            (foreign.Id + 400, KwikError.StreamMappingConflict),
            (StreamFrame.MaxOffset, KwikError.StreamMappingConflict),
            (2, KwikError.StreamMappingConflict),
        ];
        var outcomes = new List<Task<KwikError>>();
        foreach ((long streamId, _) in cases)
        {
            outcomes.Add(PushScene.OutcomeAsync(await secondary.OpenAsync(
                StreamType.Internal, (StreamFrame.Open(streamId, 0), []), (StreamFrame.Data(8), Content[..8]))));
        }

        Assert.Equal(cases.Select(one => one.Expected), await Task.WhenAll(outcomes));
        Assert.Equal(4, scene.Path(1).Violations);
        Assert.Empty(scene.Session.GetActiveMappings());
        foreignThere.CompleteWrites();
        Assert.Empty(await foreign.ReadToEndAsync());
        await scene.Written.WriteAsync(Content);
        scene.Written.CompleteWrites();
        Assert.Equal(Content, (await scene.ReadAsync()).Received);
    });

    private static (long, byte[])[] Alternate(byte[] content, int first) =>
        [.. Enumerable.Range(0, content.Length / 2).Select(i => ((long)((2 * i) + first), content[((2 * i) + first)..((2 * i) + first + 1)]))];

    private static async Task FloodAsync(PushScene scene, ITransportStream stream)
    {
        byte[] flood = RawPeer.Bytes([.. Enumerable.Repeat((StreamFrame.Data(0), Array.Empty<byte>()), 100)]);
        try
        {
            while (true)
            {
                await stream.WriteAsync(flood);
                await scene.World.Delay(TimeSpan.FromMilliseconds(100));
            }
        }
        catch (KwikException)
        {
            // The client has stopped it.
        }
    }
}
