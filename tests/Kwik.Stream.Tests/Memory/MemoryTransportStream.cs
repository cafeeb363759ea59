using Kwik.Data;

namespace Kwik.Streams.Tests;

/// <summary>One end of a bidirectional stream in memory.</summary>
internal sealed class MemoryTransportStream(long id, MemoryPipe incoming, MemoryPipe outgoing) : ITransportStream
{
    public long Id => id;

    public bool CanRead => true;

    public bool CanWrite => true;

    public Task WritesClosed => outgoing.Closed;

    public MemoryPipe Incoming => incoming;

    public MemoryPipe Outgoing => outgoing;

    /// <summary>Both ends; each direction holds <paramref name="window"/> bytes.</summary>
    public static (MemoryTransportStream Client, MemoryTransportStream Server) CreatePair(int window = 1024 * 1024)
    {
        var up = new MemoryPipe(window);
        var down = new MemoryPipe(window);
        return (new(0, down, up), new(0, up, down));
    }

    /// <summary>A stream that gives these bytes, a read a piece at most, and then ends.</summary>
    public static async Task<MemoryTransportStream> OfAsync(params ReadOnlyMemory<byte>[] pieces)
    {
        var incoming = new MemoryPipe(int.MaxValue);
        foreach (ReadOnlyMemory<byte> piece in pieces)
        {
            await incoming.WriteAsync(piece, complete: false);
        }

        incoming.Complete();
        return new(0, incoming, new MemoryPipe(int.MaxValue));
    }

    public ValueTask<int> ReadAsync(Memory<byte> buffer) => incoming.ReadAsync(buffer);

    public ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, bool completeWrites = false) =>
        outgoing.WriteAsync(buffer, completeWrites);

    public void CompleteWrites() => outgoing.Complete();

    public void AbortReads(KwikError code) => incoming.Abort(code, byReader: true);

    public void AbortWrites(KwikError code) => outgoing.Abort(code, byReader: false);

    public ValueTask DisposeAsync()
    {
        AbortReads(KwikError.Cancelled);
        AbortWrites(KwikError.Cancelled);
        return ValueTask.CompletedTask;
    }
}
