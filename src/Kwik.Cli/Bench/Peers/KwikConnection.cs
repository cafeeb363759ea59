using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Cli.Bench.Peers;

/// <summary>A session with a <see cref="KwikServer"/>, which is its primary.</summary>
internal sealed class KwikConnection : IPeerConnection
{
    private KwikConnection(ClientSession session) => Session = session;

    public ClientSession Session { get; }

    /// <summary>Connects, with the options that are the defaults.</summary>
    /// <exception cref="KwikException">The server is gone.</exception>
    public static async Task<KwikConnection> ConnectAsync(IPEndPoint server, KeyHash pin, CancellationToken cancellationToken) =>
        new(await KwikClient.ConnectAsync(new KwikClientOptions { Primary = server, Pins = [pin] }, cancellationToken));

    public async ValueTask<Stream> OpenAsync(CancellationToken cancellationToken) => await Session.OpenStreamSync(cancellationToken);

    public void CompleteWrites(Stream stream) => ((KwikStream)stream).CompleteWrites();

    public ValueTask DisposeAsync() => Session.DisposeAsync();
}
