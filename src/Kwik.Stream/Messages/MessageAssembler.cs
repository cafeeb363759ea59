using Kwik.Data;
using Kwik.Data.Wire;

namespace Kwik.Streams;

/// <summary>
/// Puts the messages of one stream together, whose chunks may interleave. What breaks a rule is found before anything is
/// allocated for it; the channel aborts the stream then. Not safe for concurrent use.
/// </summary>
internal sealed class MessageAssembler(MessageOptions options, long streamId)
{
    // Messages of several chunks that have begun.
    private readonly Dictionary<ulong, Incoming> _incomplete = [];
    private long _bytes;
    private ulong _nextId;
    private Incoming? _current;

    /// <summary>Messages of several chunks that have begun and are neither whole nor abandoned.</summary>
    public int IncompleteCount => _incomplete.Count;

    /// <summary>Bytes held for messages that are not whole.</summary>
    public long IncompleteBytes => _bytes;

    /// <summary>
    /// A chunk begins. Returns where its bytes go, all of them, before <see cref="End"/> is called; empty for a chunk without.
    /// </summary>
    /// <exception cref="KwikException">MetadataProtocolViolation, LimitExceeded.</exception>
    public Memory<byte> Begin(MessageHeader header)
    {
        CheckFlags(header);
        long size = CheckSizes(header);
        var flags = (MessageFlags)header.Flags;
        if (header.ChunkIndex == 0 && !flags.HasFlag(MessageFlags.Abandoned))
        {
            _current = Start(header, size);
        }
        else
        {
            _current = Continue(header);
            if (flags.HasFlag(MessageFlags.Abandoned))
            {
                Forget(_current);
                _current = null;
                return default;
            }
        }

        return _current.Bytes.AsMemory((int)header.ChunkIndex * MessageFrame.ChunkSize, MessageFrame.ChunkLength(size, header.ChunkIndex));
    }

    /// <summary>The bytes of the chunk are there. Returns the message if it is whole now.</summary>
    /// <exception cref="KwikException">MetadataProtocolViolation: it is not what it was compressed from.</exception>
    public byte[]? End()
    {
        if (_current is not { } message || ++message.ChunksHere < message.Header.ChunkCount)
        {
            return null;
        }

        _current = null;
        Forget(message);
        if (!message.Header.HasCompressedSize)
        {
            return message.Bytes;
        }

        var plain = new byte[message.Header.TotalSize];
        return MessageCompression.TryDecompress(message.Bytes, plain)
            ? plain
            : throw Violation($"Message {message.Header.MessageId} is not {plain.Length} bytes, compressed by Brotli with a window of 256 KiB.");
    }

    private void CheckFlags(MessageHeader header)
    {
        if (header.StreamType != (uint)StreamType.Main)
        {
            throw Violation($"A message header names stream type {header.StreamType}.");
        }

        const MessageFlags known = MessageFlags.Compressed | MessageFlags.Fragmented | MessageFlags.Abandoned;
        if (((MessageFlags)header.Flags & ~known) is not MessageFlags.None and var unknown)
        {
            throw Violation($"A message header has the flags {unknown}, which version 1 does not take.");
        }
    }

    /// <summary>Checks the sizes against each other and the limit; returns the bytes of all chunks together.</summary>
    private long CheckSizes(MessageHeader header)
    {
        if (header.TotalSize > (ulong)options.MaxMessageSize)
        {
            throw Exceeded(
                $"Message {header.MessageId} has {header.TotalSize} bytes; {nameof(MessageOptions.MaxMessageSize)} is {options.MaxMessageSize}.");
        }

        var flags = (MessageFlags)header.Flags;
        if (flags.HasFlag(MessageFlags.Compressed) != header.HasCompressedSize
            || (header.HasCompressedSize && header.CompressedSize - 1 >= Math.Max(1, header.TotalSize) - 1))
        {
            throw Violation($"Message {header.MessageId} of {header.TotalSize} bytes is compressed to {header.CompressedSize}.");
        }

        long size = (long)(header.HasCompressedSize ? header.CompressedSize : header.TotalSize);
        if (header.ChunkCount != MessageFrame.ChunkCount(size)
            || flags.HasFlag(MessageFlags.Fragmented) != header.ChunkCount > 1
            || header.ChunkIndex >= header.ChunkCount)
        {
            throw Violation(
                $"Message {header.MessageId} of {size} bytes announces chunk {header.ChunkIndex} of {header.ChunkCount}, flags {flags}.");
        }

        return size;
    }

    private Incoming Start(MessageHeader header, long size)
    {
        if (header.MessageId != _nextId)
        {
            throw Violation($"Message {header.MessageId} begins in the place of message {_nextId}.");
        }

        if (header.ChunkCount > 1 && _incomplete.Count == options.MaxIncompleteMessages)
        {
            throw Exceeded(
                $"More than {options.MaxIncompleteMessages} messages are incomplete; {nameof(MessageOptions.MaxIncompleteMessages)} allows no more.");
        }

        if (_bytes + size > options.MaxIncompleteBytes)
        {
            throw Exceeded(
                $"Incomplete messages have more than {options.MaxIncompleteBytes} bytes; {nameof(MessageOptions.MaxIncompleteBytes)} allows no more.");
        }

        var message = new Incoming(header, new byte[size]);
        _nextId++;
        _bytes += size;
        if (header.ChunkCount > 1)
        {
            _incomplete.Add(header.MessageId, message);
        }

        return message;
    }

    private Incoming Continue(MessageHeader header)
    {
        if (!_incomplete.TryGetValue(header.MessageId, out Incoming? message))
        {
            throw Violation($"Chunk {header.ChunkIndex} belongs to message {header.MessageId}, which is over or has not begun.");
        }

        MessageHeader first = message.Header;
        if (header.ChunkIndex != message.ChunksHere)
        {
            throw Violation($"Chunk {header.ChunkIndex} of message {header.MessageId} comes in the place of chunk {message.ChunksHere}.");
        }

        if (header.TotalSize != first.TotalSize
            || header.CompressedSize != first.CompressedSize
            || (header.Flags & ~(uint)MessageFlags.Abandoned) != first.Flags)
        {
            throw Violation($"Chunk {header.ChunkIndex} of message {header.MessageId} contradicts the first one.");
        }

        return message;
    }

    private void Forget(Incoming message)
    {
        _incomplete.Remove(message.Header.MessageId);
        _bytes -= message.Bytes.Length;
    }

    private KwikException Violation(string what) => Fault(KwikError.MetadataProtocolViolation, what);

    private KwikException Exceeded(string what) => Fault(KwikError.LimitExceeded, what);

    private KwikException Fault(KwikError code, string what) => new(code, KwikErrorSide.Remote, what, streamId: streamId);

    /// <param name="header">Of its first chunk.</param>
    /// <param name="bytes">Of all chunks, as they come.</param>
    private sealed class Incoming(MessageHeader header, byte[] bytes)
    {
        public MessageHeader Header => header;

        public byte[] Bytes => bytes;

        /// <summary>Also the index of the chunk that comes next.</summary>
        public uint ChunksHere { get; set; }
    }
}
