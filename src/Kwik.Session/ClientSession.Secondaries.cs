using System.Diagnostics.CodeAnalysis;
using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

public sealed partial class ClientSession : ISecondaryStreamOwner
{
    private const int MaxToldClosed = 1024;

    /// <summary>RangeLost frames about one range.</summary>
    internal const int MaxLostPieces = 16;

    private readonly RecoveryTable _recovery;

    // Closed streams that the primary went on granting ranges of. Touched by the primary's control loop only.
    private readonly HashSet<long> _toldClosed = [];

    /// <summary>The Internal streams of a path, in numbers; zeros for a path that has none.</summary>
    public SecondaryStreamStats GetSecondaryStreamStats(int pathId) => _secondaries.GetStats(pathId);

    /// <summary>The Internal streams that are mapped into public streams now.</summary>
    public IReadOnlyList<StreamMappingInfo> GetActiveMappings() => _mappings.Mapped().ConvertAll(source => source.Snapshot());

    bool ISecondaryStreamOwner.TryFindStream(long streamId, [NotNullWhen(true)] out KwikStream? stream, out bool wasClosed) =>
        _streams.TryFind(streamId, out stream, out wasClosed);

    void ISecondaryStreamOwner.AskForMapping(int pathId, long streamId, long offset) => _primary.Control.Send(new ControlFrame
    {
        MappingUpdate = new StreamMappingUpdate
        {
            Operation = MappingOperation.MappingCreate,
            PathId = (uint)pathId,
            KwikStreamId = (ulong)streamId,
            Offset = (ulong)offset,
        },
    });

    void ISecondaryStreamOwner.BytesArrived(InboundSecondaryStream source, int bytes) =>
        _paths.Find(source.Id.PathId)?.Connection?.CountBytes(bytes);

    RecoveryAction ISecondaryStreamOwner.Decide(InboundSecondaryStream source, KwikException fault) =>
        Decide(source.Id.PathId, source.StreamId, fault);

    void ISecondaryStreamOwner.StreamEnded(InboundSecondaryStream source, KwikException? fault, RecoveryAction? action)
    {
        bool isIgnored = action == RecoveryAction.IgnoreStream;
        if (isIgnored && (source.Request is null || source.HasDropped || source.Offset < source.Request.End))
        {
            source.Request?.Receiver.Ignored();
            return;
        }

        if (isIgnored)
        {
            // Everything had come.
            source.Request!.Receiver.Ended(KwikError.None);
        }
        else if (source.Request is { } mapping)
        {
            EndRequest(source, mapping.Receiver, fault, action);
        }
        else if (source.StopCode == KwikError.SecondaryStreamOverflow)
        {
            TryLoseGrant(source.Id.PathId, source.StreamId, source.Offset, KwikError.SecondaryStreamOverflow);
        }
        else if (fault is null ? source.Outcome != KwikError.None || source.HasDropped : source.StopCode != KwikError.Cancelled)
        {
            LoseRange(source.Id.PathId, source.StreamId, source.Offset, fault?.Code ?? source.Outcome);
        }

        if (action is { } treatment)
        {
            Treat(treatment, source.Id.PathId, source.StreamId, fault!);
        }
    }

    void ISecondaryStreamOwner.RuleBroken(int pathId, KwikException fault)
    {
        _events.Raise(new RuleBroken(pathId, fault.Code, fault.Message));
        _observer.RuleBroken(pathId == 0 ? ServerRole.Primary : ServerRole.Secondary, fault.Code);
        _paths.Find(pathId)?.Connection?.CountViolation();
    }

    private static void EndRequest(InboundSecondaryStream source, IRangeReceiver receiver, KwikException? fault, RecoveryAction? action)
    {
        if (fault is null || action is null)
        {
            receiver.Ended(fault?.Code ?? source.Outcome);
        }
        else
        {
            receiver.Failed(elsewhere: action != RecoveryAction.RequestResend, fault.Code);
        }
    }

    private RecoveryAction Decide(int pathId, long streamId, KwikException fault)
    {
        RecoveryAction action;
        lock (_gate)
        {
            action = _recovery.Next(streamId, pathId, fault.Code);
        }

        // A session without its primary is none: what would take the primary out ends the stream, or, where others may have
        // the content, asks them.
        action = action != RecoveryAction.IsolateSource || pathId != 0 ? action
            : fault.Code == KwikError.ContentMismatch ? RecoveryAction.RequestRetransmission
            : RecoveryAction.CloseStream;
        _events.Raise(new FaultTreated(pathId, streamId, fault.Code, action, fault.Message));
        _observer.Treated(fault.Code, action);
        return action;
    }

    /// <summary>The part of an action that concerns more than the Internal stream.</summary>
    private void Treat(RecoveryAction action, int pathId, long streamId, KwikException fault)
    {
        if (action == RecoveryAction.CloseStream)
        {
            _streams.Find(streamId)?.Abort(fault);
        }
        else if (action == RecoveryAction.IsolateSource)
        {
            _paths.Find(pathId)?.Connection?.Isolate(fault);
        }
    }

    private void OnMappingUpdate(StreamMappingUpdate update)
    {
        (int path, long stream, long offset, long length) =
            ((int)update.PathId, (long)update.KwikStreamId, (long)update.Offset, (long)update.Length);
        bool isKnown =
            update.Operation is MappingOperation.MappingCreate or MappingOperation.MappingUpdate or MappingOperation.MappingDelete;
        if (path < 0 || stream < 0 || offset is < 0 or > StreamFrame.MaxOffset || length < 0 || length > StreamFrame.MaxOffset - offset || !isKnown)
        {
            throw Violation("A mapping update has values out of range.");
        }

        bool wasLost = false;
        bool applied = update.Operation switch
        {
            // There already, and the same, when it answers our question.
            MappingOperation.MappingCreate => _mappings.TryUpdateGrants(grants => grants.TryAdd(path, stream, offset, length)
                || (grants.TryFind(path, stream, offset, out (long, long) known) && known == (offset, offset + length))),
            MappingOperation.MappingUpdate => _mappings.TryResize(path, stream, offset, length, out wasLost) || wasLost,
            _ => _mappings.TryRevokeAt(path, stream, offset, out _),
        };
        if (_streams.WasClosed(stream))
        {
            // After the update, so that a stream that closes meanwhile leaves nothing behind.
            _mappings.RemoveStream(stream);
            if (_toldClosed.Count == MaxToldClosed)
            {
                _toldClosed.Clear();
            }

            // Once, though the primary may have sent a thousand of these: its budget for our frames is limited.
            if (_toldClosed.Add(stream))
            {
                TellClosed(_primary, stream);
            }

            _primary.Budget!.GiveBack();
            return;
        }

        // What is taken back may have been lost meanwhile, or never granted when it answers our question.
        if (!applied && update.Operation != MappingOperation.MappingDelete)
        {
            throw Violation($"A mapping update for path {path} names a range of stream {stream} that cannot be granted.");
        }

        if (wasLost)
        {
            // While the change was on its way here, and the news of the loss on its way there.
            ReportLost(path, stream, offset, offset + length, KwikError.PathLost);
        }
        else
        {
            // What is granted is bounded by itself.
            _primary.Budget!.GiveBack();
        }

        _secondaries.WakeWaiting();
    }

    /// <summary>
    /// Nobody will fill what a path was granted around <paramref name="offset"/>, where its stream stands, perhaps at the end
    /// of the range: the grant ends, and the primary learns what is missing of it. Other streams of that path in the same
    /// range may still be at it; the last one counts.
    /// </summary>
    private void LoseRange(int pathId, long streamId, long offset, KwikError error)
    {
        if (!_mappings.SourcesOf(streamId).Exists(source => source.Id.PathId == pathId && source.Request is null)
            && (_mappings.TryRevokeAt(pathId, streamId, offset, out (long Offset, long End) range)
                || _mappings.TryRevokeAt(pathId, streamId, offset - 1, out range)))
        {
            ReportLost(pathId, streamId, range.Offset, range.End, error);
        }
    }

    /// <summary>
    /// The grant that holds a byte ends as a whole, and whatever of its path still writes in it; the primary learns what is
    /// missing of it. False when there is none.
    /// </summary>
    private bool TryLoseGrant(int pathId, long streamId, long offset, KwikError error)
    {
        if (!_mappings.TryRevokeAt(pathId, streamId, offset, out (long Offset, long End) range))
        {
            return false;
        }

        StopPushed(pathId, streamId, range.Offset, range.End);
        ReportLost(pathId, streamId, range.Offset, range.End, error);
        return true;
    }

    /// <summary>Stops what a path pushes into a range of a stream.</summary>
    private void StopPushed(int pathId, long streamId, long offset, long end)
    {
        foreach (InboundSecondaryStream source in _mappings.SourcesOf(streamId))
        {
            if (source.Id.PathId == pathId && source.Request is null && source.Offset >= offset && source.Offset < end)
            {
                source.Stop(KwikError.Cancelled);
            }
        }
    }

    private void LosePath(int pathId, KwikError error)
    {
        foreach (var stream in _mappings.RevokePath(pathId).GroupBy(range => range.StreamId))
        {
            // Ranges that touch are one to the primary: an application may have granted thousands of small ones.
            (long Offset, long End) lost = (0, 0);
            foreach ((_, long offset, long end) in stream.OrderBy(range => range.Offset))
            {
                if (offset != lost.End)
                {
                    ReportLost(pathId, stream.Key, lost.Offset, lost.End, error);
                    lost.Offset = offset;
                }

                lost.End = end;
            }

            ReportLost(pathId, stream.Key, lost.Offset, lost.End, error);
        }
    }

    /// <summary>Names what is missing of a range: one piece for each hole, up to a limit, and then all the rest in one.</summary>
    private void ReportLost(int pathId, long streamId, long offset, long end, KwikError error)
    {
        if (_streams.Find(streamId) is not { } stream)
        {
            return;
        }

        List<(long Offset, long Length)> missing = stream.Incoming.Missing(offset, end);
        if (missing.Count > MaxLostPieces)
        {
            (long last, long first) = (missing[^1].Offset + missing[^1].Length, missing[MaxLostPieces - 1].Offset);
            missing.RemoveRange(MaxLostPieces - 1, missing.Count - MaxLostPieces + 1);
            missing.Add((first, last - first));
        }

        foreach ((long start, long length) in missing)
        {
            _events.Raise(new RangeLost(streamId, start, length, pathId, error));
            stream.Raise(new PieceLost(start, length, pathId, error));
            _primary.Control.Send(new ControlFrame
            {
                RangeLost = new Data.Wire.RangeLost
                {
                    KwikStreamId = (ulong)streamId,
                    Offset = (ulong)start,
                    Length = (ulong)length,
                    PathId = (uint)pathId,
                    ErrorCode = (ulong)error,
                },
            });
        }
    }
}
