using System.Net;
using System.Net.Quic;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>The seam on a <see cref="QuicListener"/>.</summary>
internal sealed class QuicTransportListener(QuicListener listener) : ITransportListener
{
    private long _failedHandshakes;
    private volatile bool _disposed;

    public IPEndPoint LocalEndPoint => listener.LocalEndPoint;

    /// <summary>Handshakes that did not succeed.</summary>
    public long FailedHandshakes => Interlocked.Read(ref _failedHandshakes);

    public async ValueTask<ITransportConnection> AcceptConnectionAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                return await QuicTransport.EstablishAsync(
                    () => listener.AcceptConnectionAsync(cancellationToken), $"A handshake with {LocalEndPoint} failed");
            }
            catch (KwikException e)
            {
                if (_disposed || e.InnerException is ObjectDisposedException)
                {
                    throw new ObjectDisposedException($"The listener on {LocalEndPoint} was closed.", e);
                }

                // One client's failure; the next one may do better.
                Interlocked.Increment(ref _failedHandshakes);
            }
        }
    }

    public ValueTask DisposeAsync()
    {
        _disposed = true;
        return listener.DisposeAsync();
    }
}
