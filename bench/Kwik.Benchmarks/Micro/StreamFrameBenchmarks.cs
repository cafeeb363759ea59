using BenchmarkDotNet.Attributes;
using Kwik.Data;
using Kwik.Streams;

namespace Kwik.Benchmarks;

/// <summary>
/// What the metadata of one payload of 64 KiB costs. Bar: encode and decode together below 200 ns, no allocation. The other
/// two are whole passes through writer and reader without a transport: frame, checksum and copy of 64 KiB.
/// </summary>
[MemoryDiagnoser]
public class StreamFrameBenchmarks
{
    private const int PayloadSize = FrameWriter.PayloadSize;

    // No constants: the compiler would encode those in advance.
    private readonly int _length = PayloadSize;
    private readonly long _lastOffset = StreamFrame.MaxOffset - PayloadSize;
    private readonly uint _checksum = 0x12345678;

    private readonly byte[] _buffer = new byte[StreamFrame.MaxWrittenSize];
    private readonly byte[] _payload = new byte[PayloadSize];
    private readonly List<Lease> _pieces = [];
    private readonly byte[] _encoded;
    private readonly FrameWriter _writer;
    private readonly FrameReader _reader;

    public StreamFrameBenchmarks()
    {
        Random.Shared.NextBytes(_payload);
        var pool = new LeasePool();
        var sink = new EndlessTransportStream(id: 0);
        _writer = new FrameWriter(sink, pool);
        Write();
        // The pool hands the memory of this write out again, so that what is read has to be a copy.
        _reader = new FrameReader(new EndlessTransportStream(id: 0, sink.LastWrite.ToArray()), pool);
        _encoded = _buffer[..Encode()];
    }

    /// <summary>As in the middle of a stream: the frame continues the one before.</summary>
    [Benchmark]
    public int Encode() => StreamFrame.Data(_length, checksum: _checksum).Write(_buffer);

    /// <summary>The length prefix, then the message.</summary>
    [Benchmark]
    public bool Decode() => Decode(_encoded);

    [Benchmark]
    public bool EncodeAndDecode() => Decode(_buffer.AsSpan(0, Encode()));

    /// <summary>With the longest offset that a frame can name, as after a jump.</summary>
    [Benchmark]
    public bool EncodeAndDecodeWithOffset() =>
        Decode(_buffer.AsSpan(0, StreamFrame.Data(_length, _lastOffset, _checksum).Write(_buffer)));

    [Benchmark]
    public void Write() => Complete(_writer.WritePayloadAsync(_payload, offset: -1, CancellationToken.None));

    [Benchmark]
    public int Read()
    {
        StreamFrame frame = Complete(_reader.ReadFrameAsync()) ?? throw new InvalidDataException("The stream does not end.");
        Complete(_reader.ReadPayloadAsync(frame, _pieces));
        int pieces = _pieces.Count;
        foreach (Lease piece in _pieces)
        {
            piece.Return();
        }

        _pieces.Clear();
        return pieces;
    }

    private static bool Decode(ReadOnlySpan<byte> encoded)
    {
        int prefix = VarInt.Read(encoded, out ulong length);
        return StreamFrame.TryDecode(encoded.Slice(prefix, (int)length), out _);
    }

    // The transport completes at once, and so does everything above it.
    private static void Complete(ValueTask task)
    {
        if (!task.IsCompletedSuccessfully)
        {
            task.AsTask().GetAwaiter().GetResult();
        }
    }

    private static T Complete<T>(ValueTask<T> task) => task.IsCompletedSuccessfully ? task.Result : task.AsTask().GetAwaiter().GetResult();
}
