using System.Net;
using System.Net.Quic;
using System.Security.Cryptography.X509Certificates;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>The seam on a <see cref="QuicConnection"/>.</summary>
internal sealed class QuicTransportConnection : ITransportConnection
{
    private readonly QuicConnection _connection;

    /// <summary>Takes over a connection whose handshake succeeded; both sides of Kwik present certificates.</summary>
    /// <exception cref="KwikException">The peer presented none.</exception>
    public QuicTransportConnection(QuicConnection connection)
    {
        _connection = connection;
        PeerKey = connection.RemoteCertificate is X509Certificate2 certificate
            ? KeyHash.OfCertificate(certificate)
            : throw new KwikException(
                KwikError.AuthenticationFailed, KwikErrorSide.Remote, $"{connection.RemoteEndPoint} presented no certificate.");
    }

    public IPEndPoint RemoteEndPoint => _connection.RemoteEndPoint;

    public IPEndPoint LocalEndPoint => _connection.LocalEndPoint;

    public KeyHash PeerKey { get; }

    /// <summary>What this side closed the connection with; null while it has not.</summary>
    public KwikError? ClosedWith { get; private set; }

    public async ValueTask<ITransportStream> OpenStreamAsync(bool bidirectional, CancellationToken cancellationToken)
    {
        try
        {
            QuicStreamType type = bidirectional ? QuicStreamType.Bidirectional : QuicStreamType.Unidirectional;
            return new QuicTransportStream(await _connection.OpenOutboundStreamAsync(type, cancellationToken), this);
        }
        catch (Exception e) when (QuicErrors.IsTransportError(e))
        {
            throw QuicErrors.Map(e, $"No stream could be opened to {RemoteEndPoint}", closedWith: ClosedWith);
        }
    }

    public async ValueTask<ITransportStream> AcceptStreamAsync(CancellationToken cancellationToken)
    {
        try
        {
            return new QuicTransportStream(await _connection.AcceptInboundStreamAsync(cancellationToken), this);
        }
        catch (Exception e) when (QuicErrors.IsTransportError(e))
        {
            throw QuicErrors.Map(e, $"The connection to {RemoteEndPoint} ended", closedWith: ClosedWith);
        }
    }

    public async ValueTask CloseAsync(KwikError code)
    {
        ClosedWith ??= code;
        try
        {
            await _connection.CloseAsync((long)code);
        }
        catch (Exception e) when (QuicErrors.IsTransportError(e))
        {
            // It has ended already, for whatever reason; that is all that was asked for.
        }
    }

    public ValueTask DisposeAsync() => _connection.DisposeAsync();
}
