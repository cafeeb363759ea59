using Kwik.Data;
using Kwik.Data.Wire;
using Kwik.Streams;

namespace Kwik.Sessions;

public sealed partial class ClientSession
{
    // How often streams are looked at. Finer than any of the times that are measured by it.
    private static readonly TimeSpan SweepInterval = TimeSpan.FromMilliseconds(250);

    // Bytes a second that a server delivers at least, while it owes some and we take them (protocol, "Limits").
    private const int MinimumRate = 240;

    private readonly MultiSourceOffsetManager _offsets;

    /// <summary>Looks after what takes too long: slow Internal streams, and holes that readers wait at. Until it is cancelled.</summary>
    private async Task SweepAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                await _streams.WaitForAnyAsync(cancellationToken);
                await Task.Delay(SweepInterval, _environment.Time, cancellationToken);
                _secondaries.StopStalled(MinimumRate);
                foreach (KwikStream stream in _streams.Snapshot())
                {
                    Inspect(stream);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The session has ended.
        }
    }

    private void Inspect(KwikStream stream)
    {
        _observer.Holes.Look(stream.Id, stream.Incoming.IsPositioned ? null : stream.Incoming.FirstHole?.Offset);
        long? progress = FindFetch(stream.Id)?.ProgressAt(stream.Incoming.ReadOffset);
        HoleStep step = _offsets.Inspect(stream, out Hole hole, progress ?? 0);
        if (step == HoleStep.None)
        {
            return;
        }

        int source = _mappings.FindSource(stream.Id, hole.Offset);
        if (TryGiveWay(source))
        {
            _offsets.Treated(stream.Id);
            return;
        }

        if (step == HoleStep.Synchronise)
        {
            Synchronise(stream, source, hole);
            return;
        }

        if (source == 0 && _offsets.IsExcused(stream.Id, hole.Offset))
        {
            _offsets.Treated(stream.Id);
            Request(stream, source, hole, KwikError.SecondaryStreamOverflow);
            return;
        }

        KwikError code = step == HoleStep.Unanswered ? KwikError.OffsetSyncFailure : KwikError.AggregationTimeout;
        var fault = new KwikException(
            code,
            KwikErrorSide.Network,
            $"Bytes {hole.Offset} to {hole.End} of stream {stream.Id}, which path {source} was to send, did not come in time.",
            null,
            source,
            stream.Id);
        RecoveryAction action = Decide(source, stream.Id, fault);
        _offsets.Treated(stream.Id);
        Request(stream, source, hole, code);
        Treat(action, source, stream.Id, fault);
    }

    /// <summary>
    /// Streams that wait for room hold credit of their connection, and their places among its streams; what would make room
    /// may need them. The one that is farthest ahead of its reader is stopped, and what it had to bring is asked for again;
    /// when all places are taken and none of them waits, the one that has been idle for longest. While there is one to be
    /// stopped, its server is not to blame for a hole.
    /// </summary>
    private bool TryGiveWay(int pathId)
    {
        List<InboundSecondaryStream> pushed =
            _mappings.Mapped().FindAll(source => source.Id.PathId == pathId && source.Request is null);
        InboundSecondaryStream? stopped = pushed.Where(source => source.IsParkedFor(SweepInterval))
            .MaxBy(source => source.Offset - (_streams.Find(source.StreamId)?.Incoming.ReadOffset ?? 0));
        if (stopped is null && _secondaries.IsFull(pathId))
        {
            stopped = pushed.Where(source => source.IsIdleFor(_options.Recovery.ReorderTimeout))
                .MinBy(source => source.Snapshot().LastActivity);
        }

        if (stopped is null)
        {
            return false;
        }

        stopped.Stop(KwikError.SecondaryStreamOverflow);
        if (pathId == 0)
        {
            _offsets.Excuse(stopped.StreamId);
        }

        return true;
    }

    private void Synchronise(KwikStream stream, int pathId, Hole hole)
    {
        _offsets.Asked(stream.Id, pathId);
        if (_paths.FindServing(pathId) is { } path)
        {
            path.Control.Send(new ControlFrame
            {
                OffsetSyncRequest = new OffsetSyncRequest
                {
                    KwikStreamId = (ulong)stream.Id,
                    CurrentOffset = (ulong)hole.Offset,
                    EndOffset = (ulong)hole.End,
                },
            });
        }
        else
        {
            _offsets.Answered(stream.Id, pathId, hole.Offset, comes: false);
        }
    }

    private void OnOffsetSync(KwikPath path, OffsetSyncResponse response)
    {
        long streamId = (long)response.KwikStreamId;
        if (streamId < 0 || response.ExpectedOffset > StreamFrame.MaxOffset || _streams.Find(streamId) is not { } stream)
        {
            return;
        }

        // What the server has handed to its transport, and has forgotten, may still be on its way to us.
        long next = MultiSourceOffsetManager.GetNextExpectedOffset(stream);
        bool isOnItsWay = FindFetch(streamId) is { } fetch
            ? fetch.ProgressAt(next) is not null
            : _mappings.SourcesOf(streamId).Exists(source => source.Id.PathId == path.Id && source.Offset <= next);
        _offsets.Answered(streamId, path.Id, next, comes: !response.SyncRequired || isOnItsWay);
    }

    /// <summary>Asks anew for a hole: of other servers when it was asked for, of the primary's application when it was pushed.</summary>
    private void Request(KwikStream stream, int source, Hole hole, KwikError error)
    {
        if (FindFetch(stream.Id) is { } fetch)
        {
            fetch.GiveBackAt(hole.Offset, error);
            return;
        }

        if (!TryLoseGrant(source, stream.Id, hole.Offset, error))
        {
            StopPushed(source, stream.Id, 0, hole.End);
            ReportLost(source, stream.Id, hole.Offset, hole.End, error);
        }
    }
}
