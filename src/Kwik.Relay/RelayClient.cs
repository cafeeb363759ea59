using System.Net;

namespace Kwik.Relay;

/// <summary>An address that sent to the relay, and its own socket towards the target.</summary>
internal sealed class RelayClient(SocketAddress address, DatagramSocket upstream)
{
    public SocketAddress Address { get; } = address;

    public DatagramSocket Upstream { get; private set; } = upstream;

    /// <summary>Last time that a datagram went either way.</summary>
    public TimeSpan LastSeen { get; set; }

    /// <summary>Forgotten; what is still under way to or from it is dropped.</summary>
    public bool IsClosed { get; private set; }

    /// <summary>Gives the old socket, which is the caller's to close.</summary>
    public DatagramSocket Rebind(DatagramSocket next)
    {
        DatagramSocket old = Upstream;
        Upstream = next;
        return old;
    }

    public void Close()
    {
        IsClosed = true;
        Upstream.Dispose();
    }
}
