using System.Net;
using System.Net.Sockets;

namespace Kwik.Relay;

/// <summary>A non-blocking UDP socket whose failures are results: the network may lose a datagram for any reason.</summary>
internal sealed class DatagramSocket : IDisposable
{
    /// <summary>As much as common systems grant without privileges, so that a thread that comes late loses nothing.</summary>
    private const int BufferBytes = 4 * 1024 * 1024;

    // linux/udp.h; .NET has no names for them.
    private const int UdpLevel = 17;
    private const int UdpSegment = 103;

    private readonly Socket _socket;
    private int _segmentBytes;

    private DatagramSocket(AddressFamily family)
    {
        _socket = new(family, SocketType.Dgram, ProtocolType.Udp)
        {
            Blocking = false,
            ReceiveBufferSize = BufferBytes,
            SendBufferSize = BufferBytes,
        };
        if (OperatingSystem.IsWindows())
        {
            const int reportUnreachable = unchecked((int)0x9800000C); // SIO_UDP_CONNRESET: one client's ICMP would fail all
            _socket.IOControl(reportUnreachable, [0, 0, 0, 0], null);
        }
    }

    public Socket Socket => _socket;

    /// <summary>A socket that receives from anybody.</summary>
    /// <exception cref="SocketException">The address is taken or not ours.</exception>
    public static DatagramSocket Bind(IPEndPoint local) => Open(local.AddressFamily, socket => socket.Bind(local));

    /// <summary>A socket for one peer.</summary>
    /// <exception cref="SocketException">There is no way there, or no descriptor left.</exception>
    public static DatagramSocket Connect(IPEndPoint peer) => Open(peer.AddressFamily, socket => socket.Connect(peer));

    /// <summary>Receives from the peer; false when nothing is there.</summary>
    public bool TryReceive(Span<byte> buffer, out int length)
    {
        SocketError error;
        do
        {
            length = _socket.Receive(buffer, SocketFlags.None, out error);
        }
        while (error is SocketError.ConnectionRefused or SocketError.ConnectionReset); // ICMP: nobody listens there
        return error == SocketError.Success;
    }

    /// <summary>Receives from anybody; false when nothing is there, which costs an exception: ask when there is.</summary>
    public bool TryReceiveFrom(Span<byte> buffer, SocketAddress from, out int length)
    {
        try
        {
            length = _socket.ReceiveFrom(buffer, SocketFlags.None, from);
            return true;
        }
        catch (SocketException)
        {
            length = 0;
            return false;
        }
    }

    /// <summary>
    /// Sends <paramref name="bytes"/> as datagrams of <paramref name="segmentBytes"/>, of which the last may be shorter.
    /// Null for <paramref name="to"/> means the peer.
    /// </summary>
    /// <returns>False when the system took nothing.</returns>
    public bool TrySend(ReadOnlySpan<byte> bytes, SocketAddress? to, int segmentBytes)
    {
        try
        {
            if (segmentBytes < bytes.Length ? _segmentBytes != segmentBytes : _segmentBytes != 0 && _segmentBytes < bytes.Length)
            {
                int size = segmentBytes < bytes.Length ? segmentBytes : 0;
                _socket.SetRawSocketOption(UdpLevel, UdpSegment, BitConverter.GetBytes(size));
                _segmentBytes = size;
            }

            if (to is not null)
            {
                _socket.SendTo(bytes, SocketFlags.None, to);
                return true;
            }

            _socket.Send(bytes, SocketFlags.None, out SocketError error);
            return error == SocketError.Success;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    public void Dispose() => _socket.Dispose();

    private static DatagramSocket Open(AddressFamily family, Action<Socket> attach)
    {
        var opened = new DatagramSocket(family);
        try
        {
            attach(opened._socket);
            return opened;
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }
}
