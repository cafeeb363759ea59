using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>
/// The control stream of one connection. Frames may be sent from anywhere and never wait; one task writes them, urgent
/// ones first. One reader.
/// </summary>
internal sealed class ControlChannel : IAsyncDisposable
{
    /// <summary>Bytes that may wait to be written; a peer that does not read its control stream for so long is gone.</summary>
    private const int MaxQueuedBytes = 4 * 1024 * 1024;

    private readonly ITransportStream _stream;
    private readonly Lock _gate = new();
    private readonly Queue<byte[]> _urgent = new();
    private readonly Queue<(byte[] Bytes, int RawSize)> _normal = new();
    private readonly AsyncSignal _queued = new();
    private readonly Task _writing;
    private readonly MessageReader _reader;
    private int _queuedBytes;
    private int _rawBytes;
    private TaskCompletionSource? _rawRoom;
    private bool _closing;

    public ControlChannel(ITransportStream stream)
    {
        _stream = stream;
        _reader = new MessageReader(stream, "control stream");
        _writing = Background.Start(WriteAsync);
    }

    /// <summary>Opens the control stream of a client: its header goes out with the first frame.</summary>
    public static async ValueTask<ControlChannel> OpenAsync(ITransportConnection connection, CancellationToken cancellationToken)
    {
        ITransportStream stream = await connection.OpenStreamAsync(bidirectional: true, cancellationToken);
        var header = new byte[StreamHeader.Size];
        new StreamHeader(0, StreamType.Control).Write(header);
        var channel = new ControlChannel(stream);
        channel.Enqueue(header, urgent: true);
        return channel;
    }

    /// <summary>
    /// Queues a frame; never throws for what the peer does. Does nothing once the stream has ended. A peer that has not
    /// read for so long that the queue is full has its stream aborted; the reader of this channel learns it.
    /// </summary>
    public void Send(ControlFrame frame, bool urgent = false) => Enqueue(ControlCodec.Encode(frame), urgent);

    /// <summary>Queues raw data; false when too much of it waits, or the stream has ended.</summary>
    public bool TrySendRaw(ControlFrame frame)
    {
        byte[] bytes = ControlCodec.Encode(frame);
        lock (_gate)
        {
            return !_closing && TryEnqueueRawLocked(bytes);
        }
    }

    /// <summary>Queues raw data, waiting while too much of it waits; false when the stream has ended.</summary>
    public async ValueTask<bool> SendRawAsync(ControlFrame frame, CancellationToken cancellationToken)
    {
        byte[] bytes = ControlCodec.Encode(frame);
        while (true)
        {
            TaskCompletionSource room;
            lock (_gate)
            {
                if (_closing || TryEnqueueRawLocked(bytes))
                {
                    return !_closing;
                }

                room = _rawRoom ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            await Background.WaitFor(room).WaitAsync(cancellationToken);
        }
    }

    /// <summary>The next frame; null when the peer ended the stream.</summary>
    /// <exception cref="KwikException">The connection ended, or the peer sent what no correct peer sends.</exception>
    public async ValueTask<ControlFrame?> ReceiveAsync(int maxFrameSize = ControlCodec.MaxFrameSize)
    {
        byte[]? message = await _reader.ReadAsync(maxFrameSize);
        return message is null ? null : ControlCodec.TryDecode(message) ?? throw _reader.Violation("carries bytes that are no frame");
    }

    /// <summary>Writes what is queued, then ends our side of the stream; a peer that does not read is not waited for. Never throws.</summary>
    public async Task CloseAsync(TimeSpan timeout, TimeProvider time)
    {
        Close(andForget: false);
        _queued.Set();
        if (!await Background.EndsWithinAsync(() => _writing, timeout, time))
        {
            Abort(KwikError.Timeout);
        }
    }

    /// <summary>Ends both sides at once.</summary>
    public void Abort(KwikError code)
    {
        _stream.AbortReads(code);
        _stream.AbortWrites(code);
    }

    /// <summary>
    /// Gives the stream up when its connection has ended, which stays in memory for as long as a stream of it. What is sent from
    /// now on goes nowhere. Never throws.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        Close(andForget: true);
        _queued.Set();
        await _writing;
        await _stream.DisposeAsync();
    }

    private void Enqueue(byte[] bytes, bool urgent)
    {
        lock (_gate)
        {
            if (_closing)
            {
                return;
            }

            if (_queuedBytes <= MaxQueuedBytes)
            {
                _queuedBytes += bytes.Length;
                if (urgent)
                {
                    _urgent.Enqueue(bytes);
                }
                else
                {
                    _normal.Enqueue((bytes, 0));
                }

                _queued.Set();
                return;
            }
        }

        Close(andForget: true);
        Abort(KwikError.LimitExceeded);
        _queued.Set();
    }

    private async Task WriteAsync()
    {
        try
        {
            while (TryDequeue(out byte[]? next))
            {
                await (next is null ? _queued.WaitAsync(CancellationToken.None) : _stream.WriteAsync(next));
            }

            _stream.CompleteWrites();
        }
        catch (KwikException)
        {
            // The connection ended; whoever reads this channel learns why.
            Close(andForget: true);
        }
    }

    /// <summary>The next frame to write, null when there is none now; false when there will be none.</summary>
    private bool TryDequeue(out byte[]? next)
    {
        TaskCompletionSource? room = null;
        lock (_gate)
        {
            int rawSize = 0;
            if (!_urgent.TryDequeue(out next))
            {
                bool any = _normal.TryDequeue(out (byte[] Bytes, int RawSize) entry);
                if (!any && _closing)
                {
                    return false;
                }

                (next, rawSize) = any ? entry : (null, 0);
            }

            _queuedBytes -= next?.Length ?? 0;
            _rawBytes -= rawSize;
            if (rawSize > 0)
            {
                (room, _rawRoom) = (_rawRoom, null);
            }
        }

        room?.TrySetResult();
        return true;
    }

    private void Close(bool andForget)
    {
        TaskCompletionSource? room;
        lock (_gate)
        {
            _closing = true;
            (room, _rawRoom) = (_rawRoom, null);
            if (andForget)
            {
                _urgent.Clear();
                _normal.Clear();
            }
        }

        room?.TrySetResult();
    }

    private bool TryEnqueueRawLocked(byte[] bytes)
    {
        int rawSize = bytes.Length + RawDataInbox.Overhead;
        if (_rawBytes + rawSize > RawDataInbox.MaxWaiting || _queuedBytes > MaxQueuedBytes)
        {
            return false;
        }

        _rawBytes += rawSize;
        _queuedBytes += bytes.Length;
        _normal.Enqueue((bytes, rawSize));
        _queued.Set();
        return true;
    }
}
