using System.Net;
using System.Net.Quic;
using System.Net.Security;
using System.Net.Sockets;

namespace Kwik.Provider.Tests;

/// <summary>Several listeners on one port, and ports that somebody else holds.</summary>
public sealed class SharedPortTests
{
    private static readonly SslApplicationProtocol[] Protocols = [new("kwik-a"), new("kwik-b"), new("kwik-c")];

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    public async Task Listen_DifferentProtocolsOnOnePort_EachListenerGetsItsConnections(string address)
    {
        var endPoint = new IPEndPoint(IPAddress.Parse(address), 0);
        var listeners = new List<QuicListener>();
        try
        {
            foreach (SslApplicationProtocol protocol in Protocols)
            {
                listeners.Add(await ListenAsync(endPoint, protocol));
                endPoint = listeners[0].LocalEndPoint;
                Assert.Equal(endPoint, listeners[^1].LocalEndPoint);
            }

            // At once, so that the handshakes are mixed on the socket.
            await Task.WhenAll(listeners.Select(async (listener, which) =>
            {
                for (int i = 0; i < 4; i++)
                {
                    await AssertServesAsync(listener, Protocols[which]);
                }
            })).Bounded();
        }
        finally
        {
            foreach (QuicListener listener in listeners)
            {
                await listener.DisposeAsync().Bounded();
            }
        }
    }

    [Fact]
    public async Task Listen_SameProtocolOnOnePort_ThrowsAlpnInUseUntilTheFirstIsDisposed()
    {
        QuicListener first = await ListenAsync(new(IPAddress.Loopback, 0), Protocols[0], Protocols[1]);
        IPEndPoint endPoint = first.LocalEndPoint;

        await Expect.Quic(QuicError.AlpnInUse, null, ListenAsync(endPoint, Protocols[0]));
        await Expect.Quic(QuicError.AlpnInUse, null, ListenAsync(endPoint, Protocols[2], Protocols[1]));
        await AssertServesAsync(first, Protocols[1]);
        await first.DisposeAsync().Bounded();

        await using QuicListener second = await ListenAsync(endPoint, Protocols[0]);
        await AssertServesAsync(second, Protocols[0]);
    }

    [Fact]
    public async Task Dispose_OneOfTwoListenersOnOnePort_TheOtherGoesOnAndItsConnectionsToo()
    {
        QuicListener first = await ListenAsync(new(IPAddress.Loopback, 0), Protocols[0]);
        await using QuicListener second = await ListenAsync(first.LocalEndPoint, Protocols[1]);
        (QuicConnection client, QuicConnection server) = await Loopback.ConnectAsync(second, Ask(Protocols[1]));
        await using (client)
        await using (server)
        {
            // Its accepted connections outlive a listener.
            (QuicConnection client1, QuicConnection server1) = await Loopback.ConnectAsync(first, Ask(Protocols[0]));
            await using (client1)
            await using (server1)
            {
                await first.DisposeAsync().Bounded();

                await client1.AssertAliveAsync(server1);
                await client.AssertAliveAsync(server);
            }

            await AssertServesAsync(second, Protocols[1]);
            Exception e = await Assert.ThrowsAnyAsync<Exception>(() =>
                QuicConnection.ConnectAsync(Loopback.ClientOptions(second.LocalEndPoint, Ask(Protocols[0]))).Bounded());
            Assert.True(e is System.Security.Authentication.AuthenticationException or QuicException, Expect.Describe(e));

            await using QuicListener again = await ListenAsync(second.LocalEndPoint, Protocols[0]);
            await AssertServesAsync(again, Protocols[0]);
            await client.AssertAliveAsync(server);
        }
    }

    [Theory]
    [InlineData("127.0.0.1", "0.0.0.0")]
    [InlineData("0.0.0.0", "127.0.0.1")]
    [InlineData("127.0.0.1", "::")]
    [InlineData("::", "::1")]
    public async Task Listen_AddressAndWildcardOnOnePort_IsRefusedOrServesBesideTheFirst(string firstAddress, string secondAddress)
    {
        await using QuicListener first = await ListenAsync(new(IPAddress.Parse(firstAddress), 0), Protocols[0]);
        var shared = new IPEndPoint(IPAddress.Parse(secondAddress), first.LocalEndPoint.Port);
        QuicListener? second = null;
        try
        {
            // Whether sockets share the port is the system's and the library's choice.
            second = await ListenAsync(shared, Protocols[1]);
        }
        catch (SocketException e)
        {
            Assert.Equal(SocketError.AddressAlreadyInUse, e.SocketErrorCode);
        }

        if (second is not null)
        {
            await using (second)
            {
                await AssertServesAsync(IsWildcard(firstAddress) ? second : first, IsWildcard(firstAddress) ? Protocols[1] : Protocols[0]);
            }
        }

        await AssertServesAsync(first, Protocols[0]);
    }

    [Fact]
    public async Task Listen_BothLoopbackAddressesOnOnePort_AreTwoListeners()
    {
        await using QuicListener first = await ListenAsync(new(IPAddress.Loopback, 0), Protocols[0]);
        // The same protocol: another address is another place.
        await using QuicListener second = await ListenAsync(new(IPAddress.Parse("127.0.0.2"), first.LocalEndPoint.Port), Protocols[0]);
        await using QuicListener third = await ListenAsync(new(IPAddress.IPv6Loopback, first.LocalEndPoint.Port), Protocols[0]);

        await Task.WhenAll(
            AssertServesAsync(first, Protocols[0]),
            AssertServesAsync(second, Protocols[0]),
            AssertServesAsync(third, Protocols[0])).Bounded();
    }

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData("::1")]
    [InlineData("0.0.0.0")]
    [InlineData("::")]
    public async Task Listen_PortOfAnotherSocket_ThrowsAddressInUseUntilThatIsClosed(string address)
    {
        IPAddress ip = IPAddress.Parse(address);
        IPEndPoint endPoint;
        using (var socket = new Socket(ip.AddressFamily, SocketType.Dgram, ProtocolType.Udp))
        {
            if (ip.AddressFamily == AddressFamily.InterNetworkV6)
            {
                socket.DualMode = true;
            }

            socket.Bind(new IPEndPoint(ip, 0));
            endPoint = (IPEndPoint)socket.LocalEndPoint!;
            for (int i = 0; i < 2; i++)
            {
                SocketException e = await Assert.ThrowsAsync<SocketException>(() => ListenAsync(endPoint, Protocols[0]));
                Assert.Equal(SocketError.AddressAlreadyInUse, e.SocketErrorCode);
            }
        }

        await using QuicListener listener = await ListenAsync(endPoint, Protocols[0]);
        await AssertServesAsync(listener, Protocols[0]);
    }

    private static bool IsWildcard(string address) => address is "::" or "0.0.0.0";

    private static Action<QuicClientConnectionOptions> Ask(SslApplicationProtocol protocol) =>
        o => o.ClientAuthenticationOptions.ApplicationProtocols = [protocol];

    private static async Task<QuicListener> ListenAsync(IPEndPoint endPoint, params SslApplicationProtocol[] protocols) => await Loopback.ListenAsync(
        server: o => o.ServerAuthenticationOptions.ApplicationProtocols = [.. protocols],
        listen: o =>
        {
            o.ListenEndPoint = endPoint;
            o.ApplicationProtocols = [.. protocols];
        });

    private static async Task AssertServesAsync(QuicListener listener, SslApplicationProtocol protocol)
    {
        IPAddress address = listener.LocalEndPoint.Address;
        IPAddress target = address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any) ? IPAddress.Loopback : address;
        (QuicConnection client, QuicConnection server) =
            await Loopback.ConnectAsync(listener, new IPEndPoint(target, listener.LocalEndPoint.Port), Ask(protocol));
        await using (client)
        await using (server)
        {
            Assert.Equal(protocol, client.NegotiatedApplicationProtocol);
            Assert.Equal(protocol, server.NegotiatedApplicationProtocol);
            await client.AssertAliveAsync(server);
        }
    }
}
