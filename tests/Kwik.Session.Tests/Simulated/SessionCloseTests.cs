using System.Text;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>Sessions that are closed for a reason.</summary>
public sealed class SessionCloseTests
{
    private const string Reason = "The licence has run out.";

    [Theory]
    [SimulationSeeds]
    public void Primary_ClosedWithAReason_EveryCallOfTheClientSaysSo(int seed) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await session.AcceptStream();
            await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 20)));
            await session.CloseAsync(KwikError.LimitExceeded, Reason);
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.OpenStreamSync();
        Task<int> reading = stream.ReadAsync(new byte[1]).AsTask();
        Task<KwikStream> accepting = session.AcceptStream();

        foreach (Func<Task> call in new Func<Task>[] { () => accepting, () => session.Closed, () => session.OpenStreamSync() })
        {
            KwikException e = await Assert.ThrowsAnyAsync<KwikException>(call);
            Assert.Equal(KwikError.LimitExceeded, e.Code);
            Assert.Contains(Reason, e.Message, StringComparison.Ordinal);
        }

        // The server closed this stream before the session, without a word; either may be first to arrive.
        KwikException? read = await Record.ExceptionAsync(() => reading) as KwikException;
        Assert.True(reading.IsCompletedSuccessfully || read?.Code is KwikError.LimitExceeded or KwikError.Cancelled, read?.ToString());
        await stream.DisposeAsync();
        await session.DisposeAsync();
        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    });

    [Theory]
    [SimulationSeeds]
    public void Client_ClosedWithAReason_EveryCallOfThePrimarySaysSo(int seed) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        var failures = new List<KwikException>();
        await deployment.StartPrimaryAsync(null, async session =>
        {
            Task<KwikStream> accepting = session.AcceptStream();
            failures.Add(await Assert.ThrowsAnyAsync<KwikException>(() => accepting));
            failures.Add(await Assert.ThrowsAnyAsync<KwikException>(() => session.OpenStreamSync()));
            failures.Add(await Assert.ThrowsAnyAsync<KwikException>(() => session.RemovePathAsync(1)));
        });

        ClientSession session = await deployment.ConnectAsync();
        await session.CloseAsync(KwikError.ContentMismatch, Reason);
        await session.Closed;
        await session.DisposeAsync();
        await deployment.DisposeAsync();

        Assert.Equal(3, failures.Count);
        Assert.All(failures, e => Assert.Equal(KwikError.ContentMismatch, e.Code));
        Assert.All(failures, e => Assert.Contains(Reason, e.Message, StringComparison.Ordinal));
    });

    [Fact]
    public void Client_ClosedWithoutAReason_EndsNormally() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        KwikException? e = null;
        await deployment.StartPrimaryAsync(
            null, async session => e = await Assert.ThrowsAnyAsync<KwikException>(() => session.AcceptStream()));

        ClientSession session = await deployment.ConnectAsync();
        await session.DisposeAsync();
        await session.Closed;
        await deployment.DisposeAsync();

        Assert.Equal(KwikError.Cancelled, e?.Code);
        Assert.Equal(PathState.Removed, Assert.Single(session.GetAllPaths()).State);
    });

    [Theory]
    [SimulationSeeds]
    public void Secondary_ClosedItsSession_OnlyItsPathEndsAndDoesNotComeBack(int seed) => Simulation.Run(seed, async world =>
    {
        var content = MemoryContent.Random(seed, 4 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", content.Replica(), async session =>
        {
            await world.Delay(TimeSpan.FromMilliseconds(world.Random.Next(0, 200)));
            await session.CloseAsync(seed % 2 == 0 ? KwikError.None : KwikError.LimitExceeded, Reason);
        });
        world.SetLinks(deployment.ClientHost, deployment.PrimaryHost, link => link.BitsPerSecond = 20_000_000);
        world.SetLinks(deployment.ClientHost, world.Host("secondary 1"), link => link.BitsPerSecond = 20_000_000);
        await deployment.StartPrimaryAsync(content, async session =>
        {
            await session.AddPathAsync(secondary);
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.True(content.Is(await stream.ReadToEndAsync()));
        await session.Events.UntilAsync(1, PathState.Removed);
        await world.Delay(TimeSpan.FromSeconds(5));
        Assert.Equal([0], session.GetActivePaths().Select(path => path.Id));
        await stream.DisposeAsync();
        await session.DisposeAsync();

        Assert.DoesNotContain(PathState.Recovering, await session.Events.StatesAsync(1));
        await deployment.DisposeAsync();
        Assert.All(world.Hosts, host => Assert.Equal((host.Name, 0), (host.Name, host.UndisposedStreams)));
    });

    [Fact]
    public void Reason_WithOrdersForATerminal_IsShownWithoutThem()
    {
        KwikException e = SessionGoodbye.Read(new() { ErrorCode = (ulong)KwikError.ServerClosing, Reason = "a\u001b[2Jb\u202ec\u2028d" });

        Assert.Equal((KwikError.ServerClosing, "The peer closed the session: a\uFFFD[2Jb\uFFFDc\uFFFDd"), (e.Code, e.Message));
    }

    [Fact]
    public void Reason_OfMoreThan512Bytes_IsCutAtACharacter() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(
            null, session => session.CloseAsync(KwikError.Timeout, string.Concat(Enumerable.Repeat("\U0001F980x", 1000))).AsTask());

        await using ClientSession session = await deployment.ConnectAsync();
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => session.Closed);

        string reason = e.Message[e.Message.IndexOf("\U0001F980", StringComparison.Ordinal)..];
        Assert.Equal(510, Encoding.UTF8.GetByteCount(reason));
        Assert.EndsWith("\U0001F980x", reason, StringComparison.Ordinal);
    });
}
