using System.Net;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Relay;
using Kwik.Sessions;

namespace Kwik.Load;

/// <summary>Two secondaries that have one content, each behind a link that faults are put into, and the key that they trust.</summary>
internal sealed class Replicas : IContentProvider, IAsyncDisposable
{
    /// <summary>Of the content: <see cref="Service"/>'s pattern.</summary>
    public const int Length = 8 * 1024 * 1024;

    private const int Servers = 2;

    private readonly byte[] _bytes = Service.Content(Length);
    private readonly ContentTree _tree;
    private readonly List<KwikListener> _listeners = [];
    private readonly List<UdpRelay> _links = [];
    private readonly List<Task> _serving = [];

    private Replicas() => _tree = ContentTree.Compute(_bytes);

    public PrimaryKey SigningKey { get; } = PrimaryKey.Create();

    public ContentOffer Offer => _tree.Offer;

    /// <summary>What a primary tells its clients.</summary>
    public IEnumerable<SecondaryServer> Addresses => _links.Zip(
        _listeners, (link, listener) => new SecondaryServer(IPAddress.Loopback.ToString(), link.LocalEndPoint.Port, [listener.Pin]));

    public static async Task<Replicas> StartAsync(X509Certificate2 certificate)
    {
        var replicas = new Replicas();
        for (int i = 0; i < Servers; i++)
        {
            KwikListener listener = await KwikListener.ListenAsync(new KwikListenerOptions
            {
                Role = ServerRole.Secondary,
                ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
                Certificate = certificate,
                TrustedPrimaries = [replicas.SigningKey.PublicKey],
                ContentProvider = replicas,
            });
            replicas._listeners.Add(listener);
            replicas._links.Add(UdpRelay.Start(new() { Target = listener.LocalEndPoint, ClientIdleTimeout = TimeSpan.FromSeconds(5) }));
            replicas._serving.Add(ServeAsync(listener));
        }

        return replicas;
    }

    /// <summary>Does this to one of the links, both ways, until the next call.</summary>
    public void Set(int link, LinkOptions options) => (_links[link].ToServer, _links[link].ToClient) = (options, options);

    /// <summary>All links are as they were made.</summary>
    public void Heal()
    {
        for (int i = 0; i < Servers; i++)
        {
            Set(i, new());
        }
    }

    public ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken) =>
        ValueTask.FromResult<IContent?>(root == Offer.Root ? new Reader(this) : null);

    public async ValueTask DisposeAsync()
    {
        foreach (KwikListener listener in _listeners)
        {
            await listener.DisposeAsync();
        }

        await Task.WhenAll(_serving);
        _links.ForEach(link => link.Dispose());
        SigningKey.Dispose();
    }

    private static async Task ServeAsync(KwikListener listener)
    {
        var sessions = new List<Task>();
        try
        {
            while (true)
            {
                ServerSession session = await listener.AcceptSessionAsync();
                sessions.RemoveAll(one => one.IsCompleted);
                sessions.Add(EndAsync(session));
            }
        }
        catch (ObjectDisposedException)
        {
            // The end.
        }

        await Task.WhenAll(sessions);
    }

    /// <summary>Ranges are served without the application; it only has to let go.</summary>
    private static async Task EndAsync(ServerSession session)
    {
        await using (session)
        {
            try
            {
                await session.Closed;
            }
            catch (KwikException)
            {
                // The client was lost.
            }
        }
    }

    private sealed class Reader(Replicas replicas) : IContent
    {
        public long Length => Replicas.Length;

        public ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            int read = (int)Math.Min(buffer.Length, Length - offset);
            replicas._bytes.AsSpan((int)offset, read).CopyTo(buffer.Span);
            return ValueTask.FromResult(read);
        }

        public ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken) =>
            ValueTask.FromResult(replicas._tree.GetLeafHashes(firstLeaf));

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
