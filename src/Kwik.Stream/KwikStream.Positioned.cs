using Kwik.Data;

namespace Kwik.Streams;

public sealed partial class KwikStream
{
    // Internal streams that are being ended: each has until this one is disposed, and a little longer.
    private readonly List<(SecondaryStream Stream, Task Ending)> _endedSegments = [];

    // The Internal stream of the last positioned write, for one that continues it.
    private SecondaryStream? _segment;
    private long _positionedEnd;
    private long _finalSize = StreamFrame.MaxOffset;

    /// <summary>Offset behind the last byte that this side wrote, on Main or at a position.</summary>
    private long WrittenEnd => Math.Max(_writer.Written, Interlocked.Read(ref _positionedEnd));

    /// <summary>
    /// On a primary: writes bytes where they belong in the stream, in any order, on an Internal stream of its own. Several
    /// calls may run at once, also beside <see cref="WriteAsync(ReadOnlyMemory{byte}, CancellationToken)"/>, which goes on
    /// where it was, and after the writes were completed, inside the final size, to fill what was lost. A call that
    /// continues the one before is cheap; each other one opens a stream. Returns when the transport has taken the bytes;
    /// waits while the client's reader is more than its window behind.
    /// </summary>
    /// <param name="offset">Of the first byte: 0 to 2^62-1.</param>
    /// <param name="buffer">The bytes; must stay as they are until the call returns.</param>
    /// <param name="cancellationToken">
    /// Cancelling ends the Internal stream of this call: which of its bytes arrive is then not known.
    /// </param>
    /// <exception cref="InvalidOperationException">This side is the client, content was offered, or the bytes lie beyond the final size.</exception>
    /// <exception cref="XStreamException">As for <see cref="WriteAsync(ReadOnlyMemory{byte}, CancellationToken)"/>.</exception>
    /// <exception cref="KwikException">The stream failed, or the client stopped the Internal stream; write the bytes again.</exception>
    public async ValueTask WriteAtAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, StreamFrame.MaxOffset - buffer.Length);
        cancellationToken.ThrowIfCancellationRequested();
        ObjectDisposedException.ThrowIf(_disposed == 1, this);
        ThrowIfNobodyReads();
        if (!_owner.Pushes)
        {
            // Before the bytes are counted: the stream ends behind what was written.
            throw new InvalidOperationException("Only servers write at offsets of their choice.");
        }

        SecondaryStream? segment = EnterPositioned(offset, offset + buffer.Length);
        try
        {
            if (segment is null || !await TryContinueAsync(segment, buffer, cancellationToken))
            {
                EndSegment(segment, complete: false);
                segment = await OpenSegmentAsync(offset, cancellationToken);
                await segment.WriteAsync(buffer, cancellationToken);
            }
        }
        catch
        {
            LeavePositioned(segment, keep: false);
            throw;
        }

        LeavePositioned(segment, keep: true);
    }

    /// <summary>False when the client stopped the Internal stream, as it does when nothing comes for a while, or others need its place.</summary>
    private static async ValueTask<bool> TryContinueAsync(
        SecondaryStream segment, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            await segment.WriteAsync(buffer, cancellationToken);
            return true;
        }
        catch (KwikException e) when (e.Code is KwikError.Timeout or KwikError.SecondaryStreamOverflow)
        {
            return false;
        }
    }

    private async ValueTask<SecondaryStream> OpenSegmentAsync(long offset, CancellationToken cancellationToken)
    {
        SecondaryStream segment = await _owner.OpenSecondaryAsync(cancellationToken);
        segment.SetKwikStreamMapping(Id, offset);
        return segment;
    }

    /// <summary>Counts the call, and takes the Internal stream that stands where it begins, if there is one.</summary>
    private SecondaryStream? EnterPositioned(long offset, long end)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed == 1, this);
            if (_offered is not null || end > _finalSize)
            {
                throw new InvalidOperationException(
                    $"Stream {Id} was offered, or completed with {_finalSize} bytes: nothing can be written at {offset}.");
            }

            _positionedEnd = Math.Max(_positionedEnd, end);
            SecondaryStream? segment = _segment?.GetOffset() == offset ? _segment : null;
            _segment = segment is null ? _segment : null;
            return segment;
        }
    }

    private void LeavePositioned(SecondaryStream? segment, bool keep)
    {
        SecondaryStream? ended;
        lock (_gate)
        {
            ended = keep ? _segment : segment;
            _segment = keep ? segment : _segment;
        }

        EndSegment(ended, complete: keep);
    }

    /// <summary>For who has entered a write: says how long the stream is. False when bytes were written beyond.</summary>
    private bool TrySetFinalSize(long finalSize)
    {
        SecondaryStream? last;
        lock (_gate)
        {
            if (_positionedEnd > finalSize)
            {
                return false;
            }

            _finalSize = finalSize;
            (last, _segment) = (_segment, null);
        }

        EndSegment(last, complete: true);
        return true;
    }

    /// <summary>Waits for the Internal streams of positioned writes; one whose write is pending is reset by its own call.</summary>
    private async Task EndSegmentsAsync()
    {
        SecondaryStream? last;
        lock (_gate)
        {
            (last, _segment) = (_segment, null);
        }

        EndSegment(last, complete: true);
        (SecondaryStream Stream, Task Ending)[] ended;
        lock (_gate)
        {
            ended = [.. _endedSegments];
        }

        await Task.WhenAll(ended.Select(segment => EndWithinAsync(segment.Stream, segment.Ending)));
    }

    private async Task EndWithinAsync(SecondaryStream segment, Task ending)
    {
        if (!await Background.EndsWithinAsync(() => ending, CloseTimeout, _owner.Time))
        {
            // The client does not take it. It has been told that this stream was not all.
            segment.Abort(KwikError.Cancelled);
            await Background.EndsWithinAsync(() => ending, CloseTimeout, _owner.Time);
        }
    }

    private void EndSegment(SecondaryStream? segment, bool complete)
    {
        if (segment is null)
        {
            return;
        }

        Task ending = Background.Start(() => EndSegmentAsync(segment, complete));
        lock (_gate)
        {
            _endedSegments.RemoveAll(ended => ended.Ending.IsCompleted);
            _endedSegments.Add((segment, ending));
        }
    }

    /// <summary>Never throws: what the client did not take is a hole there, and it says so.</summary>
    private static async Task EndSegmentAsync(SecondaryStream segment, bool complete)
    {
        try
        {
            if (complete)
            {
                await segment.CompleteAsync();
                await segment.WritesClosed;
            }
        }
        catch (KwikException)
        {
            // The client stopped this stream, or the connection ended.
            segment.Abort(KwikError.Cancelled);
        }

        await segment.DisposeAsync();
    }
}
