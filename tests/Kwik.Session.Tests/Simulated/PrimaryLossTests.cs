using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// A primary that dies when it has offered a content: what others have of it is read to its end, nothing else goes on, and no
/// session is made anew behind the application's back.
/// </summary>
public sealed class PrimaryLossTests
{
    private const int LeafSize = 64 * 1024;
    private static readonly MemoryContent Content = MemoryContent.Random(13, (40 * LeafSize) + 99, LeafSize);

    // As much as is fetched ahead of a reader who does not read.
    private static readonly MemoryContent Small = MemoryContent.Random(14, (7 * LeafSize) + 99, LeafSize);

    [Theory]
    [SimulationSeeds]
    public void PrimaryKilled_WithAnOffer_IsReadToItsEndFromTheOthers(int seed) => Run(seed, secondaries: 2, async scene =>
    {
        Task reading = scene.ReadAllAsync(positioned: seed % 2 == 0);
        await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(0, 400)));
        scene.Deployment.PrimaryHost.Kill();
        await reading;
        await scene.UntilAsync(() => scene.Path(0).State == PathState.Dead);
    });

    [Theory]
    [SimulationSeeds]
    public void PrimaryStoppedForGood_WithAnOffer_IsReadToItsEndFromTheOthers(int seed) => Run(seed, secondaries: 1, async scene =>
    {
        Task reading = scene.ReadAllAsync(positioned: seed % 2 == 0);
        await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(0, 400)));
        scene.Deployment.PrimaryHost.Freeze();
        await reading;
        await scene.UntilAsync(() => scene.Path(0).State == PathState.Dead);
        scene.Deployment.PrimaryHost.Thaw();
    });

    /// <summary>The reader pauses, so that the rest is asked for when the primary has been missed.</summary>
    [Theory]
    [SimulationSeeds]
    public void PrimaryKilled_WithAnOffer_WritesAndNewStreamsFail(int seed) => Run(seed, secondaries: 1, async scene =>
    {
        await PauseAsync(scene);
        scene.Deployment.PrimaryHost.Kill();
        Task<KwikStream> accepting = scene.Session.AcceptStream();
        await scene.UntilAsync(() => scene.Path(0).State == PathState.Dead);

        await FailsAsync(KwikError.PrimaryLost, () => accepting);
        await FailsAsync(KwikError.PrimaryLost, () => scene.Session.OpenStreamSync());
        XStreamException write = await Assert.ThrowsAsync<XStreamException>(() => scene.Stream.WriteAsync(new byte[1]).AsTask());
        Assert.Equal(XStreamErrorKind.ConnectionReset, write.Kind);
        Assert.Contains(scene.Told(), told => told is PathLost { PathId: 0 });
        Assert.False(scene.Session.Closed.IsCompleted);
        await scene.ReadAllAsync();
        await scene.Stream.DisposeAsync();
        await EndsAsync(scene);
    });

    /// <summary>It is here and proven; that nobody had read it yet when the primary died takes nothing from it.</summary>
    [Theory]
    [SimulationSeeds]
    public void PrimaryKilled_WhenAllHadArrivedUnread_IsReadToItsEnd(int seed) => Run(
        seed,
        secondaries: seed % 3,
        async scene =>
        {
            await PauseAsync(scene);
            await scene.UntilAsync(() => scene.Session.GetAllPaths().Sum(path => path.BytesReceived) >= Small.Offer.Length);
            await scene.World.Delay(TimeSpan.FromSeconds(1));
            scene.Deployment.PrimaryHost.Kill();
            await scene.UntilAsync(() => scene.Path(0).State == PathState.Dead);
            await scene.World.Delay(TimeSpan.FromSeconds(1));
            await scene.ReadAllAsync();
        },
        content: Small);

    /// <summary>The last bytes arrive after the primary is missed, and wait for their reader.</summary>
    [Theory]
    [SimulationSeeds]
    public void PrimaryKilled_AndTheRestArrivedUnread_IsReadToItsEnd(int seed) => Run(
        seed,
        secondaries: 1,
        async scene =>
        {
            await PauseAsync(scene);
            scene.Deployment.PrimaryHost.Kill();
            await scene.World.Delay(TimeSpan.FromSeconds(60));
            await scene.ReadAllAsync();
        },
        content: Small);

    [Theory]
    [SimulationSeeds]
    public void PrimaryKilled_WithAnOfferThatNobodyElseHas_FailsTheStreamBehindARightPrefix(int seed) => Run(seed, secondaries: 0, async scene =>
    {
        Task<KwikException?> reading = scene.ReadAsync(positioned: seed % 2 == 0);
        await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(0, 900)));
        scene.Deployment.PrimaryHost.Kill();
        TimeSpan killed = scene.World.Time.Elapsed;
        Assert.Equal(KwikError.PrimaryLost, (await reading)?.Code);
        Assert.InRange((scene.World.Time.Elapsed - killed).TotalSeconds, 0, 12.1);
        await scene.Stream.DisposeAsync();
        await EndsAsync(scene);
    });

    /// <summary>The application still holds the stream that failed: that keeps no session alive.</summary>
    [Theory]
    [SimulationSeeds]
    public void PrimaryKilled_WithAnOfferThatNobodyElseHas_EndsTheSession(int seed) => Run(seed, secondaries: 0, async scene =>
    {
        Task<KwikException?> reading = scene.ReadAsync(positioned: seed % 2 == 0);
        await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(0, 900)));
        scene.Deployment.PrimaryHost.Kill();
        await reading;
        await EndsAsync(scene);
    });

    [Theory]
    [SimulationSeeds]
    public void EverybodyKilled_WithAnOffer_FailsTheStreamBehindARightPrefix(int seed) => Run(seed, secondaries: 2, async scene =>
    {
        Task<KwikException?> reading = scene.ReadAsync(positioned: seed % 2 == 0);
        TimeSpan killed = default;
        foreach (int path in new[] { 0, 1, 2 }.OrderBy(_ => scene.World.Random.Next()))
        {
            await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(0, 120)));
            scene.Host(path).Kill();
            killed = scene.World.Time.Elapsed;
        }

        KwikException? fault = await reading;
        Assert.Contains(fault?.Code ?? KwikError.None, new[] { KwikError.PrimaryLost, KwikError.PathLost });
        Assert.InRange((scene.World.Time.Elapsed - killed).TotalSeconds, 0, 12.1);
        await scene.Stream.DisposeAsync();
        await EndsAsync(scene);
    });

    /// <summary>What was offered goes on to be checked.</summary>
    [Theory]
    [SimulationSeeds]
    public void PrimaryKilled_AndASecondaryThatLies_IsReadToItsEndFromTheLast(int seed)
    {
        DeliveryScene.Run(
            seed,
            Content,
            [
                new(host => new ScriptedContent(Content, host)),
                new(host => new ScriptedContent(Content, host) { Lies = (_, ordinal) => ordinal == 5 }),
                new(host => new ScriptedContent(Content, host)),
            ],
            async scene =>
            {
                Task reading = scene.ReadAllAsync(positioned: seed % 2 == 0);
                await scene.World.Delay(TimeSpan.FromMilliseconds(scene.World.Random.Next(0, 100)));
                scene.Deployment.PrimaryHost.Kill();
                await reading;
                Assert.Equal([1], scene.Happened().OfType<RuleBroken>().Select(broken => broken.PathId));
            });
    }

    private static void Run(int seed, int secondaries, Func<DeliveryScene, Task> play, MemoryContent? content = null) => DeliveryScene.Run(
        seed,
        content ?? Content,
        [.. Enumerable.Repeat(new SceneServer(host => new ScriptedContent(content ?? Content, host)), 1 + secondaries)],
        play);

    /// <summary>Waits until the reader, who has not begun, has bytes before him.</summary>
    private static Task PauseAsync(DeliveryScene scene) => scene.UntilAsync(() => scene.Session.GetAllPaths().Sum(path => path.BytesReceived) > 0);

    private static async Task FailsAsync(KwikError expected, Func<Task> call) =>
        Assert.Equal(expected, (await Assert.ThrowsAnyAsync<KwikException>(call)).Code);

    /// <summary>The session ends by itself, with the loss of its primary.</summary>
    private static async Task EndsAsync(DeliveryScene scene)
    {
        await scene.UntilAsync(() => scene.Session.Closed.IsCompleted);
        await Assert.ThrowsAnyAsync<KwikException>(() => scene.Session.Closed);
    }
}
