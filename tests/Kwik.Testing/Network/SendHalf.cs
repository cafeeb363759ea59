using System.Threading.Tasks.Sources;
using Kwik.Data;

namespace Kwik.Testing;

/// <summary>The sending part of a stream, as RFC 9000, 3.1.</summary>
/// <remarks>
/// <code>
/// Open --Complete--> Ending --last segment--> EndSent --acknowledged--> Ended
///   \________________________\__________________\______Abort, STOP_SENDING--> ResetSent --acknowledged--> ResetAcknowledged
/// any of them --connection ended--> Lost
/// </code>
/// </remarks>
internal sealed class SendHalf(SimulatedConnection connection, SimulatedStream stream) : IValueTaskSource
{
    /// <summary>Bytes that a write may leave behind and be complete.</summary>
    private const int BufferBytes = 64 * 1024;

    private readonly Queue<Chunk> _buffer = [];
    private readonly TaskCompletionSource _closed = new();
    private ManualResetValueTaskSourceCore<bool> _write;
    private State _state;
    private EndReason? _failure;
    private Chunk? _tail;
    private int _bufferedBytes;
    private ReadOnlyMemory<byte> _rest;
    private bool _writing;
    private bool _waiting;
    private bool _endRequested;
    private long _sent;
    private long _limit = connection.Peer.StreamWindow;

    private enum State
    {
        Open,
        Ending,
        EndSent,
        Ended,
        ResetSent,
        ResetAcknowledged,
        Lost,
    }

    /// <summary>True while the link has this half in its queue; the link's to set.</summary>
    public bool IsQueued { get; set; }

    /// <summary>True while the connection keeps this half until it has credit again; the connection's to set.</summary>
    public bool IsBlocked { get; set; }

    /// <summary>True when the peer has acknowledged the end, whichever it was.</summary>
    public bool IsClosed => _state is State.Ended or State.ResetAcknowledged or State.Lost;

    /// <summary>See ITransportStream.WritesClosed.</summary>
    public Task Closed => _closed.Task;

    /// <summary>True when a segment could leave now.</summary>
    private bool HasMore => (_bufferedBytes > 0 && _sent < _limit && connection.SendCredit > 0)
        || (_bufferedBytes == 0 && _state == State.Ending);

    public ValueTask Write(ReadOnlyMemory<byte> buffer, bool completeWrites)
    {
        if (_writing)
        {
            throw new InvalidOperationException($"Stream {stream.Id}: a write is pending.");
        }

        if (_failure is not null)
        {
            return ValueTask.FromException(_failure.ToException());
        }

        if (_state != State.Open)
        {
            throw new InvalidOperationException($"Stream {stream.Id}: writing has been completed.");
        }

        _rest = buffer;
        Fill();
        if (completeWrites)
        {
            Complete();
        }

        Wake();
        if (_rest.IsEmpty)
        {
            return ValueTask.CompletedTask;
        }

        _writing = true;
        _waiting = true;
        return new ValueTask(this, _write.Version);
    }

    public void Complete()
    {
        if (_state == State.Open)
        {
            _endRequested = true;
            if (_rest.IsEmpty)
            {
                _state = State.Ending;
                Wake();
            }
        }
    }

    /// <summary>Resets the stream: <paramref name="code"/> goes to the peer, <paramref name="reason"/> to the writer.</summary>
    public void Abort(EndReason reason, KwikError code)
    {
        if (_state is not (State.Open or State.Ending or State.EndSent))
        {
            return;
        }

        _state = State.ResetSent;
        Fail(reason);
        long id = stream.Id;
        long finalSize = _sent;
        connection.Record("reset", id, (long)code);
        connection.Send(peer =>
        {
            peer.FindStream(id)?.Receiving?.OnReset(code, finalSize);
            peer.Send(self => self.FindStream(id)?.Sending?.OnResetAcknowledged(), isAck: true);
        });
    }

    /// <summary>Asks for a turn on the link, or for the connection's credit, when there is something to send.</summary>
    public void Wake()
    {
        if (HasMore)
        {
            connection.Enqueue(this);
        }
        else if (_bufferedBytes > 0 && _sent < _limit)
        {
            connection.Block(this);
        }
    }

    /// <summary>The next segment of at most <paramref name="largest"/> bytes; null when there is none to send now.</summary>
    public Packet? TakeSegment(int largest)
    {
        if (!HasMore)
        {
            return null;
        }

        long offset = _sent;
        ReadOnlyMemory<byte> bytes = TakeBytes((int)Math.Min(largest, Math.Min(_limit - _sent, connection.SendCredit)));
        _sent += bytes.Length;
        connection.Spend(bytes.Length);
        Fill();
        if (_waiting && _rest.IsEmpty)
        {
            _waiting = false;
            connection.Loop.Post(() => _write.SetResult(true));
        }

        bool end = _state == State.Ending && _bufferedBytes == 0;
        if (end)
        {
            _state = State.EndSent;
        }

        long id = stream.Id;
        connection.Record(end ? "last segment" : "segment", id, _sent);
        return connection.Packet(peer => peer.FindStream(id)?.Receiving?.OnSegment(offset, bytes, end), bytes.Length);
    }

    public void OnMoreCredit(long limit)
    {
        _limit = Math.Max(_limit, limit);
        Wake();
    }

    public void OnStopSending(KwikError code)
    {
        if (!connection.IgnoresStopSending)
        {
            Abort(
                new EndReason(EndReason.Received(code), KwikErrorSide.Remote, $"The peer stopped reading stream {stream.Id} with {code}."),
                KwikError.None);
        }
    }

    public void OnEndAcknowledged()
    {
        if (_state == State.EndSent)
        {
            _state = State.Ended;
            connection.Loop.Post(() => _closed.TrySetResult());
            stream.OnHalfClosed();
        }
    }

    public void OnConnectionEnded(EndReason reason)
    {
        if (!IsClosed)
        {
            _state = State.Lost;
            Fail(reason);
        }
    }

    void IValueTaskSource.GetResult(short token)
    {
        _writing = false;
        try
        {
            _write.GetResult(token);
        }
        finally
        {
            _write.Reset();
        }
    }

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _write.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _write.OnCompleted(continuation, state, token, flags);

    private void OnResetAcknowledged()
    {
        if (_state == State.ResetSent)
        {
            _state = State.ResetAcknowledged;
            stream.OnHalfClosed();
        }
    }

    private ReadOnlyMemory<byte> TakeBytes(int atMost)
    {
        int length = Math.Min(atMost, _bufferedBytes);
        if (length == 0)
        {
            return default;
        }

        _bufferedBytes -= length;
        ReadOnlyMemory<byte> bytes = TakeFromHead(length);
        if (bytes.Length == length)
        {
            return bytes;
        }

        // A segment is as full as it can be: turns on the link are equal only when segments are.
        byte[] joined = GC.AllocateUninitializedArray<byte>(length);
        bytes.CopyTo(joined);
        for (int have = bytes.Length; have < length; have += bytes.Length)
        {
            bytes = TakeFromHead(length - have);
            bytes.CopyTo(joined.AsMemory(have));
        }

        return joined;
    }

    private ReadOnlyMemory<byte> TakeFromHead(int atMost)
    {
        Chunk head = _buffer.Peek();
        ReadOnlyMemory<byte> bytes = head.Take(atMost);

        // A chunk with room left stays for the next write.
        if (head.IsSpent)
        {
            _buffer.Dequeue();
        }

        return bytes;
    }

    /// <summary>Copies of the pending write what the buffer has room for.</summary>
    private void Fill()
    {
        while (!_rest.IsEmpty && _bufferedBytes < BufferBytes)
        {
            // Small writes share a chunk, so that they also share segments.
            if (_tail is not { Free.IsEmpty: false })
            {
                _tail = new Chunk(Math.Clamp(_rest.Length, 1024, BufferBytes));
                _buffer.Enqueue(_tail);
            }

            int length = Math.Min(Math.Min(_rest.Length, _tail.Free.Length), BufferBytes - _bufferedBytes);
            _rest[..length].CopyTo(_tail.Free);
            _tail.End += length;
            _bufferedBytes += length;
            _rest = _rest[length..];
        }

        if (_rest.IsEmpty && _endRequested && _state == State.Open)
        {
            _state = State.Ending;
        }
    }

    private void Fail(EndReason reason)
    {
        _failure ??= reason;
        _buffer.Clear();
        _tail = null;
        _bufferedBytes = 0;
        _rest = default;
        bool pending = _waiting;
        _waiting = false;
        EndReason first = _failure;
        connection.Loop.Post(() =>
        {
            if (pending)
            {
                _write.SetException(first.ToException());
            }

            // Nobody is obliged to look at the task.
            if (_closed.TrySetException(first.ToException()))
            {
                _ = _closed.Task.Exception;
            }
        });
    }

    private sealed class Chunk(int capacity)
    {
        private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(capacity);
        private int _start;

        public int End { get; set; }

        public Memory<byte> Free => _bytes.AsMemory(End);

        public bool IsSpent => _start == _bytes.Length;

        public ReadOnlyMemory<byte> Take(int atMost)
        {
            int length = Math.Min(atMost, End - _start);
            ReadOnlyMemory<byte> taken = _bytes.AsMemory(_start, length);
            _start += length;
            return taken;
        }
    }
}
