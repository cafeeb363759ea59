using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

public class PublicStreamTests
{
    [Theory]
    [SimulationSeeds]
    public void ClientStream_Echoed_ComesBackWhole(int seed) => Simulation.Run(seed, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, EchoAsync);
        var sent = new byte[world.Random.Next(1, 300_000)];
        world.Random.NextBytes(sent);

        await using (ClientSession session = await deployment.ConnectAsync())
        {
            await using KwikStream stream = await session.OpenStreamSync();
            Task<byte[]> reading = stream.ReadToEndAsync();
            await stream.WriteAsync(sent);
            stream.CompleteWrites();

            Assert.Equal(sent, await reading);
        }

        await deployment.DisposeAsync();
        Assert.Equal(0, deployment.Pool.Outstanding);
        Assert.All(world.Hosts, host => Assert.Equal(0, host.OpenConnections));
    });

    [Fact]
    public void PrimaryStream_Accepted_CarriesBytesBothWays() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        byte[]? received = null;
        await deployment.StartPrimaryAsync(null, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.WriteAsync("question"u8.ToArray());
            stream.CompleteWrites();
            received = await stream.ReadToEndAsync();
        });

        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.AcceptStream();
        Assert.Equal("question"u8.ToArray(), await stream.ReadToEndAsync());
        await stream.WriteAsync("answer"u8.ToArray());
        await stream.DisposeAsync();
        await session.DisposeAsync();
        await deployment.DisposeAsync();

        Assert.Equal("answer"u8.ToArray(), received);
    });

    [Fact]
    public void PrimaryKilled_PendingRead_FailsWithPrimaryLost() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, EchoAsync);
        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.OpenStreamSync();
        Task<int> reading = stream.ReadAsync(new byte[10]).AsTask();

        deployment.PrimaryHost.Kill();

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => reading);
        Assert.Equal(KwikError.PrimaryLost, e.Code);
        e = await Assert.ThrowsAnyAsync<KwikException>(() => session.OpenStreamSync());
        Assert.Equal(KwikError.PrimaryLost, e.Code);
    });

    [Fact]
    public void WrongPin_Connect_FailsWithAuthenticationFailed() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, EchoAsync);

        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(() => deployment.ConnectAsync(options => options with
        {
            Pins = [KeyHash.OfCertificate(TestCertificates.SelfSigned("somebody else"))],
        }));

        Assert.Equal(KwikError.AuthenticationFailed, e.Code);
    });

    [Fact]
    public void CancelledRead_NextRead_GetsTheBytes() => Simulation.Run(1, async world =>
    {
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(null, EchoAsync);
        await using ClientSession session = await deployment.ConnectAsync();
        await using KwikStream stream = await session.OpenStreamSync();
        using var cancel = new CancellationTokenSource();
        Task<int> cancelled = stream.ReadAsync(new byte[10], cancel.Token).AsTask();
        cancel.Cancel();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled);

        await stream.WriteAsync("still here"u8.ToArray());
        stream.CompleteWrites();

        Assert.Equal("still here"u8.ToArray(), await stream.ReadToEndAsync());
    });

    internal static async Task EchoAsync(PrimarySession session)
    {
        while (true)
        {
            await using KwikStream stream = await session.AcceptStream();
            byte[] bytes = await stream.ReadToEndAsync();
            await stream.WriteAsync(bytes);
            stream.CompleteWrites();
        }
    }
}
