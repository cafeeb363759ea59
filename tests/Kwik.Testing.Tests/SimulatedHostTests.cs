using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Testing.Tests;

/// <summary>Processes that are killed, stopped and restarted, and connections that break.</summary>
public sealed class SimulatedHostTests
{
    [Fact]
    public void Kill_IsSilentForThePeerAndRefusesNewConnections() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ConnectedPair pair = await network.ConnectAsync(TimeSpan.FromSeconds(5));
        (ITransportStream client, ITransportStream server) = await pair.OpenAsync();
        Task<ITransportConnection> accepting = pair.Listener.AcceptConnectionAsync(CancellationToken.None).AsTask();
        Task<int> serverRead = server.ReadAsync(new byte[1]).AsTask();
        Task<int> clientRead = client.ReadAsync(new byte[1]).AsTask();
        await server.WriteAsync(new byte[100_000]);
        network.Server.Kill();
        Assert.False(network.Server.IsAlive);

        // Inside the dead process everything ends at once.
        await ConformanceNetwork.ExpectAsync(KwikError.Internal, KwikErrorSide.Local, serverRead);
        await ConformanceNetwork.ExpectAsync(KwikError.Internal, KwikErrorSide.Local, server.WriteAsync(new byte[1]));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => accepting);
        await ConformanceNetwork.ExpectAsync(KwikError.Internal, KwikErrorSide.Local, ConnectFromTheDeadAsync());

        // What had left is delivered; then comes silence, which the first ping after a third of 5 s asks about.
        Assert.Equal(1, await clientRead);
        TimeSpan before = world.Time.Elapsed;
        await ConformanceNetwork.ExpectAsync(KwikError.Timeout, KwikErrorSide.Network, client.ReadToEndAsync());
        Assert.InRange((world.Time.Elapsed - before).TotalSeconds, 6.6, 6.7);

        before = world.Time.Elapsed;
        await ConformanceNetwork.ExpectAsync(
            KwikError.PathLost,
            KwikErrorSide.Network,
            network.Client.Transport.ConnectAsync(
                ConformanceNetwork.ConnectOptions(pair.Listener.LocalEndPoint), CancellationToken.None));
        Assert.Equal(10, (world.Time.Elapsed - before).TotalMilliseconds);

        async Task ConnectFromTheDeadAsync() => await network.Server.Transport.ConnectAsync(
            ConformanceNetwork.ConnectOptions(pair.Listener.LocalEndPoint), CancellationToken.None);
    });

    [Fact]
    public void Restart_GivesAFreshProcessThatServes() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ConnectedPair before = await network.ConnectAsync(TimeSpan.FromSeconds(5));
        int fired = 0;
        using ITimer timer = network.Server.Time.CreateTimer(_ => fired++, null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
        network.Server.Kill();
        network.Server.Restart();
        Assert.True(network.Server.IsAlive);
        await using ConnectedPair after = await network.ConnectAsync();
        await after.OpenAsync();
        await ConformanceNetwork.ExpectAsync(
            KwikError.Timeout, KwikErrorSide.Network, before.Client.AcceptStreamAsync(CancellationToken.None));
        Assert.Equal(0, fired);
        await after.OpenAsync();
        Assert.Equal(1, network.Server.OpenConnections);
        Assert.Equal(2, network.Server.OpenStreams);
    });

    [Fact]
    public void Freeze_ShorterThanTheIdleTimeout_OnlyDelays() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        network.Down.BitsPerSecond = 8_000_000;
        await using ConnectedPair pair = await network.ConnectAsync(TimeSpan.FromSeconds(10));
        Task writing = TestNetwork.WriteAsync(await TestNetwork.OpenDownAsync(pair), 2_000_000);
        ITransportStream stream = await pair.Client.AcceptStreamAsync(CancellationToken.None);
        Task<long> counting = TestNetwork.CountAsync(stream);
        TimeSpan before = world.Time.Elapsed;
        int fired = 0;
        using ITimer timer = network.Server.Time.CreateTimer(_ => fired++, null, TimeSpan.FromSeconds(1), TimeSpan.Zero);
        network.Server.Freeze();
        await world.Delay(TimeSpan.FromSeconds(3));
        long sent = network.Down.BytesSent;
        Assert.InRange(sent, 0, 20_000);
        Assert.Equal(0, fired);
        network.Server.Thaw();
        Assert.Equal(1, fired);
        Assert.Equal(2_000_000, await counting);
        await writing;
        Assert.InRange((world.Time.Elapsed - before).TotalSeconds, 4.95, 5.05);
    });

    [Fact]
    public void Freeze_LongerThanTheIdleTimeout_LosesTheConnectionOnBothSides() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ConnectedPair pair = await network.ConnectAsync(TimeSpan.FromSeconds(5));
        Task<ITransportStream> clientAccept = pair.Client.AcceptStreamAsync(CancellationToken.None).AsTask();
        Task<ITransportStream> serverAccept = pair.Server.AcceptStreamAsync(CancellationToken.None).AsTask();
        network.Server.Freeze();
        await ConformanceNetwork.ExpectAsync(KwikError.Timeout, KwikErrorSide.Network, clientAccept);
        await world.Delay(TimeSpan.FromSeconds(5));
        Assert.False(serverAccept.IsCompleted);
        network.Server.Thaw();
        await ConformanceNetwork.ExpectAsync(KwikError.Timeout, KwikErrorSide.Network, serverAccept);
    });

    [Fact]
    public void Connect_ToAFrozenHost_WaitsForTheThawOrTheTimeout() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ConnectedPair pair = await network.ConnectAsync();
        network.Server.Freeze();
        TransportConnectOptions options = ConformanceNetwork.ConnectOptions(pair.Listener.LocalEndPoint) with { HandshakeTimeout = TimeSpan.FromSeconds(2) };
        await ConformanceNetwork.ExpectAsync(
            KwikError.Timeout, KwikErrorSide.Network, network.Client.Transport.ConnectAsync(options, CancellationToken.None));
        Task<ITransportConnection> connecting = network.Client.Transport.ConnectAsync(options, CancellationToken.None).AsTask();
        await world.Delay(TimeSpan.FromSeconds(1));
        network.Server.Thaw();
        await using ITransportConnection connection = await connecting;

        // The attempt that was given up in the meantime reaches nobody.
        await using ITransportConnection accepted = await pair.Listener.AcceptConnectionAsync(CancellationToken.None);
        Assert.Equal(connection.LocalEndPoint, accepted.RemoteEndPoint);
    });

    [Fact]
    public void Close_OfAFrozenProcess_ReachesThePeerAfterTheThaw() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ConnectedPair pair = await network.ConnectAsync();
        Task<ITransportStream> accepting = pair.Client.AcceptStreamAsync(CancellationToken.None).AsTask();
        network.Server.Freeze();
        await pair.Server.CloseAsync(KwikError.NotFound);
        await world.Delay(TimeSpan.FromSeconds(1));
        Assert.False(accepting.IsCompleted);
        network.Server.Thaw();
        await ConformanceNetwork.ExpectAsync(KwikError.NotFound, KwikErrorSide.Remote, accepting);
    });

    [Fact]
    public void Reset_EndsBothSidesAtOnce() => Simulation.Run(1, async world =>
    {
        var network = new TestNetwork(world);
        await using ConnectedPair pair = await network.ConnectAsync();
        SimulatedConnection connection = Assert.Single(world.Connections);
        Assert.Same(pair.Client, connection);
        TimeSpan before = world.Time.Elapsed;
        connection.Reset(KwikError.PathLost);
        await ConformanceNetwork.ExpectAsync(
            KwikError.PathLost, KwikErrorSide.Network, pair.Client.AcceptStreamAsync(CancellationToken.None));
        await ConformanceNetwork.ExpectAsync(
            KwikError.PathLost, KwikErrorSide.Network, pair.Server.AcceptStreamAsync(CancellationToken.None));
        Assert.Equal(before, world.Time.Elapsed);
        Assert.Empty(world.Connections);
    });

    [Fact]
    public void Hosts_WithOneAddress_AreRejected() => Simulation.Run(1, world =>
    {
        SimulatedHost host = world.Host("one");
        Assert.Same(host, world.Host("one"));
        Assert.Throws<ArgumentException>(() => world.Host("two", host.Address));
        return Task.CompletedTask;
    });
}
