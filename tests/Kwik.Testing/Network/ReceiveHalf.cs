using System.Threading.Tasks.Sources;
using Kwik.Data;

namespace Kwik.Testing;

/// <summary>The receiving part of a stream, as RFC 9000, 3.2.</summary>
/// <remarks>
/// <code>
/// Open --all read up to the end--> Ended
/// Open --reset arrived--> Reset
/// Open --Abort--> Aborted --end or reset arrived--> Discarded
/// any of them --connection ended--> Lost
/// </code>
/// </remarks>
internal sealed class ReceiveHalf(SimulatedConnection connection, SimulatedStream stream) : IValueTaskSource<int>
{
    private readonly Queue<ReadOnlyMemory<byte>> _ready = [];
    private readonly Dictionary<long, (ReadOnlyMemory<byte> Bytes, bool End)> _ahead = [];
    private ManualResetValueTaskSourceCore<int> _read;
    private State _state;
    private EndReason? _failure;
    private ReadOnlyMemory<byte> _head;
    private Memory<byte> _buffer;
    private bool _reading;
    private bool _waiting;
    private long _received;
    private long _consumed;
    private long _announced = connection.StreamWindow;
    private bool _endReceived;

    private enum State
    {
        Open,
        Ended,
        Reset,
        Aborted,
        Discarded,
        Lost,
    }

    /// <summary>True when nothing more can arrive.</summary>
    public bool IsClosed => _state is State.Ended or State.Reset or State.Discarded or State.Lost;

    private bool HasData => _received > _consumed;

    public ValueTask<int> Read(Memory<byte> buffer)
    {
        if (_reading)
        {
            throw new InvalidOperationException($"Stream {stream.Id}: a read is pending.");
        }

        if (_failure is not null)
        {
            return ValueTask.FromException<int>(_failure.ToException());
        }

        if (HasData || _state == State.Ended)
        {
            return new ValueTask<int>(Copy(buffer));
        }

        _buffer = buffer;
        _reading = true;
        _waiting = true;
        return new ValueTask<int>(this, _read.Version);
    }

    public void Abort(KwikError code)
    {
        if (_state != State.Open)
        {
            return;
        }

        _state = State.Aborted;
        Fail(new EndReason(code, KwikErrorSide.Local, $"Reading stream {stream.Id} was aborted here with {code}."));
        long id = stream.Id;
        connection.Record("stop sending", id, (long)code);
        if (!_endReceived)
        {
            connection.Send(peer => peer.FindStream(id)?.Sending?.OnStopSending(code));
        }

        Discard(_received);
    }

    public void OnSegment(long offset, ReadOnlyMemory<byte> bytes, bool end)
    {
        if (IsClosed)
        {
            return;
        }

        // Jitter, loss and black holes let segments overtake each other.
        _ahead.Add(offset, (bytes, end));
        while (!_endReceived && _ahead.Remove(_received, out (ReadOnlyMemory<byte> Bytes, bool End) next))
        {
            _received += next.Bytes.Length;
            _endReceived = next.End;
            if (_state == State.Open && !next.Bytes.IsEmpty)
            {
                _ready.Enqueue(next.Bytes);
            }
        }

        if (_endReceived)
        {
            long id = stream.Id;
            connection.Send(peer => peer.FindStream(id)?.Sending?.OnEndAcknowledged(), isAck: true);
        }

        if (_state == State.Aborted)
        {
            Discard(_received);
        }
        else
        {
            CloseWhenAllIsRead();
            CompleteRead();
        }
    }

    public void OnReset(KwikError code, long finalSize)
    {
        if (IsClosed)
        {
            return;
        }

        if (_state == State.Open)
        {
            _state = State.Reset;
            Fail(new EndReason(EndReason.Received(code), KwikErrorSide.Remote, $"The peer aborted writing stream {stream.Id} with {code}."));
        }

        _endReceived = true;
        _ahead.Clear();
        Discard(finalSize);
    }

    public void OnConnectionEnded(EndReason reason)
    {
        if (!IsClosed)
        {
            _state = State.Lost;
            Fail(reason);
        }
    }

    int IValueTaskSource<int>.GetResult(short token)
    {
        _reading = false;
        try
        {
            return _read.GetResult(token);
        }
        finally
        {
            _read.Reset();
        }
    }

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _read.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _read.OnCompleted(continuation, state, token, flags);

    private void CompleteRead()
    {
        if (_waiting && (HasData || _state == State.Ended))
        {
            _waiting = false;
            int copied = Copy(_buffer);
            _buffer = default;
            connection.Loop.Post(() => _read.SetResult(copied));
        }
    }

    private int Copy(Memory<byte> buffer)
    {
        int copied = 0;
        while (copied < buffer.Length && (!_head.IsEmpty || _ready.TryDequeue(out _head)))
        {
            int length = Math.Min(_head.Length, buffer.Length - copied);
            _head.Span[..length].CopyTo(buffer.Span[copied..]);
            _head = _head[length..];
            copied += length;
        }

        if (copied > 0)
        {
            _consumed += copied;
            connection.Consume(copied);
            Announce();
            CloseWhenAllIsRead();
        }

        return copied;
    }

    private void Announce()
    {
        long limit = _consumed + connection.StreamWindow;
        if (!_endReceived && limit - _announced >= Math.Max(1, connection.StreamWindow / 4))
        {
            _announced = limit;
            long id = stream.Id;
            connection.Send(peer => peer.FindStream(id)?.Sending?.OnMoreCredit(limit));
        }
    }

    private void CloseWhenAllIsRead()
    {
        if (_state == State.Open && _endReceived && !HasData)
        {
            _state = State.Ended;
            stream.OnHalfClosed();
        }
    }

    /// <summary>Gives back the credit of bytes that nobody will read.</summary>
    private void Discard(long upTo)
    {
        _ready.Clear();
        _head = default;
        connection.Consume(upTo - _consumed);
        _consumed = upTo;
        _received = upTo;
        if (_endReceived)
        {
            _state = _state == State.Aborted ? State.Discarded : _state;
            stream.OnHalfClosed();
        }
        else
        {
            Announce();
        }
    }

    private void Fail(EndReason reason)
    {
        _failure ??= reason;
        if (_waiting)
        {
            _waiting = false;
            _buffer = default;
            EndReason first = _failure;
            connection.Loop.Post(() => _read.SetException(first.ToException()));
        }
    }
}
