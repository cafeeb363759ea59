using System.Net.Quic;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>The seam on a <see cref="QuicStream"/>: no token ever reaches it, and its exceptions are Kwik's.</summary>
internal sealed class QuicTransportStream : ITransportStream
{
    private readonly QuicStream _stream;
    private readonly QuicTransportConnection _connection;

    // What this side aborted each direction with: System.Net.Quic only says that it was aborted here.
    private KwikError? _readAbort;
    private KwikError? _writeAbort;

    public QuicTransportStream(QuicStream stream, QuicTransportConnection connection)
    {
        _stream = stream;
        _connection = connection;
        WritesClosed = stream.CanWrite ? MapAsync(stream.WritesClosed) : Task.CompletedTask;
    }

    public long Id => _stream.Id;

    public bool CanRead => _stream.CanRead;

    public bool CanWrite => _stream.CanWrite;

    public Task WritesClosed { get; }

    public ValueTask<int> ReadAsync(Memory<byte> buffer)
    {
        ValueTask<int> read;
        try
        {
            read = _stream.ReadAsync(buffer, CancellationToken.None);
        }
        catch (Exception e) when (QuicErrors.IsTransportError(e))
        {
            throw Map(e, _readAbort);
        }

        return read.IsCompletedSuccessfully ? read : AwaitAsync(read);
    }

    public ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, bool completeWrites = false)
    {
        ValueTask write;
        try
        {
            write = _stream.WriteAsync(buffer, completeWrites, CancellationToken.None);
        }
        catch (Exception e) when (QuicErrors.IsTransportError(e))
        {
            throw Map(e, _writeAbort);
        }

        return write.IsCompletedSuccessfully ? write : AwaitAsync(write);
    }

    public void CompleteWrites() => _stream.CompleteWrites();

    public void AbortReads(KwikError code)
    {
        if (_stream.CanRead)
        {
            _readAbort ??= code;
            Abort(QuicAbortDirection.Read, code);
        }
    }

    public void AbortWrites(KwikError code)
    {
        if (_stream.CanWrite)
        {
            _writeAbort ??= code;
            Abort(QuicAbortDirection.Write, code);
        }
    }

    public ValueTask DisposeAsync() => _stream.DisposeAsync();

    private void Abort(QuicAbortDirection direction, KwikError code)
    {
        try
        {
            _stream.Abort(direction, (long)code);
        }
        catch (ObjectDisposedException)
        {
            // Disposal won the race: reading has ended, and writing ends as far as the peer takes it.
        }
    }

    private async ValueTask<int> AwaitAsync(ValueTask<int> read)
    {
        try
        {
            return await read;
        }
        catch (Exception e) when (QuicErrors.IsTransportError(e))
        {
            throw Map(e, _readAbort);
        }
    }

    private async ValueTask AwaitAsync(ValueTask write)
    {
        try
        {
            await write;
        }
        catch (Exception e) when (QuicErrors.IsTransportError(e))
        {
            throw Map(e, _writeAbort);
        }
    }

    private async Task MapAsync(Task closed)
    {
        try
        {
            await closed;
        }
        catch (Exception e) when (QuicErrors.IsTransportError(e))
        {
            throw Map(e, _writeAbort);
        }
    }

    private KwikException Map(Exception e, KwikError? abortedWith) =>
        QuicErrors.Map(e, $"QUIC stream {_stream.Id} ended", abortedWith, _connection.ClosedWith);
}
