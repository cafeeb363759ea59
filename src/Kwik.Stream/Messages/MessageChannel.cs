using Kwik.Data;

namespace Kwik.Streams;

/// <summary>
/// Messages over a public stream, for applications that speak in messages: each arrives whole and once, those of one
/// priority in the order in which they were sent. Any number of senders, one receiver; both may run at once.
/// </summary>
/// <remarks>
/// Both sides put a channel over their end of the stream and use nothing else to read and write it. The channel does not own
/// the stream: dispose that. A message that breaks a rule aborts the stream, both directions, with the code that the
/// exception has. Memory: see <see cref="MessageOptions"/>; a channel that sends keeps one chunk of 64 KiB, and a
/// compressed copy of each message that waits.
/// </remarks>
public sealed partial class MessageChannel
{
    private readonly KwikStream _stream;
    private readonly MessageOptions _options;
    private readonly SendTurns _turns;

    // Of whoever has the turn: the chunk that is being written, and the number of the next message.
    private byte[] _frame = [];
    private ulong _nextId;

    /// <summary>Makes a channel over a stream that nothing was written to or read from.</summary>
    /// <param name="stream">Stays the caller's.</param>
    /// <param name="options">Null for the defaults. Both sides should have the same limits.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public MessageChannel(KwikStream stream, MessageOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(stream);
        _options = options ?? new();
        _options.Validate();
        _stream = stream;
        _turns = new SendTurns(stream.Time, _options.Rate, stream.SessionPace);
        _assembler = new MessageAssembler(_options, stream.Id);
    }

    /// <summary>
    /// Sends a message. Returns when the transport has taken all of it, which may be before the peer has. Waits for messages
    /// of the same priority that were sent before, for more urgent ones between two chunks of 64 KiB, for the rate, and
    /// while the peer is more than its window behind. Compresses, where the options want that, before the first wait.
    /// </summary>
    /// <param name="message">0 bytes to <see cref="MessageOptions.MaxMessageSize"/>; must stay as it is until the call returns.</param>
    /// <param name="priority">Who goes first among the messages that wait here.</param>
    /// <param name="cancellationToken">
    /// Before the first chunk is handed over, nothing is sent. Between two chunks, the peer is told to forget the message.
    /// After the last one it arrives all the same. The channel can be used on in every case.
    /// </param>
    /// <exception cref="KwikException"><see cref="KwikError.LimitExceeded"/>: the message is too large, nothing was sent. Any other
    /// code: the stream failed, or the peer no longer reads.</exception>
    /// <exception cref="InvalidOperationException">Sending was completed, or something beside this channel writes to the
    /// stream; in the middle of a message that aborts it.</exception>
    public async ValueTask SendMessageAsync(
        ReadOnlyMemory<byte> message, MessagePriority priority = MessagePriority.Normal, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)priority, (uint)MessagePriority.Bulk, nameof(priority));
        if (message.Length > _options.MaxMessageSize)
        {
            throw new KwikException(
                KwikError.LimitExceeded,
                KwikErrorSide.Local,
                $"The message has {message.Length} bytes; {nameof(MessageOptions.MaxMessageSize)} is {_options.MaxMessageSize}.",
                streamId: _stream.Id);
        }

        cancellationToken.ThrowIfCancellationRequested();
        var outgoing = OutgoingMessage.Create(message, _options);
        SendTurns.Ticket ticket = _turns.Join(priority, outgoing.NextLength);
        Task writing = Task.CompletedTask;
        try
        {
            while (true)
            {
                await ticket.WaitAsync(cancellationToken);
                cancellationToken.ThrowIfCancellationRequested();
                writing = WriteNextAsync(outgoing);
                await writing.WaitAsync(cancellationToken);
                if (outgoing.IsWhole)
                {
                    break;
                }

                _turns.Yield(ticket, outgoing.NextLength);
            }
        }
        catch (OperationCanceledException) when (outgoing.HasBegun)
        {
            // Keeps its place in the line until the peer knows, so that no more messages are under way than are allowed.
            _ = Background.Start(() => AbandonAsync(outgoing, ticket, writing));
            throw;
        }
        catch
        {
            _turns.Leave(ticket);
            throw;
        }

        _turns.Leave(ticket);
    }

    /// <summary>
    /// Ends the sending: waits until the messages that are being sent are handed over, and then completes the writes of the
    /// stream. The peer receives them, then null. Nothing can be sent from now on. Does nothing the second time.
    /// </summary>
    /// <param name="cancellationToken">Ends the wait only; called again, it goes on.</param>
    /// <exception cref="InvalidOperationException">Something beside this channel writes to the stream.</exception>
    public async Task CompleteAsync(CancellationToken cancellationToken = default)
    {
        await _turns.CloseAsync(cancellationToken);
        _stream.CompleteWrites();
    }

    /// <summary>For who has the turn: copies the next chunk before the first wait, so that a caller can leave.</summary>
    private async Task WriteNextAsync(OutgoingMessage outgoing)
    {
        bool isFirst = !outgoing.HasBegun;
        if (isFirst)
        {
            outgoing.Begin(_nextId);
        }

        int size = MessageFrame.MaxSize - MessageFrame.ChunkSize + outgoing.NextLength;
        if (_frame.Length < size)
        {
            _frame = new byte[size];
        }

        await WriteAsync(outgoing.TakeChunk(_frame), isFirst);
        _nextId += isFirst ? 1u : 0u;
    }

    private async Task WriteAsync(ReadOnlyMemory<byte> frame, bool isFirst)
    {
        try
        {
            await _stream.WriteAsync(frame, CancellationToken.None);
        }
        catch (InvalidOperationException e) when (!isFirst && e is not ObjectDisposedException)
        {
            // Somebody beside this channel writes, or has completed the writes: the peer would wait for the rest.
            _stream.Abort(KwikError.Cancelled);
            throw;
        }
    }

    /// <summary>Never throws.</summary>
    private async Task AbandonAsync(OutgoingMessage outgoing, SendTurns.Ticket ticket, Task writing)
    {
        try
        {
            await writing;
            if (!outgoing.IsWhole)
            {
                await ticket.WaitAsync(CancellationToken.None);
                await WriteAsync(outgoing.Abandon(_frame), isFirst: false);
            }
        }
        catch (Exception e) when (e is KwikException or InvalidOperationException)
        {
            // The stream has failed or was closed; its other users learn it from their own calls, and the peer from its end.
        }
        finally
        {
            _turns.Leave(ticket);
        }
    }
}
