using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Testing;

/// <summary>One end of a simulated stream: up to two halves that end independently of each other.</summary>
internal sealed class SimulatedStream : ITransportStream
{
    private readonly SimulatedConnection _connection;
    private readonly TaskCompletionSource _closed = new();
    private bool _disposed;
    private bool _isClosed;

    public SimulatedStream(SimulatedConnection connection, long id, bool canRead, bool canWrite)
    {
        _connection = connection;
        Id = id;
        Receiving = canRead ? new ReceiveHalf(connection, this) : null;
        Sending = canWrite ? new SendHalf(connection, this) : null;
    }

    /// <inheritdoc/>
    public long Id { get; }

    /// <inheritdoc/>
    public bool CanRead => Receiving is not null;

    /// <inheritdoc/>
    public bool CanWrite => Sending is not null;

    /// <inheritdoc/>
    public Task WritesClosed => Sending?.Closed ?? Task.CompletedTask;

    public ReceiveHalf? Receiving { get; }

    public SendHalf? Sending { get; }

    /// <inheritdoc/>
    public ValueTask<int> ReadAsync(Memory<byte> buffer)
    {
        _connection.Loop.AssertOnLoop();
        return Receiving is { } half
            ? half.Read(buffer)
            : throw new InvalidOperationException($"Stream {Id} is one-way and was opened here: it cannot be read.");
    }

    /// <inheritdoc/>
    public ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, bool completeWrites = false)
    {
        _connection.Loop.AssertOnLoop();
        return Sending is { } half
            ? half.Write(buffer, completeWrites)
            : throw new InvalidOperationException($"Stream {Id} is one-way and was opened by the peer: it cannot be written.");
    }

    /// <inheritdoc/>
    public void CompleteWrites()
    {
        _connection.Loop.AssertOnLoop();
        Sending?.Complete();
    }

    /// <inheritdoc/>
    public void AbortReads(KwikError code)
    {
        _connection.Loop.AssertOnLoop();
        if (!_disposed)
        {
            Receiving?.Abort(code);
        }
    }

    /// <inheritdoc/>
    public void AbortWrites(KwikError code)
    {
        _connection.Loop.AssertOnLoop();
        if (!_disposed)
        {
            Sending?.Abort(new EndReason(code, KwikErrorSide.Local, $"Writing stream {Id} was aborted here with {code}."), code);
        }
    }

    /// <summary>
    /// Aborts reading that has not ended, completes writing that has not, and waits until the peer has acknowledged
    /// both or the connection has ended, as System.Net.Quic does.
    /// </summary>
    public ValueTask DisposeAsync()
    {
        _connection.Loop.AssertOnLoop();
        if (!_disposed)
        {
            _disposed = true;
            _connection.OnDisposed();
            ReturnPlace();
        }

        Receiving?.Abort(KwikError.Cancelled);
        Sending?.Complete();
        return new ValueTask(_closed.Task);
    }

    public void OnHalfClosed()
    {
        if (!_isClosed && Receiving is null or { IsClosed: true } && Sending is null or { IsClosed: true })
        {
            _isClosed = true;
            _connection.Forget(this);
            ReturnPlace();
            _connection.Loop.Post(() => _closed.TrySetResult());
        }
    }

    public void OnConnectionEnded(EndReason reason)
    {
        Receiving?.OnConnectionEnded(reason);
        Sending?.OnConnectionEnded(reason);
        _connection.Loop.Post(() => _closed.TrySetResult());
    }

    /// <summary>
    /// The opener may open another stream when this one is closed both ways and its acceptor has disposed it: the later of
    /// the moments at which QUIC libraries say so.
    /// </summary>
    private void ReturnPlace()
    {
        if (_isClosed && _disposed)
        {
            _connection.ReturnPlace(Id);
        }
    }
}
