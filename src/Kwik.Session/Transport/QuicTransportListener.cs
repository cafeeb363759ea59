using System.Net;
using System.Net.Quic;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>The seam on a <see cref="QuicListener"/>.</summary>
internal sealed class QuicTransportListener(QuicListener listener, Action<KwikException>? handshakeFailed) : ITransportListener
{
    private volatile bool _disposed;

    public IPEndPoint LocalEndPoint => listener.LocalEndPoint;

    public async ValueTask<ITransportConnection> AcceptConnectionAsync(CancellationToken cancellationToken)
    {
        string what = $"A handshake with {LocalEndPoint} failed";
        while (true)
        {
            try
            {
                return await QuicTransport.EstablishAsync(() => listener.AcceptConnectionAsync(cancellationToken), what);
            }
            catch (Exception e) when (!(e is OperationCanceledException && cancellationToken.IsCancellationRequested))
            {
                if (_disposed)
                {
                    throw new ObjectDisposedException($"The listener on {LocalEndPoint} was closed.", e);
                }

                // One client's failure, whatever it is: System.Net.Quic hands over also what looking at its certificate has thrown. The
                // next one may do better.
                handshakeFailed?.Invoke(e as KwikException ?? QuicErrors.Map(e, what));
            }
        }
    }

    public ValueTask DisposeAsync()
    {
        _disposed = true;
        return listener.DisposeAsync();
    }
}
