using System.Net;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;

namespace Kwik.Load;

/// <summary>A primary on loopback that answers every stream: see <see cref="Service"/>.</summary>
internal sealed class Rig : IAsyncDisposable
{
    /// <summary>As many as a session may have.</summary>
    public const int MaxStreams = 10_000;

    private static readonly TimeSpan RetryDelay = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan RetryLimit = TimeSpan.FromSeconds(60);

    private readonly X509Certificate2 _certificate;
    private readonly Task _serving;
    private int _sessions;

    private Rig(X509Certificate2 certificate, KwikListener listener, Replicas? replicas)
    {
        (_certificate, Listener, Replicas) = (certificate, listener, replicas);
        _serving = ServeAsync();
    }

    public KwikListener Listener { get; }

    /// <summary>The servers that clients are sent to; null: none.</summary>
    public Replicas? Replicas { get; }

    /// <summary>Sessions that the server has now.</summary>
    public int Sessions => Volatile.Read(ref _sessions);

    public static async Task<Rig> StartAsync(bool withReplicas)
    {
        X509Certificate2 certificate = KwikCertificate.CreateSelfSigned(["localhost"], TimeSpan.FromDays(1), DateTimeOffset.UtcNow);
        Replicas? replicas = withReplicas ? await Replicas.StartAsync(certificate) : null;
        KwikListener listener = await KwikListener.ListenAsync(new KwikListenerOptions
        {
            Role = ServerRole.Primary,
            ListenEndPoint = new IPEndPoint(IPAddress.Loopback, 0),
            Certificate = certificate,
            SigningKey = replicas?.SigningKey,
            ContentProvider = replicas,
            MaxPublicStreams = MaxStreams,
            MaxSessions = 2000,
            MaxUnauthenticated = 1000,
        });
        return new(certificate, listener, replicas);
    }

    /// <summary>Connects; an overloaded server refuses, and is asked again, as a client would.</summary>
    public async Task<ClientSession> ConnectAsync(CancellationToken cancellationToken)
    {
        var options = new KwikClientOptions { Primary = Listener.LocalEndPoint, Pins = [Listener.Pin], MaxPublicStreams = MaxStreams };
        long start = TimeProvider.System.GetTimestamp();
        while (true)
        {
            try
            {
                return await KwikClient.ConnectAsync(options, cancellationToken);
            }
            catch (KwikException) when (TimeProvider.System.GetElapsedTime(start) < RetryLimit)
            {
                await Task.Delay(RetryDelay, cancellationToken);
            }
        }
    }

    /// <summary>Waits until the server knows that its clients have left.</summary>
    /// <exception cref="TimeoutException">It does not notice.</exception>
    public async Task DrainAsync(CancellationToken cancellationToken)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (Sessions > 0)
        {
            if (TimeProvider.System.GetElapsedTime(start) > RetryLimit)
            {
                throw new TimeoutException($"{Sessions} sessions are left at the server.");
            }

            await Task.Delay(RetryDelay, cancellationToken);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Listener.DisposeAsync();
        await _serving;
        await (Replicas?.DisposeAsync() ?? ValueTask.CompletedTask);
        _certificate.Dispose();
    }

    private async Task ServeAsync()
    {
        var sessions = new List<Task>();
        try
        {
            while (true)
            {
                var session = (PrimarySession)await Listener.AcceptSessionAsync();
                sessions.RemoveAll(one => one.IsCompleted);
                sessions.Add(ServeAsync(session));
            }
        }
        catch (ObjectDisposedException)
        {
            // The end.
        }

        await Task.WhenAll(sessions);
    }

    private async Task ServeAsync(PrimarySession session)
    {
        Interlocked.Increment(ref _sessions);
        await using (session)
        {
            try
            {
                foreach (SecondaryServer server in Replicas?.Addresses ?? [])
                {
                    await session.AddPathAsync(server);
                }

                while (true)
                {
                    KwikStream stream = await session.AcceptStream();
                    // Ends with its session at the latest, which is waited for.
                    _ = Service.AnswerAsync(stream, Replicas?.Offer);
                }
            }
            catch (Exception e) when (e is KwikException or ObjectDisposedException)
            {
                // The client has left, or the listener ends.
            }
        }

        Interlocked.Decrement(ref _sessions);
    }
}
