using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;
using Kwik.Transfer;

namespace Kwik.Cli.Tests;

/// <summary>A primary in this process, over real QUIC, whose contents come from wherever a test wants.</summary>
internal sealed class PrimaryInProcess : IAsyncDisposable
{
    private readonly KwikListener _listener;
    private readonly FileCatalog _catalog;
    private readonly FileServer _server;
    private readonly Task _accepting;
    private readonly CancellationTokenSource _stopping = new();

    private PrimaryInProcess(KwikListener listener, FileCatalog catalog, FileServerOptions options)
    {
        _listener = listener;
        _catalog = catalog;
        _server = new(catalog, options);
        _accepting = AcceptAsync();
    }

    public string Pin => _listener.Pin.ToString();

    public string Url(string path) => $"kwik://{_listener.LocalEndPoint}/{path}";

    /// <summary>Serves the files of a directory; <paramref name="distort"/> puts something between them and the clients.</summary>
    public static async Task<PrimaryInProcess> StartAsync(
        string root, Func<IContentProvider, IContentProvider>? distort = null, FileServerOptions? options = null)
    {
        FileCatalog catalog = FileCatalog.Open(root, new() { CacheDirectory = null });
        KwikListener listener = await KwikListener.ListenAsync(new()
        {
            Role = ServerRole.Primary,
            ListenEndPoint = new(IPAddress.Loopback, 0),
            Certificate = TestCertificates.SelfSigned("localhost"),
            ContentProvider = distort?.Invoke(catalog) ?? catalog,
        }).WithinAsync();
        return new(listener, catalog, options ?? new());
    }

    public Task<ClientSession> ConnectAsync(AggregatorOptions? aggregation = null) => KwikClient.ConnectAsync(new()
    {
        Primary = _listener.LocalEndPoint,
        Pins = [_listener.Pin],
        Aggregation = aggregation ?? new(),
    }).WithinAsync();

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _listener.DisposeAsync().WithinAsync();
        await _accepting.WithinAsync();
        await _catalog.DisposeAsync().WithinAsync();
    }

    private async Task AcceptAsync()
    {
        var serving = new List<Task>();
        try
        {
            while (true)
            {
                ServerSession session = await _listener.AcceptSessionAsync(_stopping.Token);
                serving.Add(_server.ServeAsync((PrimarySession)session, _stopping.Token));
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ObjectDisposedException)
        {
            await Task.WhenAll(serving);
        }
    }
}

/// <summary>Contents of which reads do something else than they should.</summary>
internal sealed class DistortedContents(IContentProvider inner, Func<IContent, long, Memory<byte>, CancellationToken, ValueTask<int>> read)
    : IContentProvider
{
    public async ValueTask<IContent?> OpenAsync(ContentRoot root, CancellationToken cancellationToken) =>
        await inner.OpenAsync(root, cancellationToken) is { } content ? new DistortedContent(content, read) : null;

    private sealed class DistortedContent(
        IContent inner, Func<IContent, long, Memory<byte>, CancellationToken, ValueTask<int>> read) : IContent
    {
        public long Length => inner.Length;

        public ValueTask<int> ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken) =>
            read(inner, offset, buffer, cancellationToken);

        public ValueTask<LeafHashes> GetLeafHashesAsync(long firstLeaf, CancellationToken cancellationToken) =>
            inner.GetLeafHashesAsync(firstLeaf, cancellationToken);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
