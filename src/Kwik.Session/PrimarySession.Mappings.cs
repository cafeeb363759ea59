using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

public sealed partial class PrimarySession
{
    private readonly MappingGrants _grants = new();

    // RangeLost frames that may still come about grants that ended, beside what a client may send anyway.
    private long _lostFrames;

    /// <summary>
    /// Lets a secondary write a range of a stream, on streams that it opens (push). The client accepts nothing from it
    /// outside such ranges. Ranges of different paths may overlap; the client's conflict resolution decides then.
    /// </summary>
    /// <param name="stream">A public stream of this session that is not offered.</param>
    /// <param name="pathId">What <see cref="AddPathAsync"/> returned.</param>
    /// <param name="offset">First byte: 0 to 2^62-2.</param>
    /// <param name="length">Bytes: 1 and up; the range ends at or before 2^62-1.</param>
    /// <exception cref="InvalidOperationException">The range overlaps another one of this path in the stream, this path has 1,024 there, or the session 65,536.</exception>
    public void MapRange(KwikStream stream, int pathId, long offset, long length) =>
        Update(MappingOperation.MappingCreate, stream, pathId, offset, length, grants => grants.TryAdd(pathId, stream.Id, offset, length));

    /// <summary>Changes the length of a range that <see cref="MapRange"/> gave.</summary>
    /// <exception cref="InvalidOperationException">There is none that begins there, it was lost, or it would overlap another one.</exception>
    public void ResizeRange(KwikStream stream, int pathId, long offset, long length) =>
        Update(MappingOperation.MappingUpdate, stream, pathId, offset, length, grants => grants.TryResize(pathId, stream.Id, offset, length));

    /// <summary>Takes a range back; what was written in it stays. What is on its way is refused.</summary>
    /// <exception cref="InvalidOperationException">There is none that begins there, or it was lost.</exception>
    public void UnmapRange(KwikStream stream, int pathId, long offset) =>
        Update(MappingOperation.MappingDelete, stream, pathId, offset, 0, grants => grants.Remove(pathId, stream.Id, offset));

    private protected override bool MayPush(long streamId, long offset) =>
        base.MayPush(streamId, offset) || _streams.Find(streamId)?.MayWrite(offset) == true;

    private void Update(
        MappingOperation operation, KwikStream stream, int pathId, long offset, long length, Func<MappingGrants, bool> apply)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentOutOfRangeException.ThrowIfLessThan(pathId, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        lock (_gate)
        {
            if (_ended is not null)
            {
                throw Ended(_ended);
            }

            if (!apply(_grants))
            {
                throw new InvalidOperationException(
                    $"Range {offset}, {length} bytes, of stream {stream.Id} cannot be mapped so for path {pathId}.");
            }

            // Under the lock, so that the client hears of ranges in the order in which they change. Sending only queues.
            Tell(operation, pathId, stream.Id, offset, length);
        }
    }

    /// <summary>A client asks about a path that has opened a stream: the range again, or none.</summary>
    private void OnMappingQuestion(StreamMappingUpdate question)
    {
        (int pathId, long streamId, long offset) = ((int)question.PathId, (long)question.KwikStreamId, (long)question.Offset);
        if (question.Operation != MappingOperation.MappingCreate || pathId < 0 || streamId < 0 || offset is < 0 or > StreamFrame.MaxOffset)
        {
            throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, "A client's question about a mapping has values out of range.");
        }

        lock (_gate)
        {
            if (_grants.TryFind(pathId, streamId, offset, out (long Offset, long End) range))
            {
                Tell(MappingOperation.MappingCreate, pathId, streamId, range.Offset, range.End - range.Offset);
            }
            else
            {
                Tell(MappingOperation.MappingDelete, pathId, streamId, offset, 0);
            }
        }
    }

    private void Tell(MappingOperation operation, int pathId, long streamId, long offset, long length) =>
        Link.Control.Send(new ControlFrame
        {
            MappingUpdate = new StreamMappingUpdate
            {
                Operation = operation,
                PathId = (uint)pathId,
                KwikStreamId = (ulong)streamId,
                Offset = (ulong)offset,
                Length = (ulong)length,
            },
        });

    private void OnRangeLost(Data.Wire.RangeLost lost)
    {
        (int pathId, long streamId, long offset, long length) =
            ((int)lost.PathId, (long)lost.KwikStreamId, (long)lost.Offset, (long)lost.Length);
        if (pathId < 0 || streamId < 0 || offset < 0 || length <= 0 || offset > StreamFrame.MaxOffset - length)
        {
            throw new KwikException(
                KwikError.MetadataProtocolViolation, KwikErrorSide.Remote, "A lost range has values out of range.");
        }

        lock (_gate)
        {
            _lostFrames += ClientSession.MaxLostPieces * _grants.RemoveWithin(pathId, streamId, offset, offset + length);
            if (_lostFrames > 0)
            {
                _lostFrames--;
                Budget.GiveBack();
            }
        }

        KwikError error = QuicErrors.FromWire((long)lost.ErrorCode);
        EventQueue.Raise(new RangeLost(streamId, offset, length, pathId, error));
        _streams.Find(streamId)?.Raise(new PieceLost(offset, length, pathId, error));
    }
}
