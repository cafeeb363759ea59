using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// Reads a Main or Internal stream behind its header: frames, and the payload that follows a data frame. One call at a
/// time. What it throws besides the transport's own errors is <see cref="KwikError.MetadataProtocolViolation"/> and
/// <see cref="KwikError.Checksum"/>.
/// </summary>
internal sealed class FrameReader(ITransportStream stream, LeasePool pool, int bufferSize = 64 * 1024)
{
    // Read with the end of a payload, so that the frame behind it rarely needs a read of its own.
    private const int LookAhead = 64;

    private readonly int _pieceSize = LeasePool.CapacityFor(bufferSize);
    private readonly TransportStep _step = new();
    private readonly byte[] _ahead = new byte[VarInt.MaxSize + StreamFrame.MaxMetadataSize];
    private int _aheadStart;
    private int _aheadEnd;
    private long _bytesRead;
    private long _payloadArrived;
    private long _payloadRead;

    /// <summary>Bytes taken from the transport, frames included. Safe to read at any time.</summary>
    public long BytesRead => Interlocked.Read(ref _bytesRead);

    /// <summary>Of these, bytes of payloads, complete or not. Safe to read at any time.</summary>
    public long PayloadArrived => Interlocked.Read(ref _payloadArrived);

    /// <summary>Of these, bytes of complete payloads. Safe to read at any time.</summary>
    public long PayloadRead => Interlocked.Read(ref _payloadRead);

    /// <summary>
    /// With what the transport ended the stream, if it did: the peer's word, or the connection's end; whatever else this
    /// reader throws is a rule that the peer broke.
    /// </summary>
    public KwikException? TransportFault { get; private set; }

    private ReadOnlySpan<byte> Ahead => _ahead.AsSpan(_aheadStart, _aheadEnd - _aheadStart);

    /// <summary>The next frame; null when the stream ended where a frame may begin.</summary>
    public async ValueTask<StreamFrame?> ReadFrameAsync()
    {
        while (true)
        {
            int prefix = VarInt.Read(Ahead, out ulong length);
            if (prefix < 0 || (prefix > 0 && length > StreamFrame.MaxMetadataSize))
            {
                throw Violation($"A metadata frame is longer than {StreamFrame.MaxMetadataSize} bytes.");
            }

            if (prefix > 0 && Ahead.Length >= prefix + (int)length)
            {
                if (!StreamFrame.TryDecode(Ahead.Slice(prefix, (int)length), out StreamFrame frame))
                {
                    throw Violation("A metadata frame is malformed or has values out of range.");
                }

                _aheadStart += prefix + (int)length;
                return frame;
            }

            bool empty = Ahead.IsEmpty;
            if (await FillAsync() == 0)
            {
                return empty ? null : throw Violation("The stream ended inside a metadata frame.");
            }
        }
    }

    /// <summary>
    /// Reads the whole payload of the data frame just read and checks its sum. The pieces are added to
    /// <paramref name="pieces"/>, in order, and belong to the caller; when this throws, none is added.
    /// </summary>
    public async ValueTask ReadPayloadAsync(StreamFrame frame, List<Lease> pieces)
    {
        int first = pieces.Count;
        try
        {
            uint crc = ~0u;
            for (int left = frame.DataLength; left > 0;)
            {
                Lease piece = pool.Rent(Math.Min(left + LookAhead, _pieceSize));
                pieces.Add(piece);
                await FillPieceAsync(piece, Math.Min(left, piece.Room - LookAhead));
                crc = frame.HasChecksum ? Crc32C.Append(crc, piece.Span) : crc;
                left -= piece.Length;
            }

            Interlocked.Add(ref _payloadRead, frame.DataLength);
            if (frame.HasChecksum && ~crc != frame.Checksum)
            {
                throw new KwikException(
                    KwikError.Checksum,
                    KwikErrorSide.Network,
                    $"A payload of {frame.DataLength} bytes on QUIC stream {stream.Id} does not have the CRC-32C that was announced.");
            }
        }
        catch
        {
            pieces.Slice(first, pieces.Count - first).ForEach(piece => piece.Return());
            pieces.RemoveRange(first, pieces.Count - first);
            throw;
        }
    }

    /// <summary>
    /// Fills a piece with exactly <paramref name="length"/> bytes. What is read beyond, at most <see cref="LookAhead"/>
    /// bytes, is kept for the next frame.
    /// </summary>
    private async ValueTask FillPieceAsync(Lease piece, int length)
    {
        int buffered = Math.Min(length, Ahead.Length);
        Ahead[..buffered].CopyTo(piece.Free.Span);
        piece.Extend(buffered);
        _aheadStart += buffered;
        Interlocked.Add(ref _payloadArrived, buffered);
        while (piece.Length < length)
        {
            int wanted = length - piece.Length + LookAhead;
            int read = await ReadAsync(piece.Free[..wanted]);
            if (read == 0)
            {
                throw Violation("The stream ended inside a payload.");
            }

            Interlocked.Add(ref _payloadArrived, Math.Min(read, length - piece.Length));
            piece.Extend(read);
        }

        if (piece.Length > length)
        {
            // Everything buffered before went into the piece, so the buffer is empty here.
            piece.Span[length..].CopyTo(_ahead);
            _aheadStart = 0;
            _aheadEnd = piece.Length - length;
            piece.Truncate(length);
        }
    }

    private async ValueTask<int> FillAsync()
    {
        if (_aheadStart > 0)
        {
            Ahead.CopyTo(_ahead);
            _aheadEnd -= _aheadStart;
            _aheadStart = 0;
        }

        int read = await ReadAsync(_ahead.AsMemory(_aheadEnd));
        _aheadEnd += read;
        return read;
    }

    private async ValueTask<int> ReadAsync(Memory<byte> buffer)
    {
        try
        {
            int read = await _step.WaitFor(stream.ReadAsync(buffer));
            Interlocked.Add(ref _bytesRead, read);
            return read;
        }
        catch (KwikException e)
        {
            TransportFault = e;
            throw;
        }
    }

    private KwikException Violation(string what) => new(
        KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"{what} (QUIC stream {stream.Id})");
}
