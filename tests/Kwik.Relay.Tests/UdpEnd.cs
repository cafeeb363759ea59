using System.Net;
using System.Net.Sockets;

namespace Kwik.Relay.Tests;

/// <summary>One end of a conversation over UDP on loopback. Every wait is bounded.</summary>
internal sealed class UdpEnd : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly Socket _socket;
    private readonly byte[] _buffer = new byte[65_536];

    public UdpEnd(IPAddress? address = null, int port = 0)
    {
        address ??= IPAddress.Loopback;
        _socket = new(address.AddressFamily, SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = 4 << 20 };
        _socket.Bind(new IPEndPoint(address, port));
    }

    public IPEndPoint Address => (IPEndPoint)_socket.LocalEndPoint!;

    public void Send(ReadOnlySpan<byte> datagram, EndPoint to) => _socket.SendTo(datagram, to);

    public void Send(byte datagram, EndPoint to) => Send([datagram], to);

    /// <summary>The next datagram, and who sent it.</summary>
    public async Task<(byte[] Datagram, IPEndPoint From)> ReceiveAsync(TimeSpan? patience = null)
    {
        using var limit = new CancellationTokenSource(patience ?? Patience);
        SocketReceiveFromResult result = await _socket.ReceiveFromAsync(_buffer, SocketFlags.None, Address, limit.Token);
        return (_buffer[..result.ReceivedBytes], (IPEndPoint)result.RemoteEndPoint);
    }

    /// <summary>Sends the next datagram back to where it came from.</summary>
    public async Task<IPEndPoint> EchoAsync()
    {
        (byte[] datagram, IPEndPoint from) = await ReceiveAsync();
        Send(datagram, from);
        return from;
    }

    /// <summary>True while nothing has arrived that was not received.</summary>
    public bool IsSilent => _socket.Available == 0;

    public void Dispose() => _socket.Dispose();
}
