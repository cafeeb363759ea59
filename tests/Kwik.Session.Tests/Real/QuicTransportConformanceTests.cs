using System.Net;
using System.Net.Sockets;
using Kwik.Sessions;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>System.Net.Quic does what any transport has to do.</summary>
public sealed class QuicTransportConformanceTests : TransportConformanceTests
{
    internal override async Task RunAsync(Func<ConformanceNetwork, Task> test)
    {
        // Bound and never read: a peer that says nothing.
        using var silence = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        silence.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await test(new ConformanceNetwork
        {
            Client = QuicTransport.Instance,
            Server = QuicTransport.Instance,
            ServerAddress = IPAddress.Loopback,
            Time = TimeProvider.System,
            Silence = (IPEndPoint)silence.LocalEndPoint!,
        }).WithinAsync(TestTimeouts.Scenario);
    }
}
