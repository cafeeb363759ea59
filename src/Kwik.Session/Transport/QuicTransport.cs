using System.Net.Quic;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>The seam on System.Net.Quic; whatever library is below it is not known here.</summary>
internal sealed class QuicTransport : ITransport
{
    // Lost packets repeat a ping; three of them fit into an idle timeout.
    private const int PingsPerIdleTimeout = 3;

    private static readonly SslApplicationProtocol Alpn = new("kwik/1");

    public static QuicTransport Instance { get; } = new();

    public async ValueTask<ITransportConnection> ConnectAsync(TransportConnectOptions options, CancellationToken cancellationToken)
    {
        QuicProvider.EnsureLoaded();
        var quic = new QuicClientConnectionOptions
        {
            RemoteEndPoint = options.RemoteEndPoint,
            ClientAuthenticationOptions = new SslClientAuthenticationOptions
            {
                ApplicationProtocols = [Alpn],
                TargetHost = options.ServerName,
                LocalCertificateSelectionCallback = (_, _, _, _, _) => options.ClientCertificate,
                RemoteCertificateValidationCallback = (_, certificate, _, errors) =>
                    IsAcceptable(options, certificate as X509Certificate2, errors),
                CertificateChainPolicy = ChainPolicy(options.TrustedRoots),
            },
        };
        Apply(options, quic);
        return await EstablishAsync(
            () => QuicConnection.ConnectAsync(quic, cancellationToken), $"No connection to {options.RemoteEndPoint}");
    }

    public async ValueTask<ITransportListener> ListenAsync(TransportListenOptions options, CancellationToken cancellationToken)
    {
        QuicProvider.EnsureLoaded();
        var server = new QuicServerConnectionOptions
        {
            ServerAuthenticationOptions = new SslServerAuthenticationOptions
            {
                ApplicationProtocols = [Alpn],
                ServerCertificateContext = SslStreamCertificateContext.Create(
                    options.ServerCertificate, options.Intermediates, offline: true),
                ClientCertificateRequired = true,
                CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
                CertificateChainPolicy = ChainPolicy(options.TrustedClientRoots),
                RemoteCertificateValidationCallback = (_, certificate, _, errors) =>
                    certificate is not null && (options.TrustedClientRoots is null || IsTrusted(errors)),
            },
        };
        Apply(options, server);
        var listen = new QuicListenerOptions
        {
            ListenEndPoint = options.LocalEndPoint,
            ApplicationProtocols = [Alpn],
            ConnectionOptionsCallback = (_, _, _) => ValueTask.FromResult(server),
        };
        try
        {
            return new QuicTransportListener(await QuicListener.ListenAsync(listen, cancellationToken), options.HandshakeFailed);
        }
        catch (Exception e) when (QuicErrors.IsTransportError(e))
        {
            throw QuicErrors.Map(e, $"Cannot listen on {options.LocalEndPoint}");
        }
    }

    /// <summary>Waits for a handshake; what fails on the way closes the connection.</summary>
    internal static async ValueTask<ITransportConnection> EstablishAsync(Func<ValueTask<QuicConnection>> handshake, string what)
    {
        QuicConnection connection;
        try
        {
            connection = await handshake();
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // Whatever it is: System.Net.Quic hands over what looking at the peer's certificate has thrown, and does not take every
            // server name that a primary may send.
            throw QuicErrors.Map(e, what);
        }

        try
        {
            return new QuicTransportConnection(connection);
        }
        catch (Exception e)
        {
            KwikException fault = e as KwikException ?? QuicErrors.Map(e, what);
            await connection.CloseAsync((long)fault.Code);
            await connection.DisposeAsync();
            throw fault;
        }
    }

    private static void Apply(TransportOptions options, QuicConnectionOptions quic)
    {
        quic.DefaultStreamErrorCode = (long)KwikError.Cancelled;
        quic.DefaultCloseErrorCode = (long)KwikError.None;
        quic.MaxInboundBidirectionalStreams = options.InboundBidirectionalStreams;
        quic.MaxInboundUnidirectionalStreams = options.InboundUnidirectionalStreams;
        quic.HandshakeTimeout = options.HandshakeTimeout;
        quic.IdleTimeout = options.IdleTimeout;
        quic.KeepAliveInterval = options.IdleTimeout / PingsPerIdleTimeout;
        quic.InitialReceiveWindowSizes.Connection = options.ConnectionWindow;
        quic.InitialReceiveWindowSizes.LocallyInitiatedBidirectionalStream = options.StreamWindow;
        quic.InitialReceiveWindowSizes.RemotelyInitiatedBidirectionalStream = options.StreamWindow;
        quic.InitialReceiveWindowSizes.UnidirectionalStream = options.StreamWindow;
    }

    private static X509ChainPolicy ChainPolicy(X509Certificate2Collection? roots)
    {
        // Nobody else is asked. Of revocation because a transfer must not wait for a third party, and pins are the answer; for the
        // certificate of an issuer because the address is a stranger's choice, and both ends send their intermediates.
        var policy = new X509ChainPolicy { RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true };
        if (roots is not null)
        {
            policy.TrustMode = X509ChainTrustMode.CustomRootTrust;
            policy.CustomTrustStore.AddRange(roots);
        }

        return policy;
    }

    // A client has no name to match, but System.Net.Quic compares its certificate with the name that it asked for.
    private static bool IsTrusted(SslPolicyErrors errors) => (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None;

    private static bool IsAcceptable(TransportConnectOptions options, X509Certificate2? certificate, SslPolicyErrors errors)
    {
        if (certificate is null)
        {
            return false;
        }

        return options.Pins.Count > 0
            ? options.Pins.Contains(KeyHash.OfCertificate(certificate))
            : options.AcceptAnyServer || errors == SslPolicyErrors.None;
    }
}
