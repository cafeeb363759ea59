using System.Net;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Cli.Bench.Peers;

/// <summary>A primary whose application speaks <see cref="PeerProtocol"/>; one session, and one stream, after the other.</summary>
internal sealed class KwikServer : IPeerServer
{
    private readonly KwikListener _listener;

    private KwikServer(KwikListener listener) => _listener = listener;

    public IPEndPoint EndPoint => _listener.LocalEndPoint;

    /// <summary>Listens on loopback, on a port that the system chooses.</summary>
    public static async Task<KwikServer> ListenAsync(X509Certificate2 certificate, CancellationToken cancellationToken) =>
        new(await KwikListener.ListenAsync(
            new KwikListenerOptions { Role = ServerRole.Primary, ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0), Certificate = certificate },
            cancellationToken));

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await using var session = (PrimarySession)await _listener.AcceptSessionAsync(cancellationToken);
            try
            {
                while (true)
                {
                    await using KwikStream stream = await session.AcceptStream(cancellationToken);
                    await PeerProtocol.AnswerAsync(stream, cancellationToken);
                    stream.CompleteWrites();
                    await stream.WritesClosed.WaitAsync(cancellationToken);
                }
            }
            catch (Exception e) when (e is KwikException or EndOfStreamException)
            {
                // The client has left; the next may come.
            }
        }
    }

    public ValueTask DisposeAsync() => _listener.DisposeAsync();
}
