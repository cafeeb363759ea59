using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Streams;

public sealed partial class MessageChannel
{
    private readonly MessageAssembler _assembler;

    // Length and header of the chunk that is being received, as far as they are here.
    private readonly byte[] _header = new byte[1 + MessageFrame.MaxHeaderSize];
    private int _headerHere;

    // Where the rest of the chunk goes; null between two chunks.
    private Memory<byte>? _rest;
    private KwikException? _fault;
    private int _receiving;

    /// <summary>
    /// The next message that is whole, for the caller to keep; null at the end of what the peer sends. Reads from the stream
    /// while somebody waits here, and not otherwise: a peer that sends more is held back by the stream's window. Cancelling
    /// loses nothing: the next call goes on.
    /// </summary>
    /// <exception cref="KwikException">The stream failed; <see cref="KwikError.MetadataProtocolViolation"/>: a message broke a
    /// rule, or the stream ended inside one; <see cref="KwikError.LimitExceeded"/>: one is larger, or more are incomplete,
    /// than <see cref="MessageOptions"/> allow. Each later call fails in the same way.</exception>
    /// <exception cref="InvalidOperationException">Another call is pending.</exception>
    public async ValueTask<byte[]?> ReceiveMessageAsync(CancellationToken cancellationToken = default)
    {
        if (Interlocked.Exchange(ref _receiving, 1) == 1)
        {
            throw new InvalidOperationException("A call receives already; a channel has one receiver at a time.");
        }

        try
        {
            while (true)
            {
                if (_fault is not null)
                {
                    throw _fault;
                }

                if (_rest is null && !await TryReadHeaderAsync(cancellationToken))
                {
                    return null;
                }

                await ReadChunkAsync(cancellationToken);
                if (EndChunk() is { } message)
                {
                    return message;
                }
            }
        }
        finally
        {
            Volatile.Write(ref _receiving, 0);
        }
    }

    /// <summary>Reads what stands before a chunk, and makes room for its bytes. False at the end of the stream.</summary>
    private async ValueTask<bool> TryReadHeaderAsync(CancellationToken cancellationToken)
    {
        while (_headerHere == 0 || _headerHere <= _header[0])
        {
            // The length takes one byte: a larger header than that can say is refused.
            int missing = _headerHere == 0 ? 1 : 1 + _header[0] - _headerHere;
            int read = await _stream.ReadAsync(_header.AsMemory(_headerHere, missing), cancellationToken);
            if (read == 0)
            {
                return _headerHere == 0 && _assembler.IncompleteCount == 0 ? false : throw Broken(EndedInside());
            }

            _headerHere += read;
            if (_header[0] > MessageFrame.MaxHeaderSize)
            {
                throw Broken(Violation($"A message header has more than {MessageFrame.MaxHeaderSize} bytes."));
            }
        }

        MessageHeader? header = MessageFrame.TryParse(_header.AsSpan(1, _header[0]));
        _headerHere = 0;
        BeginChunk(header ?? throw Broken(Violation("A message header is malformed.")));
        return true;
    }

    private async ValueTask ReadChunkAsync(CancellationToken cancellationToken)
    {
        while (_rest is { Length: > 0 } rest)
        {
            int read = await _stream.ReadAsync(rest, cancellationToken);
            if (read == 0)
            {
                throw Broken(EndedInside());
            }

            _rest = rest[read..];
        }
    }

    private void BeginChunk(MessageHeader header)
    {
        try
        {
            _rest = _assembler.Begin(header);
        }
        catch (KwikException e)
        {
            throw Broken(e);
        }
    }

    private byte[]? EndChunk()
    {
        _rest = null;
        try
        {
            return _assembler.End();
        }
        catch (KwikException e)
        {
            throw Broken(e);
        }
    }

    /// <summary>Nothing behind the fault can be understood: ends the stream for both sides.</summary>
    private KwikException Broken(KwikException fault)
    {
        _fault = fault;
        _stream.Abort(fault);
        return fault;
    }

    private KwikException EndedInside() => Violation("The peer ended the stream inside a message.");

    private KwikException Violation(string what) =>
        new(KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, what, streamId: _stream.Id);
}
