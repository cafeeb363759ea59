using System.Runtime.InteropServices;
using Kwik.Data;

namespace Kwik.Streams;

public sealed partial class KwikStream
{
    /// <summary>
    /// Reads the next bytes in order, whoever sent them; 0 is the end. Cancelling leaves the stream as it was: the next
    /// read continues.
    /// </summary>
    /// <exception cref="KwikException">The stream failed; for offered content, <see cref="KwikError.ContentMismatch"/>
    /// instead of the end when the bytes are not the ones that the primary vouched for.</exception>
    /// <exception cref="InvalidOperationException">Another read is pending.</exception>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        _errorReader is null ? Incoming.ReadAsync(buffer, cancellationToken) : ReadToConfirmedEndAsync(buffer, cancellationToken);

    /// <inheritdoc cref="ReadAsync(Memory{byte}, CancellationToken)"/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken)
    {
        ValidateBufferArguments(buffer, offset, count);
        return ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
    }

    /// <summary>Blocks; prefer <see cref="ReadAsync(Memory{byte}, CancellationToken)"/>.</summary>
    public override int Read(byte[] buffer, int offset, int count)
    {
        ValidateBufferArguments(buffer, offset, count);
        int read = 0;
        Wait(async () => read = await ReadAsync(buffer.AsMemory(offset, count)));
        return read;
    }

    /// <summary>Begins a read; a write may be pending. Prefer <see cref="ReadAsync(Memory{byte}, CancellationToken)"/>.</summary>
    public override IAsyncResult BeginRead(byte[] buffer, int offset, int count, AsyncCallback? callback, object? state)
    {
        ValidateBufferArguments(buffer, offset, count);
        return TaskToAsyncResult.Begin(StartApart(() => ReadAsync(buffer.AsMemory(offset, count)).AsTask()), callback, state);
    }

    /// <summary>Blocks until the read is done.</summary>
    public override int EndRead(IAsyncResult asyncResult) => TaskToAsyncResult.End<int>(asyncResult);

    /// <summary>Not supported.</summary>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException("A KwikStream does not seek.");

    /// <summary>Not supported.</summary>
    public override void SetLength(long value) => throw new NotSupportedException("A KwikStream has no length that could be set.");

    /// <summary>The end is one only when the peer has not said otherwise on the error substream.</summary>
    private async ValueTask<int> ReadToConfirmedEndAsync(Memory<byte> buffer, CancellationToken cancellationToken)
    {
        int read = await Incoming.ReadAsync(buffer, cancellationToken);
        if (read == 0 && !buffer.IsEmpty)
        {
            await ConfirmEndAsync(cancellationToken);
        }

        return read;
    }

    private async Task ConfirmEndAsync(CancellationToken cancellationToken)
    {
        try
        {
            await (_errorReader?.ConfirmEndAsync(cancellationToken) ?? Task.CompletedTask);
        }
        catch (XStreamException)
        {
            ObjectDisposedException.ThrowIf(_disposed == 1, this);
            throw;
        }

        Advance(XStreamInput.RemoteEnd);
    }

    /// <summary>Moves what the peer writes on Main into the aggregator, until it ends. Never throws.</summary>
    private async Task ReceiveMainAsync()
    {
        try
        {
            await ReceiveFramesAsync();
            await OnEndOfMainAsync();
        }
        catch (KwikException e) when (e == _frames.TransportFault && (e.Side == KwikErrorSide.Local || e.EndsConnection))
        {
            // Given up by this side; or the session says why, to all its streams.
        }
        catch (KwikException e)
        {
            _main.AbortReads(e.Code);
            if (e == _frames.TransportFault && _errorReader is not null)
            {
                // Reset by the peer, which says why on the other half, if it is honest.
                await _errorReader.WaitForEndAsync(CloseTimeout, _owner.Time);
            }

            Fail(e);
        }
    }

    private async Task ReceiveFramesAsync()
    {
        var pieces = new List<Lease>();
        long offset = 0;
        while (await _frames.ReadFrameAsync() is { } frame)
        {
            if (frame.Type == StreamFrameType.Close)
            {
                await EndOfMainAsync(frame);
                return;
            }

            if (frame.Type != StreamFrameType.Data || (frame.Offset >= 0 && frame.Offset < offset))
            {
                throw Violation("Main carries data frames with growing offsets, and one close frame.");
            }

            offset = frame.Offset < 0 ? offset : frame.Offset;
            if (frame.DataLength > 0)
            {
                ConcludeNoOffer();
            }

            await Incoming.WaitForWindowAsync(offset, frame.DataLength, CancellationToken.None);
            await _frames.ReadPayloadAsync(frame, pieces);
            offset = await PlaceAsync(MainSource, offset, pieces, int.MaxValue, CancellationToken.None);
        }

        throw new KwikException(
            KwikError.PrimaryLost, KwikErrorSide.Remote, $"The peer ended stream {Id} without saying how long it is.", streamId: Id);
    }

    private async ValueTask EndOfMainAsync(StreamFrame close)
    {
        if (!close.IsOffered)
        {
            ConcludeNoOffer();
        }
        else if (_owner.HasOneSource)
        {
            throw Violation("A client offers nothing.");
        }

        // Offsets on Main only grow: as many bytes as the size says are all of them. What is missing nobody else would send.
        bool isShort = _owner.HasOneSource && close.Offset != MainReceived;

        // What is offered is as long as the offer says, which may still be on its way.
        if (!close.IsOffered && (isShort || !Incoming.TrySetFinalSize(close.Offset)))
        {
            throw new KwikException(
                KwikError.FinalSize,
                KwikErrorSide.Remote,
                $"The peer says that stream {Id} has {close.Offset} bytes, which contradicts what was known.",
                streamId: Id);
        }

        if (await _frames.ReadFrameAsync() is not null)
        {
            throw Violation("Nothing follows a close frame.");
        }
    }

    /// <summary>Where the peer also says how it ended, the end of Main is only half of the news.</summary>
    private async Task OnEndOfMainAsync()
    {
        try
        {
            await (_errorReader?.ConfirmEndAsync(CancellationToken.None) ?? Task.CompletedTask);
        }
        catch (KwikException)
        {
            // The other half of it has ended the stream.
            return;
        }

        Advance(XStreamInput.RemoteEnd);
    }

    /// <summary>
    /// Hands pieces over, which start at <paramref name="offset"/>, and waits while they do not fit. Empties the list and
    /// returns the offset behind them.
    /// </summary>
    /// <exception cref="KwikException">FinalSize: beyond the end. StreamMappingConflict: they differ from another source's,
    /// and the options say Reject.</exception>
    internal async ValueTask<long> PlaceAsync(
        int source, long offset, List<Lease> pieces, int batchSize, CancellationToken cancellationToken)
    {
        int next = 0;
        try
        {
            while (next < pieces.Count)
            {
                int count = Math.Min(batchSize, pieces.Count - next);
                int taken = Incoming.Accept(
                    source, ref offset, CollectionsMarshal.AsSpan(pieces).Slice(next, count), out AcceptResult result);
                next += taken;
                ThrowIfRefused(result, source, offset);
                if (taken < count)
                {
                    await Incoming.WaitForWindowAsync(offset, pieces[next].Length, cancellationToken);
                }
            }
        }
        finally
        {
            pieces.Slice(next, pieces.Count - next).ForEach(piece => piece.Return());
            pieces.Clear();
        }

        return offset;
    }

    private void ThrowIfRefused(AcceptResult result, int source, long offset)
    {
        (KwikError code, string what) = result.Outcome switch
        {
            AcceptOutcome.FinalSize => (KwikError.FinalSize, "is beyond the end of the stream"),
            AcceptOutcome.Rejected => (KwikError.StreamMappingConflict, $"differs from what path {result.OtherSource} sent"),
            _ => (KwikError.None, ""),
        };
        if (code != KwikError.None)
        {
            throw new KwikException(
                code, KwikErrorSide.Remote, $"A piece at offset {offset} of stream {Id} from path {source} {what}.", null, source, Id);
        }
    }

    private KwikException Violation(string what) => new(
        KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, $"{what} (stream {Id})", streamId: Id);
}
