using System.Net.Quic;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Sessions;

/// <summary>The seam on a <see cref="QuicStream"/>: no token ever reaches it, and its exceptions are Kwik's.</summary>
internal sealed class QuicTransportStream : ITransportStream
{
    private readonly QuicStream _stream;

    public QuicTransportStream(QuicStream stream)
    {
        _stream = stream;
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
            throw Map(e);
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
            throw Map(e);
        }

        return write.IsCompletedSuccessfully ? write : AwaitAsync(write);
    }

    public void CompleteWrites() => _stream.CompleteWrites();

    public void AbortReads(KwikError code) => Abort(QuicAbortDirection.Read, code);

    public void AbortWrites(KwikError code) => Abort(QuicAbortDirection.Write, code);

    public ValueTask DisposeAsync() => _stream.DisposeAsync();

    private void Abort(QuicAbortDirection direction, KwikError code)
    {
        if (direction == QuicAbortDirection.Read ? !_stream.CanRead : !_stream.CanWrite)
        {
            return;
        }

        try
        {
            _stream.Abort(direction, (long)code);
        }
        catch (ObjectDisposedException)
        {
            // Disposal won the race and has ended both directions.
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
            throw Map(e);
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
            throw Map(e);
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
            throw Map(e);
        }
    }

    private KwikException Map(Exception e) => QuicErrors.Map(e, $"QUIC stream {_stream.Id} ended");
}
