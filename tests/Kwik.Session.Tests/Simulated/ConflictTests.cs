using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Servers that push different bytes for one offset, seen from the reader: <see cref="AggregatorOptions.ConflictResolution"/>.</summary>
public sealed class ConflictTests
{
    private const int Size = 3000;
    private static readonly byte[] First = PushScene.RandomBytes(1, Size);
    private static readonly byte[] Second = PushScene.RandomBytes(2, Size);
    private static readonly byte[] Primarys = PushScene.RandomBytes(3, Size);

    [Theory]
    [InlineData(ConflictResolution.FirstWins, 1, 2)]
    [InlineData(ConflictResolution.FirstWins, 2, 1)]
    [InlineData(ConflictResolution.LastWins, 1, 2)]
    [InlineData(ConflictResolution.LastWins, 2, 1)]
    [InlineData(ConflictResolution.PrimaryWins, 1, 2)]
    [InlineData(ConflictResolution.PrimaryWins, 2, 1)]
    public void TwoSecondaries_DifferentBytesForOneOffset_AreResolvedAsTheOptionsSay(
        ConflictResolution resolution, int firstPath, int secondPath) => Run(resolution, async scene =>
    {
        await GrantAllAsync(scene);
        await (await scene.PushAsync(firstPath, (0, First))).WritesClosed;
        await (await scene.PushAsync(secondPath, (0, Second))).WritesClosed;
        scene.Written.CompleteWrites(Size);

        (byte[] received, KwikException? fault) = await scene.ReadAsync();

        Assert.Null(fault);
        Assert.Equal(resolution == ConflictResolution.LastWins ? Second : First, received);
        Assert.Equal(1, scene.Stream.Incoming.Conflicts);
        Assert.All(scene.Session.GetAllPaths(), path => Assert.Equal((PathState.Active, 0), (path.State, path.Violations)));
    });

    [Theory]
    [InlineData(ConflictResolution.FirstWins, true)]
    [InlineData(ConflictResolution.FirstWins, false)]
    [InlineData(ConflictResolution.LastWins, true)]
    [InlineData(ConflictResolution.LastWins, false)]
    [InlineData(ConflictResolution.PrimaryWins, true)]
    [InlineData(ConflictResolution.PrimaryWins, false)]
    public void PrimaryAndASecondary_DifferentBytesForOneOffset_AreResolvedAsTheOptionsSay(
        ConflictResolution resolution, bool primaryFirst) => Run(resolution, async scene =>
    {
        await GrantAllAsync(scene);
        for (int turn = 0; turn < 2; turn++)
        {
            if (turn == 0 == primaryFirst)
            {
                await scene.Written.WriteAtAsync(0, Primarys);
                await scene.SettleAsync();
            }
            else
            {
                await (await scene.PushAsync(1, (0, First))).WritesClosed;
            }
        }

        scene.Written.CompleteWrites(Size);
        (byte[] received, KwikException? fault) = await scene.ReadAsync();

        Assert.Null(fault);
        bool isPrimarys = resolution == ConflictResolution.PrimaryWins || (resolution == ConflictResolution.FirstWins == primaryFirst);
        Assert.Equal(isPrimarys ? Primarys : First, received);
    });

    [Theory]
    [InlineData(1, 2)]
    [InlineData(2, 1)]
    public void TwoSecondaries_DifferentBytesWithReject_FailTheStreamAndNameBoth(int firstPath, int secondPath) =>
        Run(ConflictResolution.Reject, async scene =>
        {
            await GrantAllAsync(scene);
            await (await scene.PushAsync(firstPath, (0, First[..1000]))).WritesClosed;
            var begun = new byte[500];
            await scene.Stream.FillAsync(begun);
            await (await scene.PushAsync(firstPath, (1000, First[1000..]))).WritesClosed;

            ITransportStream other = await scene.PushAsync(secondPath, (900, Second[..1000]));
            Assert.Equal(KwikError.StreamMappingConflict, await PushScene.OutcomeAsync(other));
            (byte[] received, KwikException? fault) = await scene.ReadAsync();

            Assert.Equal((KwikError.StreamMappingConflict, secondPath), (fault?.Code, fault?.PathId));
            Assert.Contains("from path " + secondPath, fault!.Message, StringComparison.Ordinal);
            Assert.Contains("what path " + firstPath, fault.Message, StringComparison.Ordinal);
            Assert.Equal(First[..1000], (byte[])[.. begun, .. received]);
            // Nobody knows which of the two is wrong: neither has broken a rule.
            Assert.All(scene.Session.GetAllPaths(), path => Assert.Equal((PathState.Active, 0), (path.State, path.Violations)));
            Assert.False(scene.Session.Closed.IsCompleted);
        });

    [Fact]
    public void PrimaryOnMain_ContradictsASecondaryWithReject_FailsTheStreamAndNamesBoth() => Run(ConflictResolution.Reject, async scene =>
    {
        await GrantAllAsync(scene);
        await (await scene.PushAsync(1, (1000, First[1000..]))).WritesClosed;
        await scene.Written.WriteAsync(Primarys);

        (byte[] received, KwikException? fault) = await scene.ReadAsync();

        Assert.Equal(KwikError.StreamMappingConflict, fault?.Code);
        Assert.Contains("from path 0", fault!.Message, StringComparison.Ordinal);
        Assert.Contains("what path 1", fault.Message, StringComparison.Ordinal);
        Assert.Equal(Primarys[..received.Length], received);
    });

    [Theory]
    [InlineData(ConflictResolution.FirstWins)]
    [InlineData(ConflictResolution.LastWins)]
    [InlineData(ConflictResolution.PrimaryWins)]
    [InlineData(ConflictResolution.Reject)]
    public void IdenticalDuplicates_FromEverybody_AreIgnoredAndCounted(ConflictResolution resolution) => Run(resolution, async scene =>
    {
        await GrantAllAsync(scene);
        await (await scene.PushAsync(1, (0, First))).WritesClosed;
        await (await scene.PushAsync(2, (500, First[500..1500]), (2000, First[2000..]))).WritesClosed;
        await scene.Written.WriteAtAsync(0, First);
        await scene.SettleAsync();
        scene.Written.CompleteWrites(Size);

        (byte[] received, KwikException? fault) = await scene.ReadAsync();

        Assert.Null(fault);
        Assert.Equal(First, received);
        Assert.Equal(2000 + Size, scene.Stream.Incoming.DuplicateBytes);
        Assert.Equal(0, scene.Stream.Incoming.Conflicts);
        Assert.All(scene.Session.GetAllPaths(), path => Assert.Equal((PathState.Active, 0), (path.State, path.Violations)));
    });

    [Theory]
    [InlineData(ConflictResolution.FirstWins)]
    [InlineData(ConflictResolution.LastWins)]
    [InlineData(ConflictResolution.PrimaryWins)]
    [InlineData(ConflictResolution.Reject)]
    public void OtherBytesForWhatWasRead_OfAnySource_ChangeNothing(ConflictResolution resolution) => Run(resolution, async scene =>
    {
        await GrantAllAsync(scene);
        await scene.PushAsync(1, (0, First[..1000]));
        var read = new byte[1000];
        await scene.Stream.FillAsync(read);
        await (await scene.PushAsync(2, (0, Second))).WritesClosed;
        scene.Written.CompleteWrites(Size);

        (byte[] received, KwikException? fault) = await scene.ReadAsync();

        Assert.Null(fault);
        Assert.Equal(First[..1000], read);
        Assert.Equal(Second[1000..], received);
        Assert.Equal(0, scene.Stream.Incoming.Conflicts);
    });

    /// <summary>Whoever is first, and however it is cut: what one source alone sends is whole, the rest is somebody's.</summary>
    [Theory]
    [SimulationSeeds]
    public void TwoSecondaries_InTurnAndInPieces_EveryByteIsOneThatWasSent(int seed) => PushScene.Run(
        seed,
        secondaries: 2,
        async scene =>
        {
            await GrantAllAsync(scene);
            Task<(byte[], KwikException?)> reading = scene.ReadAsync();
            await Task.WhenAll(PiecesAsync(scene, 1, First, 0, 2000), PiecesAsync(scene, 2, Second, 1000, Size));
            scene.Written.CompleteWrites(Size);

            (byte[] received, KwikException? fault) = await reading;

            Assert.Null(fault);
            Assert.Equal(First[..1000], received[..1000]);
            Assert.Equal(Second[2000..], received[2000..]);
            Assert.All(Enumerable.Range(1000, 1000), i => Assert.True(received[i] == First[i] || received[i] == Second[i]));
        },
        options => options with { Aggregation = new() { ConflictResolution = (ConflictResolution)(seed % 3) } });

    private static async Task PiecesAsync(PushScene scene, int pathId, byte[] bytes, int start, int end)
    {
        for (int at = start; at < end;)
        {
            int next = Math.Min(end, at + scene.World.Random.Next(1, 400));
            await scene.PushAsync(pathId, (at, bytes[at..next]));
            await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(0, 10)));
            at = next;
        }
    }

    private static async Task GrantAllAsync(PushScene scene)
    {
        await scene.GrantAsync(1, 0, Size);
        await scene.GrantAsync(2, 0, Size);
    }

    private static void Run(ConflictResolution resolution, Func<PushScene, Task> play) => PushScene.Run(
        1, secondaries: 2, play, options => options with { Aggregation = new() { ConflictResolution = resolution } });
}
