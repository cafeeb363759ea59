using Google.Protobuf;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>One session whose other side is the test itself, which says whatever it likes.</summary>
internal static class RawScene
{
    /// <summary>A primary, and the test in the place of its client.</summary>
    public static void AtPrimary(Func<SimulatedWorld, RawPeer, PrimarySession, Task> play) => Simulation.Run(1, async world =>
    {
        var accepted = new TaskCompletionSource<PrimarySession>();
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, session =>
        {
            accepted.SetResult(session);
            return session.Closed;
        });
        await using RawPeer client = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        await play(world, client, await accepted.Task);
    });

    /// <summary>A secondary, and the test in the place of its client.</summary>
    public static void AtSecondary(Func<SimulatedWorld, RawPeer, SecondarySession, Task> play) => Simulation.Run(1, async world =>
    {
        var accepted = new TaskCompletionSource<SecondarySession>();
        var id = new TaskCompletionSource<Guid>();
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync("secondary 1", null, session =>
        {
            accepted.SetResult(session);
            return session.Closed;
        });
        await deployment.StartPrimaryAsync(null, async session =>
        {
            id.SetResult(session.Id);
            // This client does not say that it is there.
            await Record.ExceptionAsync(() => session.AddPathAsync(secondary));
        });
        await using RawPeer atPrimary = await RawPeer.ConnectAsync(
            deployment.ClientHost, deployment.PrimaryHost, new Authenticate { Role = Role.Primary });
        ControlFrame sent = await atPrimary.UntilAsync(ControlFrame.BodyOneofCase.AddPath);
        await using RawPeer client = await RawPeer.ConnectAsync(deployment.ClientHost, world.Host("secondary 1"), new Authenticate
        {
            Role = Role.Secondary,
            SessionId = ByteString.CopyFrom((await id.Task).ToByteArray(bigEndian: true)),
            PathToken = sent.AddPath.PathToken,
        });
        await play(world, client, await accepted.Task);
    });

    /// <summary>A client, and the test in the place of its primary. Nothing may be left of the session.</summary>
    public static void AtClient(Func<SimulatedWorld, RawPeer, ClientSession, Task> play) => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        Task<RawPeer> accepting = await RawPeer.ListenAsync(deployment.PrimaryHost);
        await using ClientSession session = await deployment.ConnectAsync();
        await using RawPeer primary = await accepting;
        await play(world, primary, session);
        await session.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
    });
}
