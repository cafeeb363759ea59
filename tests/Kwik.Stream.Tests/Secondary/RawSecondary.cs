using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>An Internal stream whose server is the test, which writes whatever it likes.</summary>
internal sealed class RawSecondary : IAsyncDisposable
{
    private readonly MemoryPipe _pipe = new(int.MaxValue);
    private readonly MemoryTransportStream _server;
    private readonly FrameWriter _writer;

    public RawSecondary(SecondaryReceiver receiver, int path, long id)
    {
        Id = new(path, id);
        _server = new MemoryTransportStream(id, new MemoryPipe(0), _pipe);
        _writer = new FrameWriter(_server, receiver.Pool);
        Handling = receiver.Handler.HandleAsync(path, new ClientEnd(this));
    }

    /// <summary>Runs when the client has read something, before it looks at it.</summary>
    public Action? Read { get; set; }

    /// <summary>Runs when the client stops the stream, before it does.</summary>
    public Action? Stopping { get; set; }

    public SecondaryStreamId Id { get; }

    /// <summary>Ends when the client is done with the stream; never faults.</summary>
    public Task Handling { get; }

    /// <summary>Bytes that the client has not read.</summary>
    public int Unread => _pipe.Buffered;

    /// <summary>Writes a frame, then the payload; both as they are.</summary>
    public async Task SendAsync(StreamFrame frame, byte[]? payload = null)
    {
        _writer.Append(frame);
        await _writer.FlushAsync();
        if (payload is not null)
        {
            await _server.WriteAsync(payload);
        }
    }

    public Task SendDataAsync(byte[] payload, long offset = -1) =>
        SendAsync(StreamFrame.Data(payload.Length, offset, Crc32C.Compute(payload)), payload);

    /// <summary>Bytes as they are.</summary>
    public async Task SendAsync(byte[] bytes) => await _server.WriteAsync(bytes);

    public void End() => _server.CompleteWrites();

    public async Task CloseAsync(long finalOffset, KwikError error = KwikError.None)
    {
        await SendAsync(StreamFrame.Close(finalOffset, error));
        End();
        await Handling;
    }

    public void Reset(KwikError code) => _server.AbortWrites(code);

    /// <summary>Gives up what is left, and waits until the client has noticed.</summary>
    public async ValueTask DisposeAsync()
    {
        await _server.DisposeAsync();
        await Handling;
    }

    /// <summary>Waits until the client has refused the stream; the code that it gave.</summary>
    public async Task<KwikError> RefusalAsync()
    {
        await Handling;
        KwikException e = await Assert.ThrowsAnyAsync<KwikException>(async () => await _pipe.Closed);
        Assert.Equal(KwikErrorSide.Remote, e.Side);
        return e.Code;
    }

    private sealed class ClientEnd(RawSecondary server) : ITransportStream
    {
        public long Id => server.Id.StreamId;

        public bool CanRead => true;

        public bool CanWrite => false;

        public Task WritesClosed => Task.CompletedTask;

        public async ValueTask<int> ReadAsync(Memory<byte> buffer)
        {
            int read = await server._pipe.ReadAsync(buffer);
            server.Read?.Invoke();
            return read;
        }

        public void AbortReads(KwikError code)
        {
            server.Stopping?.Invoke();
            server._pipe.Abort(code, byReader: true);
        }

        public ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, bool completeWrites = false) =>
            throw new InvalidOperationException("Only its server writes an Internal stream.");

        public void CompleteWrites()
        {
        }

        public void AbortWrites(KwikError code)
        {
        }

        public ValueTask DisposeAsync()
        {
            server._pipe.Abort(KwikError.Cancelled, byReader: true);
            return ValueTask.CompletedTask;
        }
    }
}
