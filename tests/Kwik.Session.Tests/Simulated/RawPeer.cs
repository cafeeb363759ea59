using System.Net;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>The other end of a session at the level of the wire: sends whatever the test wants.</summary>
internal sealed class RawPeer : IAsyncDisposable
{
    /// <summary>What a client that reads nothing takes of each stream, bytes.</summary>
    public const int StreamWindow = 256 * 1024;

    private readonly ITransportStream _control;

    private RawPeer(ITransportConnection connection, ITransportStream control)
    {
        Connection = connection;
        _control = control;
    }

    public ITransportConnection Connection { get; }

    /// <summary>The first frame of a client; null on the client's side itself.</summary>
    public Authenticate? Request { get; private init; }

    /// <summary>A client that has sent its control stream's header and nothing else.</summary>
    public static async Task<RawPeer> ConnectAsync(SimulatedHost from, SimulatedHost to, string certificate = "client")
    {
        ITransportConnection connection = await from.Transport.ConnectAsync(
            new TransportConnectOptions
            {
                RemoteEndPoint = new IPEndPoint(to.Address, SimulatedDeployment.Port),
                ServerName = to.Name,
                Pins = [KeyHash.OfCertificate(TestCertificates.SelfSigned(to.Name))],
                ClientCertificate = TestCertificates.SelfSigned(certificate),
                InboundUnidirectionalStreams = 64,
                InboundBidirectionalStreams = 64,
                StreamWindow = StreamWindow,
            },
            CancellationToken.None);
        ITransportStream control = await connection.OpenStreamAsync(bidirectional: true, CancellationToken.None);
        await control.WriteAsync(Header(StreamType.Control));
        return new(connection, control);
    }

    /// <summary>A client that is authenticated; the answer was received.</summary>
    public static async Task<RawPeer> ConnectAsync(SimulatedHost from, SimulatedHost to, Authenticate request, string certificate = "client")
    {
        RawPeer peer = await ConnectAsync(from, to, certificate);
        request.Version = 1;
        await peer.SendAsync(new ControlFrame { Authenticate = request });
        Assert.NotNull((await peer.ReceiveAsync())?.Authenticated);
        return peer;
    }

    /// <summary>A server that admits one client, whoever it is, and says what it pleases then.</summary>
    public static async Task<Task<RawPeer>> ListenAsync(SimulatedHost host, Authenticated? answer = null)
    {
        ITransportListener listener = await host.Transport.ListenAsync(
            new TransportListenOptions
            {
                LocalEndPoint = new IPEndPoint(host.Address, SimulatedDeployment.Port),
                ServerCertificate = TestCertificates.SelfSigned(host.Name),
                InboundBidirectionalStreams = 64,
            },
            CancellationToken.None);
        return AcceptAsync(listener, answer ?? Answer());
    }

    /// <summary>What a correct server answers.</summary>
    public static Authenticated Answer() => new()
    {
        Version = 1,
        SessionId = ByteString.CopyFrom(new byte[16]),
        MaxPublicStreams = 128,
        MaxRangeRequests = 64,
    };

    public static byte[] Header(StreamType type)
    {
        var header = new byte[StreamHeader.Size];
        (type == StreamType.Control ? new StreamHeader(0, type) : StreamHeader.Create(type)).Write(header);
        return header;
    }

    /// <summary>Frames as bytes, a payload behind each data frame.</summary>
    public static byte[] Bytes(params (StreamFrame Frame, byte[] Payload)[] frames)
    {
        var bytes = new MemoryStream();
        var frame = new byte[StreamFrame.MaxWrittenSize];
        foreach ((StreamFrame next, byte[] payload) in frames)
        {
            bytes.Write(frame, 0, next.Write(frame));
            bytes.Write(payload);
        }

        return bytes.ToArray();
    }

    /// <summary>Opens a stream of some type, both ways and with its error half if it is Main, and writes bytes behind its header.</summary>
    public async Task<ITransportStream> OpenAsync(StreamType type, byte[] bytes, bool completeWrites = false)
    {
        byte[] header = Header(type);
        ITransportStream stream = await Connection.OpenStreamAsync(type == StreamType.Main, CancellationToken.None);
        await stream.WriteAsync((byte[])[.. header, .. bytes], completeWrites);
        if (type == StreamType.Main)
        {
            header[^1] = (byte)StreamType.Error;
            ITransportStream error = await Connection.OpenStreamAsync(bidirectional: true, CancellationToken.None);
            await error.WriteAsync(header, completeWrites: true);
            ErrorHalves[stream] = error;
        }

        return stream;
    }

    /// <summary>Accepts both halves of the next public stream of the other side's, behind their headers.</summary>
    public async Task<(ITransportStream Main, ITransportStream Error)> AcceptAsync()
    {
        (ITransportStream Stream, StreamType Type) first = await AcceptHalfAsync();
        (ITransportStream Stream, StreamType Type) second = await AcceptHalfAsync();
        Assert.Equal([StreamType.Main, StreamType.Error], new[] { first.Type, second.Type }.Order());
        return first.Type == StreamType.Main ? (first.Stream, second.Stream) : (second.Stream, first.Stream);
    }

    /// <summary>The error half of each Main that was opened.</summary>
    public Dictionary<ITransportStream, ITransportStream> ErrorHalves { get; } = [];

    public ValueTask SendAsync(ControlFrame frame) => SendAsync(ControlCodec.Encode(frame));

    public ValueTask SendAsync(ReadOnlyMemory<byte> bytes, bool completeWrites = false) => _control.WriteAsync(bytes, completeWrites);

    /// <summary>The next frame; null at the end of the control stream.</summary>
    /// <exception cref="KwikException">The connection ended; its code is what the other side closed it with.</exception>
    public async Task<ControlFrame?> ReceiveAsync()
    {
        var prefix = new byte[10];
        ulong size;
        int have = 0;
        do
        {
            if (await _control.ReadAsync(prefix.AsMemory(have, 1)) == 0)
            {
                return null;
            }
        }
        while (VarInt.Read(prefix.AsSpan(0, ++have), out size) == 0);

        var message = new byte[size];
        for (int read = 0; read < message.Length;)
        {
            read += await _control.ReadAsync(message.AsMemory(read));
        }

        return ControlCodec.TryDecode(message);
    }

    /// <summary>Receives until a frame of this kind comes, and answers heartbeats meanwhile.</summary>
    public async Task<ControlFrame> UntilAsync(ControlFrame.BodyOneofCase kind)
    {
        while (true)
        {
            ControlFrame frame = await ReceiveAsync() ?? throw new EndOfStreamException($"The control stream ended before {kind}.");
            if (frame.BodyCase == kind)
            {
                return frame;
            }

            if (frame.Heartbeat is { } heartbeat)
            {
                await SendAsync(new ControlFrame { HeartbeatAck = new HeartbeatAck { Sequence = heartbeat.Sequence } });
            }
        }
    }

    /// <summary>Receives until the other side ends the connection, and says with which code.</summary>
    public async Task<KwikError> EndAsync()
    {
        try
        {
            while (await ReceiveAsync() is not null)
            {
            }

            // The control stream ended by itself; the connection ends after it.
            await Connection.AcceptStreamAsync(CancellationToken.None);
            throw new InvalidOperationException("The connection lives on.");
        }
        catch (KwikException e)
        {
            return e.Code;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Connection.CloseAsync(KwikError.None);
        await Connection.DisposeAsync();
    }

    private async Task<(ITransportStream Stream, StreamType Type)> AcceptHalfAsync()
    {
        ITransportStream half = await Connection.AcceptStreamAsync(CancellationToken.None);
        Assert.True(StreamHeader.TryRead(await half.ReadExactlyAsync(StreamHeader.Size), out StreamHeader header));
        return (half, header.Type);
    }

    private static async Task<RawPeer> AcceptAsync(ITransportListener listener, Authenticated answer)
    {
        await using ITransportListener owned = listener;
        ITransportConnection connection = await listener.AcceptConnectionAsync(CancellationToken.None);
        ITransportStream control = await connection.AcceptStreamAsync(CancellationToken.None);
        await control.ReadExactlyAsync(StreamHeader.Size);
        ControlFrame? first = await new RawPeer(connection, control).ReceiveAsync();
        var peer = new RawPeer(connection, control) { Request = first?.Authenticate };
        await peer.SendAsync(new ControlFrame { Authenticated = answer });
        return peer;
    }
}
