using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>
/// A secondary that admits one client, whoever it is, and then does what the test says, frame by frame: for what our own servers never do.
/// </summary>
internal sealed class RogueSecondary : IAsyncDisposable
{
    private readonly Task _serving;

    private RogueSecondary(SecondaryServer address, Task serving)
    {
        Address = address;
        _serving = serving;
    }

    /// <summary>How a primary sends its client there.</summary>
    public SecondaryServer Address { get; }

    public static async Task<RogueSecondary> StartAsync(SimulatedHost host, Func<Client, Task> serve)
    {
        KeyHash pin = KeyHash.OfCertificate(TestCertificates.SelfSigned(host.Name));
        Task<RawPeer> accepting = await RawPeer.ListenAsync(host);
        return new(new SecondaryServer(host.Address.ToString(), SimulatedDeployment.Port, [pin]), ServeAsync(accepting, serve));
    }

    public async ValueTask DisposeAsync() => await _serving;

    private static async Task ServeAsync(Task<RawPeer> accepting, Func<Client, Task> serve)
    {
        await using RawPeer peer = await accepting;
        try
        {
            await serve(new Client(peer));
        }
        catch (KwikException e) when (e.Code is not KwikError.Internal)
        {
            // The client has had enough of this server.
        }
    }

    /// <summary>One client of the rogue.</summary>
    internal sealed class Client(RawPeer peer)
    {
        /// <summary>What its leaf hashes are those of; null: it has none to show.</summary>
        public MemoryContent? Content { get; set; }

        /// <summary>Answers heartbeats and hands on range requests and questions about holes, until the client is gone.</summary>
        public async Task ReceiveAsync(Func<RangeRequest, Task>? asked = null, Func<OffsetSyncRequest, ValueTask>? missed = null)
        {
            while (await peer.ReceiveAsync() is { } frame)
            {
                if (frame.Heartbeat is { } beat)
                {
                    await peer.SendAsync(new ControlFrame { HeartbeatAck = new HeartbeatAck { Sequence = beat.Sequence } });
                }
                else if (frame.LeafHashRequest is { } leaves && Content is not null)
                {
                    await peer.SendAsync(Content.Prove(leaves));
                }
                else if (frame.RangeRequest is { } request && asked is not null)
                {
                    await asked(request);
                }
                else if (frame.OffsetSyncRequest is { } question)
                {
                    await (missed?.Invoke(question) ?? ValueTask.CompletedTask);
                }
                else if (frame.SessionClose is not null)
                {
                    return;
                }
            }
        }

        public ValueTask SendAsync(ControlFrame frame) => peer.SendAsync(frame);

        /// <summary>Ends the connection without a word on the control stream.</summary>
        public ValueTask LeaveAsync() => peer.Connection.CloseAsync(KwikError.None);

        /// <summary>Opens a one-way stream of some type and writes frames, a payload behind each data frame.</summary>
        public async Task<ITransportStream> OpenAsync(StreamType type, params (StreamFrame Frame, byte[] Payload)[] frames)
        {
            ITransportStream stream = await peer.Connection.OpenStreamAsync(bidirectional: false, CancellationToken.None);
            await stream.WriteAsync((byte[])[.. RawPeer.Header(type), .. RawPeer.Bytes(frames)]);
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
