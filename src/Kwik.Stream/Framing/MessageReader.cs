using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// Reads messages with a varint length before each from a stream, behind its header. One call at a time. Between two
/// messages it holds no memory but for what has arrived.
/// </summary>
/// <param name="stream">Where from.</param>
/// <param name="what">How the stream is called in messages for people.</param>
internal sealed class MessageReader(ITransportStream stream, string what)
{
    private const int BufferSize = 4096;

    private byte[] _buffer = [];
    private int _start;
    private int _end;

    /// <summary>The next message; null when the stream ended where one may begin.</summary>
    /// <exception cref="KwikException">The stream was aborted, or <see cref="KwikError.MetadataProtocolViolation"/>: it ended
    /// inside a message, or one is longer than <paramref name="maxSize"/> bytes; nothing was allocated for it.</exception>
    public async ValueTask<byte[]?> ReadAsync(int maxSize)
    {
        int prefix;
        ulong size;
        while ((prefix = VarInt.Read(_buffer.AsSpan(_start, _end - _start), out size)) == 0)
        {
            bool empty = _start == _end;
            if (await FillAsync() == 0)
            {
                return empty ? null : throw Violation("ended inside a frame");
            }
        }

        if (prefix < 0 || size > (ulong)maxSize)
        {
            throw Violation($"carries a frame of more than {maxSize} bytes");
        }

        _start += prefix;
        var message = new byte[size];
        int have = Math.Min(message.Length, _end - _start);
        _buffer.AsSpan(_start, have).CopyTo(message);
        _start += have;
        while (have < message.Length)
        {
            int read = await stream.ReadAsync(message.AsMemory(have));
            have += read > 0 ? read : throw Violation("ended inside a frame");
        }

        return message;
    }

    public KwikException Violation(string how) =>
        new(KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"The {what} {how}.");

    private async ValueTask<int> FillAsync()
    {
        if (_start == _end)
        {
            // Nothing is kept while nothing comes: most error substreams never carry more than their end.
            (_buffer, _start, _end) = ([], 0, 0);
            await stream.ReadAsync(Memory<byte>.Empty);
            _buffer = new byte[BufferSize];
        }
        else if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        int read = await stream.ReadAsync(_buffer.AsMemory(_end));
        _end += read;
        return read;
    }
}
