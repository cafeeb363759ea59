using Kwik.Data;
using Kwik.Sessions;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>A client, a primary and secondaries in one simulation, each on a host of its own.</summary>
internal sealed class SimulatedDeployment(SimulatedWorld world) : IAsyncDisposable
{
    public const int Port = 4433;

    private readonly PrimaryKey _signingKey = PrimaryKey.Create();
    private readonly List<Task> _serving = [];
    private readonly List<KwikListener> _listeners = [];

    public LeasePool Pool { get; } = new();

    public SimulatedHost ClientHost { get; } = world.Host("client");

    public SimulatedHost PrimaryHost { get; } = world.Host("primary");

    public KwikListener Primary => _listeners[0];

    /// <summary>Whom the sessions tell what is measured and traced.</summary>
    public KwikTelemetry Telemetry { get; init; } = KwikTelemetry.Shared;

    /// <summary>The key that the secondaries trust.</summary>
    public PrimaryKey SigningKey => _signingKey;

    public SessionEnvironment On(SimulatedHost host) =>
        new(host.Transport, host.Time, new Random(world.Seed), Pool) { Telemetry = Telemetry };

    /// <summary>Starts the primary; <paramref name="serve"/> runs for each of its sessions.</summary>
    public async Task StartPrimaryAsync(
        IContentProvider? content,
        Func<PrimarySession, Task> serve,
        Func<KwikListenerOptions, KwikListenerOptions>? change = null)
    {
        KwikListener listener = await ListenAsync(PrimaryHost, ServerRole.Primary, content, change);
        _serving.Add(AcceptAsync(listener, session => serve((PrimarySession)session)));
    }

    /// <summary>Starts a secondary that trusts the primary, and says how to reach it.</summary>
    public async Task<SecondaryServer> StartSecondaryAsync(
        string name,
        IContentProvider? content,
        Func<SecondarySession, Task>? serve = null,
        Func<KwikListenerOptions, KwikListenerOptions>? change = null)
    {
        SimulatedHost host = world.Host(name);
        KwikListener listener = await ListenAsync(host, ServerRole.Secondary, content, change);
        _serving.Add(AcceptAsync(listener, session => serve?.Invoke((SecondarySession)session) ?? session.Closed));
        return new SecondaryServer(host.Address.ToString(), Port, [listener.Pin]);
    }

    public Task<ClientSession> ConnectAsync(Func<KwikClientOptions, KwikClientOptions>? change = null)
    {
        var options = new KwikClientOptions
        {
            Primary = new System.Net.IPEndPoint(PrimaryHost.Address, Port),
            Pins = [KeyHash.OfCertificate(TestCertificates.SelfSigned("primary"))],
            ClientCertificate = TestCertificates.SelfSigned("client"),
        };
        return KwikClient.ConnectAsync(change?.Invoke(options) ?? options, On(ClientHost), CancellationToken.None);
    }

    /// <summary>Closes every listener; nothing may be left of any session then.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (KwikListener listener in _listeners)
        {
            await listener.DisposeAsync();
        }

        await Task.WhenAll(_serving);
        _signingKey.Dispose();
    }

    private async Task<KwikListener> ListenAsync(
        SimulatedHost host, ServerRole role, IContentProvider? content, Func<KwikListenerOptions, KwikListenerOptions>? change = null)
    {
        var options = new KwikListenerOptions
        {
            Role = role,
            ListenEndPoint = new System.Net.IPEndPoint(host.Address, Port),
            Certificate = TestCertificates.SelfSigned(host.Name),
            SigningKey = role == ServerRole.Primary ? _signingKey : null,
            TrustedPrimaries = [_signingKey.PublicKey],
            ContentProvider = content,
        };
        KwikListener listener = await KwikListener.ListenAsync(change?.Invoke(options) ?? options, On(host), CancellationToken.None);
        _listeners.Add(listener);
        return listener;
    }

    private static async Task AcceptAsync(KwikListener listener, Func<ServerSession, Task> serve)
    {
        var sessions = new List<Task>();
        try
        {
            while (true)
            {
                ServerSession session = await listener.AcceptSessionAsync();
                sessions.Add(ServeAsync(session, serve));
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
        catch (KwikException e) when (e.Code is KwikError.Cancelled or KwikError.PrimaryLost or KwikError.Timeout or KwikError.Internal)
        {
            // The session ended under the application.
        }
    }
}
