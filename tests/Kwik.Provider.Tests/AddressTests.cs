using System.Net;
using System.Net.Quic;

namespace Kwik.Provider.Tests;

/// <summary>Address families, wildcards, and which address an answer comes from.</summary>
public sealed class AddressTests
{
    [Fact]
    public async Task Listen_OnIPv6Loopback_Connects()
    {
        await using Loopback pair = await Loopback.StartAsync(listenEndPoint: new IPEndPoint(IPAddress.IPv6Loopback, 0));

        Assert.Equal(IPAddress.IPv6Loopback, pair.Client.RemoteEndPoint.Address);
        Assert.Equal(IPAddress.IPv6Loopback, pair.Server.LocalEndPoint.Address);
        Assert.Equal(pair.Client.LocalEndPoint, pair.Server.RemoteEndPoint);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    // 127.0.0.2 is on loopback too, but not the address that the kernel would answer from by itself.
    [Theory]
    [InlineData("0.0.0.0", "127.0.0.1")]
    [InlineData("0.0.0.0", "127.0.0.2")]
    [InlineData("::", "127.0.0.1")]
    [InlineData("::", "127.0.0.2")]
    [InlineData("::", "::1")]
    public async Task Listen_OnAWildcard_AnswersFromTheAddressThatWasAsked(string listenAddress, string connectAddress)
    {
        await using QuicListener listener = await Loopback.ListenAsync(
            listen: o => o.ListenEndPoint = new IPEndPoint(IPAddress.Parse(listenAddress), 0));
        Assert.Equal(IPAddress.Parse(listenAddress), listener.LocalEndPoint.Address);
        var remote = new IPEndPoint(IPAddress.Parse(connectAddress), listener.LocalEndPoint.Port);

        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(listener, remote);
        await using (client)
        await using (server)
        {
            Assert.Equal(remote, client.RemoteEndPoint);
            Assert.Equal(Plain(remote), Plain(server.LocalEndPoint));
            Assert.Equal(Plain(client.LocalEndPoint), Plain(server.RemoteEndPoint));
            await client.AssertAliveAsync(server);
            await server.AssertAliveAsync(client);
        }
    }

    [Fact]
    public async Task Connect_FromAGivenAddress_ServerSeesIt()
    {
        var local = new IPEndPoint(IPAddress.Parse("127.0.0.3"), 0);
        await using Loopback pair = await Loopback.StartAsync(client: o => o.LocalEndPoint = local);

        Assert.Equal(local.Address, pair.Client.LocalEndPoint.Address);
        Assert.Equal(pair.Client.LocalEndPoint, pair.Server.RemoteEndPoint);
        await pair.Client.AssertAliveAsync(pair.Server);
    }

    [Fact]
    public async Task Connect_ByName_ResolvesIt()
    {
        await using QuicListener listener = await Loopback.ListenAsync(
            listen: o => o.ListenEndPoint = new IPEndPoint(IPAddress.IPv6Any, 0));

        (QuicConnection client, QuicConnection server) =
            await Loopback.ConnectAsync(listener, new DnsEndPoint("localhost", listener.LocalEndPoint.Port));
        await using (client)
        await using (server)
        {
            Assert.True(IPAddress.IsLoopback(client.RemoteEndPoint.Address));
            await client.AssertAliveAsync(server);
        }
    }

    [Fact]
    public async Task Listen_PortZero_GivesEveryListenerItsOwnPort()
    {
        await using QuicListener first = await Loopback.ListenAsync();
        await using QuicListener second = await Loopback.ListenAsync();

        Assert.NotEqual(0, first.LocalEndPoint.Port);
        Assert.NotEqual(first.LocalEndPoint.Port, second.LocalEndPoint.Port);
    }

    // A dual-mode listener may see an IPv4 peer as an IPv4 address mapped into IPv6.
    private static IPEndPoint Plain(IPEndPoint endPoint) => endPoint.Address.IsIPv4MappedToIPv6
        ? new(endPoint.Address.MapToIPv4(), endPoint.Port)
        : endPoint;
}
