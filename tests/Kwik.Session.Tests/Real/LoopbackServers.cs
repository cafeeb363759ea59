using System.Net;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Real;

/// <summary>A primary and its secondaries on loopback, in this process.</summary>
internal sealed class LoopbackServers : IAsyncDisposable
{
    private readonly PrimaryKey _signingKey = PrimaryKey.Create();
    private readonly List<KwikListener> _listeners = [];
    private readonly List<Task> _serving = [];

    public LeasePool Pool { get; } = new();

    private SessionEnvironment Environment => SessionEnvironment.System with { Pool = Pool };

    /// <summary>
    /// Starts the servers. The primary adds the secondaries to each session and offers <paramref name="content"/> on a
    /// stream of its own, unless <paramref name="serve"/> does something else.
    /// </summary>
    public static async Task<LoopbackServers> StartAsync(
        MemoryContent? content, MemoryContent[] replicas, Func<PrimarySession, Task>? serve = null) =>
        await StartAsync(
            content,
            replicas,
            (session, secondaries) => serve?.Invoke(session) ?? OfferAsync(session, content!.Offer, secondaries));

    /// <summary>Starts the servers, whose sessions do what the functions say; null: a secondary waits for the end.</summary>
    public static async Task<LoopbackServers> StartAsync(
        MemoryContent? content,
        MemoryContent[] replicas,
        Func<PrimarySession, List<SecondaryServer>, Task> servePrimary,
        Func<SecondarySession, Task>? serveSecondary = null)
    {
        var servers = new LoopbackServers();
        var secondaries = new List<SecondaryServer>();
        foreach (MemoryContent replica in replicas)
        {
            KwikListener listener = await servers.ListenAsync(ServerRole.Secondary, replica, session => serveSecondary?.Invoke((SecondarySession)session) ?? session.Closed);
            secondaries.Add(new SecondaryServer("127.0.0.1", listener.LocalEndPoint.Port, [listener.Pin]));
        }

        await servers.ListenAsync(
            ServerRole.Primary,
            content,
            session => servePrimary((PrimarySession)session, secondaries));
        return servers;
    }

    /// <summary>Stops a secondary, with all its sessions, and starts it again at the same address and with the same key.</summary>
    public async Task RestartSecondaryAsync(int index, MemoryContent replica)
    {
        IPEndPoint address = _listeners[index].LocalEndPoint;
        await _listeners[index].DisposeAsync().WithinAsync();
        _listeners[index] = await ListenAsync(ServerRole.Secondary, replica, session => session.Closed, index, address);
    }

    public Task<ClientSession> ConnectAsync(Func<KwikClientOptions, KwikClientOptions>? change = null)
    {
        KwikListener primary = _listeners[^1];
        var options = new KwikClientOptions { Primary = primary.LocalEndPoint, Pins = [primary.Pin] };
        return KwikClient.ConnectAsync(change?.Invoke(options) ?? options, Environment, CancellationToken.None).WithinAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (KwikListener listener in _listeners)
        {
            await listener.DisposeAsync().WithinAsync();
        }

        await Task.WhenAll(_serving).WithinAsync();
        _signingKey.Dispose();
    }

    private static async Task OfferAsync(PrimarySession session, ContentOffer offer, List<SecondaryServer> secondaries)
    {
        foreach (SecondaryServer secondary in secondaries)
        {
            await session.AddPathAsync(secondary);
        }

        await using KwikStream stream = await session.OpenStreamSync();
        await stream.OfferContentAsync(offer);
        await session.Closed;
    }

    private async Task<KwikListener> ListenAsync(
        ServerRole role, IContentProvider? content, Func<ServerSession, Task> serve, int? index = null, IPEndPoint? address = null)
    {
        KwikListener listener = await KwikListener.ListenAsync(
            new KwikListenerOptions
            {
                Role = role,
                ListenEndPoint = address ?? new IPEndPoint(IPAddress.Loopback, 0),
                Certificate = TestCertificates.SelfSigned($"server {index ?? _listeners.Count}"),
                SigningKey = role == ServerRole.Primary ? _signingKey : null,
                TrustedPrimaries = [_signingKey.PublicKey],
                ContentProvider = content,
            },
            Environment,
            CancellationToken.None);
        if (index is null)
        {
            _listeners.Add(listener);
        }

        _serving.Add(AcceptAsync(listener, serve));
        return listener;
    }

    private static async Task AcceptAsync(KwikListener listener, Func<ServerSession, Task> serve)
    {
        var sessions = new List<Task>();
        try
        {
            while (true)
            {
                sessions.Add(ServeAsync(await listener.AcceptSessionAsync(), serve));
            }
        }
        catch (ObjectDisposedException)
        {
            await Task.WhenAll(sessions);
        }
    }

    private static async Task ServeAsync(ServerSession session, Func<ServerSession, Task> serve)
    {
        await using ServerSession owned = session;
        try
        {
            await serve(session);
        }
        catch (KwikException e) when (e.Code == KwikError.Cancelled)
        {
            // The client has closed the session.
        }
    }
}
