using System.Threading.Channels;

namespace Kwik.Sessions;

/// <summary>Bytes that the application of another server sent, by way of the client.</summary>
/// <param name="PathId">The path of the secondary server at one of the two ends.</param>
/// <param name="Data">1 byte to 60 KiB. On a secondary server this is no more than its client's word.</param>
public readonly record struct RawDataReceived(int PathId, ReadOnlyMemory<byte> Data);

/// <summary>Raw data on its way to the application. One that does not read holds a bounded amount. Safe for concurrent use.</summary>
internal sealed class RawDataInbox
{
    /// <summary>Largest piece, bytes.</summary>
    public const int MaxSize = 60 * 1024;

    /// <summary>Bytes that may wait, here and for each control stream.</summary>
    public const int MaxWaiting = 256 * 1024;

    /// <summary>What each piece counts besides its bytes, so that a flood of small ones is bounded too.</summary>
    public const int Overhead = 128;

    private readonly Lock _gate = new();
    private readonly Channel<RawDataReceived> _waiting = Channel.CreateUnbounded<RawDataReceived>();
    private int _size;

    /// <summary>False when too much waits already.</summary>
    public bool TryAdd(RawDataReceived received)
    {
        lock (_gate)
        {
            int size = received.Data.Length + Overhead;
            if (_size + size > MaxWaiting)
            {
                return false;
            }

            _size += size;
        }

        return _waiting.Writer.TryWrite(received);
    }

    /// <summary>The next piece.</summary>
    /// <exception cref="ChannelClosedException">The session has ended, and nothing is left.</exception>
    public async ValueTask<RawDataReceived> ReceiveAsync(CancellationToken cancellationToken)
    {
        RawDataReceived received = await _waiting.Reader.ReadAsync(cancellationToken);
        lock (_gate)
        {
            _size -= received.Data.Length + Overhead;
        }

        return received;
    }

    /// <summary>Nothing more will come; what waits can still be received.</summary>
    public void Complete() => _waiting.Writer.TryComplete();
}
