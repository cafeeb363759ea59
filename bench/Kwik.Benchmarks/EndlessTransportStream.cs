using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>
/// A transport that costs nothing: counts and keeps the last write, and reads the same bytes again and again. Every call
/// completes at once. For what Kwik itself costs.
/// </summary>
internal sealed class EndlessTransportStream(long id, byte[]? source = null) : ITransportStream
{
    private readonly byte[] _source = source ?? [];
    private int _position;

    public long Id => id;

    public bool CanRead => true;

    public bool CanWrite => true;

    public Task WritesClosed => Task.CompletedTask;

    /// <summary>Bytes written so far.</summary>
    public long Written { get; private set; }

    /// <summary>The last write; valid until its caller uses the memory again.</summary>
    public ReadOnlyMemory<byte> LastWrite { get; private set; }

    public ValueTask<int> ReadAsync(Memory<byte> buffer)
    {
        int read = Math.Min(buffer.Length, _source.Length - _position);
        _source.AsSpan(_position, read).CopyTo(buffer.Span);
        _position = (_position + read) % _source.Length;
        return ValueTask.FromResult(read);
    }

    public ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, bool completeWrites = false)
    {
        Written += buffer.Length;
        LastWrite = buffer;
        return ValueTask.CompletedTask;
    }

    public void CompleteWrites()
    {
    }

    public void AbortReads(KwikError code)
    {
    }

    public void AbortWrites(KwikError code)
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
