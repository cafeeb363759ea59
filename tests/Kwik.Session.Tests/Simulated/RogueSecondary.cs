using System.Net;
using Google.Protobuf;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// A secondary that admits everybody and then does what the test says, frame by frame: for what our own servers never do.
/// </summary>
internal sealed class RogueSecondary : IAsyncDisposable
{
    private readonly ITransportListener _listener;
    private readonly Task _serving;

    private RogueSecondary(ITransportListener listener, SecondaryServer address, Func<Client, Task> serve)
    {
        _listener = listener;
        Address = address;
        _serving = ServeAsync(serve);
    }

    /// <summary>How a primary sends its clients there.</summary>
    public SecondaryServer Address { get; }

    public static async Task<RogueSecondary> StartAsync(SimulatedHost host, Func<Client, Task> serve)
    {
        var certificate = TestCertificates.SelfSigned(host.Name);
        ITransportListener listener = await host.Transport.ListenAsync(
            new TransportListenOptions
            {
                LocalEndPoint = new IPEndPoint(host.Address, SimulatedDeployment.Port),
                ServerCertificate = certificate,
                InboundBidirectionalStreams = 1,
            },
            CancellationToken.None);
        return new(
            listener, new SecondaryServer(host.Address.ToString(), SimulatedDeployment.Port, [KeyHash.OfCertificate(certificate)]), serve);
    }

    public async ValueTask DisposeAsync()
    {
        await _listener.DisposeAsync();
        await _serving;
    }

    private async Task ServeAsync(Func<Client, Task> serve)
    {
        var clients = new List<Task>();
        try
        {
            while (true)
            {
                clients.Add(AdmitAsync(await _listener.AcceptConnectionAsync(CancellationToken.None), serve));
            }
        }
        catch (ObjectDisposedException)
        {
            await Task.WhenAll(clients);
        }
    }

    private static async Task AdmitAsync(ITransportConnection connection, Func<Client, Task> serve)
    {
        try
        {
            ITransportStream stream = await connection.AcceptStreamAsync(CancellationToken.None);
            await InboundStreams.ReadHeaderAsync(stream, TimeProvider.System);
            var control = new ControlChannel(stream);
            ControlFrame? hello = await control.ReceiveAsync();
            control.Send(new ControlFrame
            {
                Authenticated = new Authenticated { Version = 1, SessionId = hello!.Authenticate.SessionId, MaxRangeRequests = 64 },
            });
            await serve(new Client(connection, control));
        }
        catch (KwikException e) when (e.Code is not KwikError.Internal)
        {
            // The client has had enough of this server.
        }
        finally
        {
            await connection.DisposeAsync();
        }
    }

    /// <summary>One client of the rogue.</summary>
    internal sealed class Client(ITransportConnection connection, ControlChannel control)
    {
        /// <summary>Answers heartbeats and hands on range requests and questions about holes, until the client is gone.</summary>
        public async Task ReceiveAsync(Func<RangeRequest, Task>? asked = null, Action<OffsetSyncRequest>? missed = null)
        {
            while (await control.ReceiveAsync() is { } frame)
            {
                if (frame.Heartbeat is { } beat)
                {
                    control.Send(new ControlFrame { HeartbeatAck = new HeartbeatAck { Sequence = beat.Sequence } });
                }
                else if (frame.RangeRequest is { } request && asked is not null)
                {
                    await asked(request);
                }
                else if (frame.OffsetSyncRequest is { } question)
                {
                    missed?.Invoke(question);
                }
                else if (frame.SessionClose is not null)
                {
                    return;
                }
            }
        }

        public void Send(ControlFrame frame) => control.Send(frame);

        /// <summary>Opens a one-way stream of some type and writes frames, a payload behind each data frame.</summary>
        public async Task<ITransportStream> OpenAsync(StreamType type, params (StreamFrame Frame, byte[] Payload)[] frames)
        {
            ITransportStream stream = await connection.OpenStreamAsync(bidirectional: false, CancellationToken.None);
            var header = new byte[StreamHeader.Size];
            StreamHeader.Create(type).Write(header);
            await stream.WriteAsync(header);
            foreach ((StreamFrame frame, byte[] payload) in frames)
            {
                var bytes = new byte[StreamFrame.MaxWrittenSize];
                int length = frame.Write(bytes);
                await stream.WriteAsync(bytes.AsMemory(0, length));
                await stream.WriteAsync(payload);
            }

            return stream;
        }

        /// <summary>What the client refused a stream with; None when it took it to its end.</summary>
        public static async Task<KwikError> OutcomeAsync(ITransportStream stream)
        {
            try
            {
                await stream.WritesClosed;
                return KwikError.None;
            }
            catch (KwikException e)
            {
                return e.Code;
            }
        }
    }
}
