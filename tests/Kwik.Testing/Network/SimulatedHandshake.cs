using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Testing;

/// <summary>
/// One attempt to connect, with the timing of TLS 1.3 in QUIC: the client is connected after one round trip, the server
/// half a round trip later, when it has seen the client's certificate.
/// </summary>
/// <remarks>
/// 1. The first flight travels to the server's address; nobody there: silence. 2. Without a listener the machine refuses;
/// else the server's certificate travels back. 3. The client decides about the server. 4. Its certificate travels with
/// the last flight. 5. The server decides about the client and either accepts or closes the connection.
/// </remarks>
internal sealed class SimulatedHandshake
{
    private const string ServerAuthentication = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuthentication = "1.3.6.1.5.5.7.3.2";

    private readonly SimulatedWorld _world;
    private readonly SimulatedProcess _client;
    private readonly TransportConnectOptions _options;
    private readonly IPEndPoint _localEndPoint;
    private readonly TaskCompletionSource<ITransportConnection> _connected = new();
    private bool _decided;

    public SimulatedHandshake(SimulatedWorld world, SimulatedProcess client, TransportConnectOptions options)
    {
        _world = world;
        _client = client;
        _options = options;
        _localEndPoint = new IPEndPoint(client.Host.Address, client.Host.NextPort());
    }

    public async ValueTask<ITransportConnection> RunAsync(CancellationToken cancellationToken)
    {
        TimedEvent timeout = _world.Loop.Schedule(_world.Loop.Now + _options.HandshakeTimeout.Ticks, OnTimeout);
        using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(
            _ => Decide(() => _connected.SetCanceled(cancellationToken)), null);
        try
        {
            SendFirstFlight();
            return await _connected.Task;
        }
        finally
        {
            timeout.Cancel();
        }
    }

    private void SendFirstFlight()
    {
        _world.Trace.Record("connect", _client.Host.Name, _localEndPoint.Port, _options.RemoteEndPoint.Port);
        if (_world.FindHost(_options.RemoteEndPoint.Address) is { } server && _client.TryEnter(SendFirstFlight))
        {
            Carry(_client.Host, server, () => AnswerFirstFlight(server));
        }
    }

    private void AnswerFirstFlight(SimulatedHost server)
    {
        SimulatedProcess process = server.Process;
        if (process.IsAlive && !process.TryEnter(() => AnswerFirstFlight(server)))
        {
            return;
        }

        Action answer = process.Listeners.TryGetValue(_options.RemoteEndPoint.Port, out SimulatedListener? listener)
            ? () => DecideAboutServer(listener)
            : () => Fail(KwikError.PathLost, KwikErrorSide.Network, $"{_options.RemoteEndPoint} refused the connection.");
        Carry(server, _client.Host, answer);
    }

    private void DecideAboutServer(SimulatedListener listener)
    {
        if (_decided || !_client.TryEnter(() => DecideAboutServer(listener)))
        {
            return;
        }

        if (!AcceptsServer(listener.Options))
        {
            Fail(
                KwikError.AuthenticationFailed,
                KwikErrorSide.Remote,
                $"{_options.RemoteEndPoint} did not prove to be '{_options.ServerName}'.");
            return;
        }

        var client = new SimulatedConnection(
            _world, _client, isClient: true, _localEndPoint, _options.RemoteEndPoint, KeyHash.OfCertificate(listener.Options.ServerCertificate), _options);
        var server = new SimulatedConnection(
            _world, listener.Process, isClient: false, _options.RemoteEndPoint, _localEndPoint, KeyHash.OfCertificate(_options.ClientCertificate), listener.Options);
        client.Begin(server);
        server.Begin(client);
        client.Establish();
        client.Send(_ => DecideAboutClient(listener, server));
        Decide(() => _connected.SetResult(client));
    }

    private void DecideAboutClient(SimulatedListener listener, SimulatedConnection server)
    {
        server.Establish();
        if (!AcceptsClient(listener.Options))
        {
            server.Close(KwikError.AuthenticationFailed);
        }
        else if (listener.IsListening)
        {
            listener.Add(server);
        }
        else
        {
            server.Close(KwikError.None);
        }
    }

    private bool AcceptsServer(TransportListenOptions server)
    {
        if (_options.Pins.Count > 0)
        {
            return _options.Pins.Contains(KeyHash.OfCertificate(server.ServerCertificate));
        }

        if (_options.AcceptAnyServer)
        {
            return true;
        }

        return Chains(server.ServerCertificate, server.Intermediates, _options.TrustedRoots, ServerAuthentication)
            && server.ServerCertificate.MatchesHostname(_options.ServerName);
    }

    private bool AcceptsClient(TransportListenOptions server) => server.TrustedClientRoots is null
        || Chains(_options.ClientCertificate, null, server.TrustedClientRoots, ClientAuthentication);

    private bool Chains(
        X509Certificate2 certificate, X509Certificate2Collection? intermediates, X509Certificate2Collection? roots, string usage)
    {
        // The machine's own roots never decide here: a run must not depend on what is installed.
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(roots ?? []);
        chain.ChainPolicy.ExtraStore.AddRange(intermediates ?? []);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(new Oid(usage));
        chain.ChainPolicy.VerificationTime = _world.Time.GetUtcNow().UtcDateTime;
        return chain.Build(certificate);
    }

    private void OnTimeout() => Fail(
        KwikError.Timeout,
        KwikErrorSide.Network,
        $"{_options.RemoteEndPoint} did not answer within {_options.HandshakeTimeout}.");

    private void Fail(KwikError code, KwikErrorSide side, string message) =>
        Decide(() => _connected.SetException(new KwikException(code, side, message)));

    private void Decide(Action completion)
    {
        _world.Loop.AssertOnLoop();
        if (!_decided)
        {
            _decided = true;
            _world.Loop.Post(completion);
        }
    }

    private void Carry(SimulatedHost from, SimulatedHost to, Action deliver) => _world.Link(from, to).Carry(new Packet(deliver, 0));
}
