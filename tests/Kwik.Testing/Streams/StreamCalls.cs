using System.Buffers;

namespace Kwik.Testing;

/// <summary>Reads and writes in every way that there is; those that block do so on a thread of their own.</summary>
internal static class StreamCalls
{
    /// <summary>Reads into part of an array. <see cref="StreamCall.Byte"/> reads one byte at most.</summary>
    public static Task<int> ReadAsync(this Stream stream, StreamCall call, byte[] buffer, int offset, int count) => call switch
    {
        StreamCall.FromAsync => Task.Factory.FromAsync(stream.BeginRead, stream.EndRead, buffer, offset, count, null),
        StreamCall.ArrayAsync => stream.ReadAsync(buffer, offset, count, CancellationToken.None),
        StreamCall.MemoryAsync => stream.ReadAsync(buffer.AsMemory(offset, count)).AsTask(),
        _ => OwnThread.RunAsync(() => stream.Read(call, buffer, offset, count)),
    };

    /// <summary>Reads into a whole array.</summary>
    public static Task<int> ReadAsync(this Stream stream, StreamCall call, byte[] buffer) =>
        stream.ReadAsync(call, buffer, 0, buffer.Length);

    /// <summary>Writes part of an array. <see cref="StreamCall.Byte"/> does so byte by byte.</summary>
    public static Task WriteAsync(this Stream stream, StreamCall call, byte[] buffer, int offset, int count) => call switch
    {
        StreamCall.FromAsync => Task.Factory.FromAsync(stream.BeginWrite, stream.EndWrite, buffer, offset, count, null),
        StreamCall.ArrayAsync => stream.WriteAsync(buffer, offset, count, CancellationToken.None),
        StreamCall.MemoryAsync => stream.WriteAsync(buffer.AsMemory(offset, count)).AsTask(),
        _ => OwnThread.RunAsync(() => stream.Write(call, buffer, offset, count)),
    };

    /// <summary>Writes a whole array.</summary>
    public static Task WriteAsync(this Stream stream, StreamCall call, byte[] buffer) =>
        stream.WriteAsync(call, buffer, 0, buffer.Length);

    /// <summary>Reads on this thread, which blocks, whatever the call.</summary>
    public static int Read(this Stream stream, StreamCall call, byte[] buffer, int offset, int count)
    {
        switch (call)
        {
            case StreamCall.Byte:
                int value = stream.ReadByte();
                buffer[offset] = value < 0 ? buffer[offset] : (byte)value;
                return value < 0 ? 0 : 1;
            case StreamCall.Span:
                return stream.Read(buffer.AsSpan(offset, count));
            case StreamCall.Array:
                return stream.Read(buffer, offset, count);
            default:
                return stream.EndRead(stream.BeginRead(buffer, offset, count, null, null));
        }
    }

    /// <summary>Writes on this thread, which blocks, whatever the call.</summary>
    public static void Write(this Stream stream, StreamCall call, byte[] buffer, int offset, int count)
    {
        switch (call)
        {
            case StreamCall.Byte:
                Array.ForEach(buffer[offset..(offset + count)], stream.WriteByte);
                break;
            case StreamCall.Span:
                stream.Write(buffer.AsSpan(offset, count));
                break;
            case StreamCall.Array:
                stream.Write(buffer, offset, count);
                break;
            default:
                stream.EndWrite(stream.BeginWrite(buffer, offset, count, null, null));
                break;
        }
    }

    /// <summary>The next bytes, exactly that many.</summary>
    public static async Task<byte[]> TakeAsync(this Stream stream, int count)
    {
        byte[] all = new byte[count];
        await stream.FillAsync(all);
        return all;
    }

    /// <summary>The same, read in this way.</summary>
    public static async Task<byte[]> TakeAsync(this Stream stream, StreamCall call, int count)
    {
        byte[] all = new byte[count];
        for (int have = 0; have < count;)
        {
            int read = await stream.ReadAsync(call, all, have, count - have);
            have += read > 0 ? read : throw new EndOfStreamException($"The stream ended after {have} of {count} bytes.");
        }

        return all;
    }

    /// <summary>Cuts bytes into the segments of a sequence.</summary>
    public static ReadOnlySequence<byte> InSegments(byte[] bytes, int size)
    {
        var first = new Segment(bytes.AsMemory(0, Math.Min(size, bytes.Length)), 0);
        Segment last = first;
        for (int offset = size; offset < bytes.Length; offset += size)
        {
            last = last.Append(bytes.AsMemory(offset, Math.Min(size, bytes.Length - offset)));
        }

        return new(first, 0, last, last.Memory.Length);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(ReadOnlyMemory<byte> memory, long offset) => (Memory, RunningIndex) = (memory, offset);

        public Segment Append(ReadOnlyMemory<byte> memory)
        {
            var next = new Segment(memory, RunningIndex + Memory.Length);
            Next = next;
            return next;
        }
    }
}
